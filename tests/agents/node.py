"""A node in a process of its own, for tests that kill it: runs one agent's job and prints how it came out.

Usage: python -m tests.agents.node DATABASE_URL DATA_DIR MODEL_URL WORK_DIR [A2A_AGENT_URL]
"""

import asyncio
import json
import sys
from pathlib import Path

from mosaic.agents import AgentJob, AgentRegistry, AgentRunner, AgentSpec, Conversations
from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonValue
from mosaic.cost import Cost
from mosaic.engine import Engine, EngineSettings, Execution, QueueLimits, Safety
from mosaic.events import Journal, open_bus
from mosaic.inference import Inference
from mosaic.providers import ProviderRegistry
from mosaic.storage import Database, FileBlobs, StorageSettings
from mosaic.tools import Approvals, Policy, Toolbox, ToolDoor, tool

CTX = Context(tenant="t1", project="p1", actor=Actor("user", "u1"))
RUN, PATH = "run_1", "code"
SETTINGS = EngineSettings(
    queues={"agents": QueueLimits(per_tenant_concurrency=2)}, heartbeat_s=0.2, lease_ttl_s=3.0, drain_s=1.0
)


def tools(work: Path) -> Toolbox:
    """Tools that leave a trace of every call, and hang where the test says so."""

    @tool(name="note", risk="read_only")
    async def note(text: str) -> str:
        """Write a note."""
        with (work / "notes").open("a") as file:
            file.write(text + "\n")
        return f"noted {text}"

    @tool(name="look", risk="read_only", safety=Safety.REPEATABLE, timeout_s=60)
    async def look() -> str:
        """Look, and hang while the test wants that."""
        with (work / "looks").open("a") as file:
            file.write("looked\n")
        while (work / "hang").exists():
            (work / "inside").touch()
            await asyncio.sleep(0.05)
        return "looked"

    return Toolbox([note, look])


async def main(url: str, data: str, model_url: str, work: str, elsewhere: str | None = None) -> None:
    settings = StorageSettings(url, Path(data))
    database = Database(settings)
    bus, redactor = open_bus(database), Redactor()
    blobs = FileBlobs(Path(data) / "blobs")
    journal = Journal(database, bus, redactor=redactor, blobs=blobs)
    providers = ProviderRegistry(
        redactor=redactor,
        settings={"openai": {"base_url": model_url, "api_key": "dummy-key-1234"}},
        environment={},
    )
    engine = Engine(database, journal, bus, SETTINGS)
    runner = AgentRunner(
        inference=Inference(providers, Cost(database)),
        door=ToolDoor(Approvals(database, journal, engine), redactor=redactor, blobs=blobs),
        registry=AgentRegistry(database, journal),
        conversations=Conversations(database, journal, blobs, redactor=redactor),
        redactor=redactor,
    )
    spec = AgentSpec("coder", model=("openai:test-model",), instructions="Do it.", tools=("*",))

    if elsewhere is not None:
        spec = AgentSpec("partner", a2a=elsewhere)

    async def handle(execution: Execution) -> JsonValue:
        job = AgentJob(spec, "Fix it.", tools(Path(work)), Policy())
        return (await runner.run(execution, job)).to_json()

    engine.register("agent", handle)
    await engine.launch()
    await engine.start(
        CTX, execution_id="e1", run_id=RUN, handler="agent", input={}, path=PATH, queue="agents"
    )
    result = await engine.wait("e1", timeout_s=60)
    answer = {"status": result.status, "output": result.output, "error": str(result.error)}
    sys.stdout.write(json.dumps(answer) + "\n")
    await engine.shutdown()
    await providers.close()
    await bus.close()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
