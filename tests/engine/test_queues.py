"""Queues: limits, priorities, fairness."""

import asyncio
from dataclasses import replace

import pytest

from mosaic.core.context import Actor, Context
from mosaic.engine import ExecutionStatus, QueueLimits
from tests.engine.conftest import SETTINGS, WAIT_S

pytestmark = pytest.mark.anyio


class Gauge:
    """Handlers that stay until they are let go, and know how many there are."""

    def __init__(self):
        self.running = {}
        self.most = {}
        self.order = []
        self.gate = asyncio.Event()
        self.changed = asyncio.Condition()

    async def __call__(self, execution):
        tenant = execution.ctx.tenant
        self.running[tenant] = self.running.get(tenant, 0) + 1
        self.most[tenant] = max(self.most.get(tenant, 0), self.running[tenant])
        self.most["all"] = max(self.most.get("all", 0), sum(self.running.values()))
        self.order.append(execution.input["n"])
        async with self.changed:
            self.changed.notify_all()
        try:
            await self.gate.wait()
        finally:
            self.running[tenant] -= 1
        return execution.input["n"]

    async def until(self, number):
        """Wait until so many have begun."""
        async with asyncio.timeout(WAIT_S), self.changed:
            await self.changed.wait_for(lambda: len(self.order) >= number)


def limited(**limits):
    return replace(SETTINGS, queues={"agents": QueueLimits(**limits)})


async def enqueue(engine, ctx, numbers, **options):
    for number in numbers:
        await engine.start(
            ctx,
            execution_id=f"{ctx.tenant}-{number}",
            run_id=f"r-{number}",
            handler="agent",
            input={"n": number},
            queue="agents",
            **options,
        )


async def results(engine, ctx, numbers):
    return [(await engine.wait(f"{ctx.tenant}-{n}", timeout_s=WAIT_S)).output for n in numbers]


@pytest.mark.requirement("MAOS-08")
async def test_a_tenant_never_runs_more_than_its_limit_and_others_are_not_kept_waiting(launch, ctx):
    agent, other = Gauge(), Context("t2", "p1", Actor("user", "u2"))
    engine = await launch(limited(per_tenant_concurrency=2, per_node_concurrency=10), agent=agent)
    await enqueue(engine, ctx, range(12))
    await agent.until(2)
    await enqueue(engine, other, range(100, 104))
    await agent.until(4)
    assert sorted(agent.order)[2:] == [100, 101]
    agent.gate.set()
    assert await results(engine, ctx, range(12)) == list(range(12))
    assert await results(engine, other, range(100, 104)) == list(range(100, 104))
    assert (agent.most["t1"], agent.most["t2"]) == (2, 2)


@pytest.mark.requirement("MAOS-16")
async def test_a_node_never_runs_more_than_its_limit(launch, ctx):
    agent = Gauge()
    engine = await launch(limited(per_node_concurrency=3), agent=agent)
    await enqueue(engine, ctx, range(9))
    await agent.until(3)
    agent.gate.set()
    assert await results(engine, ctx, range(9)) == list(range(9))
    assert agent.most["all"] == 3


async def test_a_limit_for_all_nodes_holds_too(launch, ctx):
    agent = Gauge()
    engine = await launch(
        limited(concurrency=2, per_tenant_concurrency=2, per_node_concurrency=2), agent=agent
    )
    await enqueue(engine, ctx, range(6))
    await agent.until(2)
    agent.gate.set()
    assert await results(engine, ctx, range(6)) == list(range(6))
    assert agent.most["all"] == 2


@pytest.mark.requirement("ENT-40")
async def test_the_lower_priority_number_goes_first(launch, ctx):
    agent = Gauge()
    engine = await launch(limited(per_tenant_concurrency=1, per_node_concurrency=10), agent=agent)
    await enqueue(engine, ctx, [0])
    await agent.until(1)
    for number, priority in ((1, 30), (2, 10), (3, 20), (4, 10)):
        await enqueue(engine, ctx, [number], priority=priority)
    agent.gate.set()
    await results(engine, ctx, range(5))
    assert agent.order == [0, 2, 4, 3, 1]


async def test_what_is_cancelled_in_the_queue_never_starts(launch, ctx):
    agent = Gauge()
    engine = await launch(limited(per_tenant_concurrency=1, per_node_concurrency=10), agent=agent)
    await enqueue(engine, ctx, range(3))
    await agent.until(1)
    await engine.cancel(ctx, "r-1")
    assert (await engine.wait("t1-1", timeout_s=WAIT_S)).status is ExecutionStatus.CANCELLED
    agent.gate.set()
    await results(engine, ctx, [0, 2])
    assert agent.order == [0, 2]


async def test_many_queued_executions_all_run_once(launch, ctx):
    agent = Gauge()
    agent.gate.set()
    engine = await launch(limited(per_tenant_concurrency=20, per_node_concurrency=40), agent=agent)
    await asyncio.gather(*(enqueue(engine, ctx, [number]) for number in range(80)))
    assert await results(engine, ctx, range(80)) == list(range(80))
    assert sorted(agent.order) == list(range(80))
