"""Limits of rate and concurrency: per tool and tenant, named in the refusal, counted only while calls run."""

import asyncio

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import LimitExceeded
from mosaic.engine import Effects
from mosaic.tools import Invocation, ToolResult
from mosaic.tools.policies.limits import LimitKeeper, ToolLimit
from tests.tools.policies.conftest import Echo, PolicyBench

pytestmark = pytest.mark.anyio


class Slow(Echo):
    """Waits until it is let go."""

    def __init__(self, name: str = "acme.slow") -> None:
        super().__init__(name)
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def call(self, invocation: Invocation, arguments: dict[str, object]) -> ToolResult:
        self.begun.set()
        await self.go.wait()
        return await super().call(invocation, arguments)


async def test_more_calls_in_a_minute_than_the_limit_are_refused_and_recorded(policed: PolicyBench) -> None:
    policed.write("limits: {'acme.*': {requests_per_minute: 2}}")
    tool = Echo()
    await policed.call(tool)
    await policed.call(tool)
    with pytest.raises(LimitExceeded, match=r"acme\.do was called 2 times in a minute.*acme\.\*") as refused:
        await policed.call(tool, name="third")
    assert refused.value.data["resource"] == "tool:acme.*"
    assert refused.value.data["retry_after_s"] > 0
    with pytest.raises(LimitExceeded):  # a replay sees what happened
        await policed.call(tool, name="third")
    assert len(tool.calls) == 2
    # Another tool and another tenant have limits of their own.
    await policed.call(Echo("acme.other"))
    other = Effects.open(policed.journal, Context("t2", "p1", Actor("user", "u1")), "run_9", path="s")
    await policed.call(tool, effects=other)


async def test_more_calls_at_once_than_the_limit_are_refused_until_one_ends(policed: PolicyBench) -> None:
    policed.write("limits: {acme.slow: {concurrency: 1}}")
    slow = Slow()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        first = group.create_task(policed.call(slow, effects=policed.effects("a")))
        await slow.begun.wait()
        with pytest.raises(LimitExceeded, match=r"acme\.slow is called 1 times at once"):
            await policed.call(slow, effects=policed.effects("b"))
        slow.go.set()
        await first
    await policed.call(slow, effects=policed.effects("c"))
    assert len(slow.calls) == 2


async def test_a_limit_may_hold_for_some_tenants(policed: PolicyBench) -> None:
    policed.write("limits: {'*': {requests_per_minute: 1, tenant: t2}}")
    for _ in range(3):
        await policed.call(Echo())


def test_a_limit_that_stays_keeps_what_was_counted_when_others_change() -> None:
    one, two = ToolLimit("a.*", requests_per_minute=1), ToolLimit("b.*", concurrency=1)
    keeper = LimitKeeper([one])
    with keeper.entered("a.x", "t"):
        pass
    keeper.replace([one, two])
    with pytest.raises(LimitExceeded), keeper.entered("a.x", "t"):
        pass
    keeper.replace([two])
    with keeper.entered("a.x", "t"):
        pass


def test_a_refused_call_takes_nothing_from_other_limits() -> None:
    keeper = LimitKeeper([ToolLimit("*", requests_per_minute=2), ToolLimit("a", requests_per_minute=1)])
    with keeper.entered("a", "t"):
        pass
    for _ in range(3):
        with pytest.raises(LimitExceeded, match="limit for a allows"), keeper.entered("a", "t"):
            pass
    assert keeper.entered("a", "t") is not None


def test_a_call_that_fails_gives_its_place_back() -> None:
    keeper = LimitKeeper([ToolLimit("a", concurrency=1)])
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), keeper.entered("a", "t"):
            raise ZeroDivisionError
