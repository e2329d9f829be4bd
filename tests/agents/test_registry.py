"""The registry: who is there, how loaded, and for whom."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mosaic.agents.conversations import Conversations
from mosaic.agents.registry import AgentRegistry
from mosaic.agents.schemas import AgentSpec, Availability
from mosaic.agents.turns import Trigger, TurnState
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, NotFound
from mosaic.core.redaction import Redactor
from mosaic.events import Journal
from mosaic.providers.ai import Message
from mosaic.storage import BlobStore, Database

pytestmark = pytest.mark.anyio

CODER = AgentSpec(
    "coder",
    version="1",
    description="Writes code",
    capacity=2,
    capabilities=("code.write",),
    keywords=("bug",),
)
PLANNER = AgentSpec(
    "planner", capacity=4, capabilities=("task.decompose", "code.write"), primary=("planning",)
)


class Watch:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def registry(database: Database, journal: Journal, watch: Watch) -> AgentRegistry:
    return AgentRegistry(database, journal, expiry_s=60, clock=watch)


@pytest.fixture
def conversations(
    database: Database, journal: Journal, blobs: BlobStore, redactor: Redactor, watch: Watch
) -> Conversations:
    return Conversations(database, journal, blobs, redactor=redactor, clock=watch)


async def register(database: Database, registry: AgentRegistry, ctx: Context, *specs: AgentSpec) -> None:
    for spec in specs:
        async with database.transaction() as tx:
            await registry.register(tx, ctx, spec)


@pytest.mark.requirement("ENT-38")
async def test_a_registered_agent_is_online_and_seen_by_its_own_tenant_only(
    database: Database, registry: AgentRegistry, ctx: Context
) -> None:
    await register(database, registry, ctx, CODER, PLANNER)
    found = await registry.agents(ctx)
    assert [(agent.name, agent.availability, agent.active, agent.capacity) for agent in found] == [
        ("coder", Availability.ONLINE, 0, 2),
        ("planner", Availability.ONLINE, 0, 4),
    ]
    other = replace(ctx, tenant="t2")
    assert await registry.agents(other) == []
    with pytest.raises(NotFound):
        await registry.agent(other, "coder")
    assert (await registry.metrics(other)).total == 0


async def test_registering_again_renews_the_definition_and_is_journaled_once(
    database: Database, registry: AgentRegistry, journal: Journal, ctx: Context
) -> None:
    await register(database, registry, ctx, CODER, replace(CODER, version="2", capacity=7))
    agent = await registry.agent(ctx, "coder")
    assert (agent.version, agent.capacity) == ("2", 7)
    events = await journal.read(ctx, types=["agent.availability"])
    assert [event.data["to"] for event in events] == ["online"]


@pytest.mark.requirement("ENT-38", "ENT-50")
async def test_a_silent_agent_goes_offline_and_a_heartbeat_brings_it_back(
    database: Database, registry: AgentRegistry, ctx: Context, watch: Watch
) -> None:
    await register(database, registry, ctx, CODER)
    watch.time += timedelta(seconds=61)
    assert (await registry.agent(ctx, "coder")).availability is Availability.OFFLINE
    assert (await registry.metrics(ctx)).total_capacity == 0
    async with database.transaction() as tx:
        await registry.heartbeat(tx, ctx, ["coder", "nobody"])
    assert (await registry.agent(ctx, "coder")).availability is Availability.ONLINE


@pytest.mark.requirement("ENT-38", "MAOS-07")
async def test_availability_moves_are_checked_and_journaled(
    database: Database, registry: AgentRegistry, journal: Journal, ctx: Context
) -> None:
    await register(database, registry, ctx, CODER)

    async def move(to: Availability, detail: str | None = None) -> None:
        async with database.transaction() as tx:
            await registry.set_availability(tx, ctx, "coder", to, detail=detail)

    await move(Availability.ERROR, "no key")
    agent = await registry.agent(ctx, "coder")
    assert (agent.availability, agent.detail) == (Availability.ERROR, "no key")
    with pytest.raises(Conflict, match="'error' to 'busy'"):
        await move(Availability.BUSY)
    await move(Availability.ONLINE)
    await move(Availability.OFFLINE)
    await register(database, registry, ctx, CODER)
    with pytest.raises(NotFound):
        async with database.transaction() as tx:
            await registry.set_availability(tx, ctx, "nobody", Availability.ONLINE)
    events = await journal.read(ctx, types=["agent.availability"])
    assert [(event.data["from"], event.data["to"]) for event in events] == [
        (None, "online"),
        ("online", "error"),
        ("error", "online"),
        ("online", "offline"),
        ("offline", "online"),
    ]


@pytest.mark.requirement("ENT-37")
async def test_load_counts_the_jobs_at_work_and_not_those_that_wait_for_people(
    database: Database, registry: AgentRegistry, conversations: Conversations, ctx: Context
) -> None:
    await register(database, registry, ctx, CODER, PLANNER)
    for number, state in enumerate(
        [
            TurnState.RUNNING,
            TurnState.AWAITING_TOOL,
            TurnState.AWAITING_APPROVAL,
            TurnState.COMPLETE,
            TurnState.FAILED,
        ]
    ):
        row = conversations.log(ctx, "run_1", f"step{number}", agent="coder").row(state, turns=1, model="x:y")
        async with database.transaction() as tx:
            await tx.execute(row)
    coder = await registry.agent(ctx, "coder")
    assert (coder.active, coder.load, coder.availability) == (2, 1.0, Availability.BUSY)
    assert (await registry.metrics(ctx)).to_json() == {
        "total": 2,
        "online": 1,
        "offline": 0,
        "busy": 1,
        "error": 0,
        "average_load": 0.5,
        "total_capacity": 6,
        "utilization": 33.33,
    }


@pytest.mark.requirement("ENT-38", "MAOS-07", "STK-09")
async def test_the_fittest_agent_is_found_first(
    database: Database, registry: AgentRegistry, conversations: Conversations, ctx: Context
) -> None:
    await register(database, registry, ctx, CODER, PLANNER)

    async def names(**query: object) -> list[str]:
        return [agent.name for agent in await registry.find(ctx, **query)]  # type: ignore[arg-type]

    assert await names(capabilities=["task.decompose"]) == ["planner"]
    assert await names(capabilities=["task.decompose", "deploy.run"]) == []
    assert await names(capabilities=["code.write"], task="Fix the Bug") == ["coder", "planner"]
    assert await names(capabilities=["code.write"], task_kind="planning") == ["planner", "coder"]
    row = conversations.log(ctx, "run_1", "s", agent="coder").row(TurnState.RUNNING, turns=1, model="x:y")
    async with database.transaction() as tx:
        await tx.execute(row)
    assert await names(capabilities=["code.write"]) == ["planner", "coder"]
    async with database.transaction() as tx:
        await registry.set_availability(tx, ctx, "planner", Availability.ERROR)
    assert await names() == ["coder"]


@pytest.mark.requirement("MOZ-127", "ENT-64")
async def test_a_conversation_is_read_back_whole_and_masked_by_its_tenant_only(
    database: Database, conversations: Conversations, redactor: Redactor, ctx: Context
) -> None:
    redactor.add("hunter2hunter2")
    log = conversations.log(ctx, "run_1", "build[2]/code", agent="coder")
    said = [Message.of("user", "go"), Message.of("assistant", "the key is hunter2hunter2")]
    await log.keep(said)
    first = log.newest
    said.append(Message.of("user", "more"))
    await log.keep(said)
    await log.keep(said)
    assert log.newest != first
    async with database.transaction() as tx:
        await tx.execute(log.row(TurnState.RUNNING, turns=1, model="openai:m"))
    found = await conversations.conversation(ctx, "run_1", "build[2]/code")
    assert [message.text for message in found.messages] == ["go", "the key is [redacted]", "more"]
    assert (found.agent, found.state, found.turns, found.model) == ("coder", "running", 1, "openai:m")
    assert [one.path for one in await conversations.conversations(ctx, "run_1")] == ["build[2]/code"]
    for wrong in (replace(ctx, tenant="t2"), ctx):
        with pytest.raises(NotFound):
            await conversations.conversation(wrong, "run_1" if wrong is not ctx else "run_2", "build[2]/code")


@pytest.mark.requirement("MOZ-19", "MAOS-07")
async def test_the_end_of_a_run_ends_what_its_agents_were_doing(
    database: Database, conversations: Conversations, registry: AgentRegistry, journal: Journal, ctx: Context
) -> None:
    await register(database, registry, ctx, CODER)
    states = [TurnState.RUNNING, TurnState.AWAITING_APPROVAL, TurnState.COMPLETE]
    for number, state in enumerate(states):
        row = conversations.log(ctx, "run_1", f"s{number}", agent="coder").row(state, turns=2, model="x:y")
        async with database.transaction() as tx:
            await tx.execute(row)
    async with database.transaction() as tx:
        await conversations.close_run(tx, ctx, "run_1")
    found = await conversations.conversations(ctx, "run_1")
    assert [one.state for one in found] == ["cancelled", "cancelled", "complete"]
    assert (await registry.agent(ctx, "coder")).active == 0
    events = await journal.read(ctx, types=["agent.turn"])
    assert [(event.data["from"], event.data["to"], event.run_id) for event in events] == [
        ("running", "cancelled", "run_1"),
        ("awaiting_approval", "cancelled", "run_1"),
    ]
    assert Trigger.CANCEL.value == events[0].data["trigger"]


@pytest.mark.requirement("ENT-38")
async def test_a_process_keeps_the_agents_alive_that_it_has_registered(
    database: Database, journal: Journal, ctx: Context, watch: Watch
) -> None:
    registry = AgentRegistry(database, journal, heartbeat_s=0.01, expiry_s=60, clock=watch)
    await register(database, registry, ctx, CODER)
    watch.time += timedelta(seconds=61)
    assert (await registry.agent(ctx, "coder")).availability is Availability.OFFLINE
    beating = asyncio.create_task(registry.keep_alive())
    async with asyncio.timeout(10):
        while (await registry.agent(ctx, "coder")).availability is not Availability.ONLINE:  # noqa: ASYNC110 - no event of ours tells of a heartbeat
            await asyncio.sleep(0)
    beating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beating
