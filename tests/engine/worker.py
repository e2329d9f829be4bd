"""A node as a process: starts what it reads as JSON lines, runs until it is told to stop."""

import asyncio
import json
import logging
import signal
import sys
from pathlib import Path

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.engine import Engine, EngineSettings, QueueLimits
from mosaic.events import Journal, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings
from tests.engine.handlers import HANDLERS


def say(*words: str) -> None:
    print(*words, flush=True)  # noqa: T201  # how it talks to the test


async def main() -> None:
    options = json.loads(sys.argv[1])
    settings = options["settings"]
    queues = {name: QueueLimits(**limits) for name, limits in settings.pop("queues").items()}
    data_dir = Path(options["data_dir"])
    database = Database(StorageSettings(options["url"], data_dir))
    bus = open_bus(database)
    journal = Journal(database, bus, redactor=Redactor(), blobs=FileBlobs(data_dir / "blobs", durable=False))
    engine = Engine(database, journal, bus, EngineSettings(**settings, queues=queues))
    for name, handler in HANDLERS.items():
        engine.register(name, handler)
    await engine.launch()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say("ready", str(engine.node_id))
    ctx = Context(tenant="t1", project="p1", actor=Actor("user", "u1"))

    async def obey() -> None:
        while line := await reader.readline():
            order = json.loads(line)
            await engine.start(ctx, **order)
            say("started", order["execution_id"])

    orders = asyncio.create_task(obey())
    await stop.wait()
    orders.cancel()
    await engine.shutdown()
    await bus.close()
    await database.close()
    say("stopped")


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="log %(levelname)s %(name)s: %(message)s", stream=sys.stdout
    )
    asyncio.run(main())
