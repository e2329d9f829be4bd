"""An answer is worked out once while nothing happens, and again when something has."""

import asyncio

import pytest

from mosaic.app.remembered import Remembered
from mosaic.core.context import Actor, Context
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject
from mosaic.events import Journal, NewEvent

pytestmark = pytest.mark.anyio


class Counter:
    """Answers with how often it was asked, and tells nobody before it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def answer(self) -> JsonObject:
        self.asked += 1
        asked = self.asked
        await self.go.wait()
        return {"asked": asked}


async def test_an_answer_holds_until_the_journal_grows(journal: Journal, ctx: Context) -> None:
    remembered, counter = Remembered(journal), Counter()
    counter.go.clear()
    several = [asyncio.create_task(remembered.of(ctx, "q", counter.answer)) for _ in range(5)]
    leaving = asyncio.create_task(remembered.of(ctx, "q", counter.answer))
    async with asyncio.timeout(60):
        while not counter.asked:  # noqa: ASYNC110  # until it is being worked out
            await asyncio.sleep(0)
        leaving.cancel()  # one who goes away takes no answer from the others
        counter.go.set()
        assert await asyncio.gather(*several) == [{"asked": 1}] * 5

    await journal.finish_effect(ctx, "run_1", "a#1", events=[NewEvent("a.b")])
    assert await remembered.of(ctx, "q", counter.answer) == {"asked": 2}
    assert await remembered.of(ctx, "other", counter.answer) == {"asked": 3}
    someone = Context(ctx.tenant, ctx.project, Actor("user", "else"))
    assert await remembered.of(someone, "q", counter.answer) == {"asked": 4}


async def test_a_failure_is_not_remembered(journal: Journal, ctx: Context) -> None:
    remembered, counter = Remembered(journal), Counter()

    async def fail() -> JsonObject:
        raise NotFound("It is not there.")

    with pytest.raises(NotFound):
        await remembered.of(ctx, "q", fail)
    assert await remembered.of(ctx, "q", counter.answer) == {"asked": 1}


async def test_what_is_done_with_an_answer_changes_it_for_nobody_else(journal: Journal, ctx: Context) -> None:
    remembered, counter = Remembered(journal), Counter()
    (await remembered.of(ctx, "q", counter.answer))["asked"] = 99
    assert (await remembered.of(ctx, "q", counter.answer))["asked"] in (1, 2)
