"""MosAIc: one execution, one journaled effect after the other. Prints one JSON line."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.engine import EffectCall, Engine, EngineSettings, Execution, Outcome, Safety
from mosaic.events import Journal, NewEvent, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings

TEXT = "All tests pass. " * 18
measured: dict[str, Any] = {}


async def effects_in_turn(execution: Execution) -> int:
    """Journal `steps` effects; each has a result and an event, as a tool call does."""
    steps = int(execution.input["steps"])

    async def call(_call: EffectCall) -> Outcome:
        return Outcome({"text": TEXT}, events=(NewEvent("step.completed", {"ok": True}),))

    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(steps):
        await execution.effects.effect(f"step{number}", call, safety=Safety.REPEATABLE)
    measured.update(steps=steps, wall_s=time.perf_counter() - wall, cpu_s=time.process_time() - cpu)
    return steps


async def main() -> None:
    database_kind, target, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    url = target if database_kind == "postgres" else f"sqlite:///{target}"
    data_dir = Path(sys.argv[4])
    database = Database(StorageSettings(url=url, data_dir=data_dir))
    await database.migrate()
    bus = open_bus(database)
    journal = Journal(database, bus, redactor=Redactor(), blobs=FileBlobs(data_dir / "blobs"))
    engine = Engine(database, journal, bus, EngineSettings())
    engine.register("effects", effects_in_turn)
    await engine.launch()
    ctx = Context("bench", "bench", Actor("system", "bench"))
    for name, count in (("warm-up", 50), ("measured", steps)):
        await engine.start(ctx, execution_id=name, run_id=name, handler="effects", input={"steps": count})
        await engine.wait(name, timeout_s=300)
    print(json.dumps(measured), flush=True)
    await engine.shutdown()
    await bus.close()
    await database.close()


asyncio.run(main())
