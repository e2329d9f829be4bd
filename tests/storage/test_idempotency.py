"""Requests that are done once: claimed by one, answered to all, forgotten after a day."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from mosaic.storage import Database, IdempotencyKeys, KeptAnswer
from mosaic.storage.models import idempotency_key

pytestmark = pytest.mark.anyio

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
ANSWER = KeptAnswer(201, {"Location": "/x"}, b'{"id": "x"}')


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


async def test_of_many_at_once_one_does_it_and_the_others_get_its_answer(database: Database) -> None:
    keys, others = IdempotencyKeys(database), IdempotencyKeys(database)
    claims = await asyncio.gather(*((keys, others)[n % 2].claim("t1", "k", "f") for n in range(10)))
    (mine,) = [claim for claim in claims if claim.state == "new"]
    assert {claim.state for claim in claims} == {"new", "open"}
    await keys.finish(mine, ANSWER)
    again = await others.claim("t1", "k", "f")
    assert (again.state, again.answer) == ("done", ANSWER)
    assert (await keys.claim("t1", "k", "another request")).state == "other"
    assert (await keys.claim("t2", "k", "another tenant")).state == "new"


async def test_what_changed_nothing_may_be_sent_again_under_the_same_key(database: Database) -> None:
    keys = IdempotencyKeys(database)
    first = await keys.claim("t1", "k", "f")
    await keys.release(first)
    second = await keys.claim("t1", "k", "f")
    assert second.state == "new"
    await keys.finish(first, ANSWER)  # too late: the key is somebody else's
    assert (await keys.claim("t1", "k", "f")).state == "open"
    await keys.finish(second, KeptAnswer(201, {}, None))
    kept = (await keys.claim("t1", "k", "f")).answer
    assert kept == KeptAnswer(201, {}, None)


async def test_keys_are_kept_for_a_day_and_no_longer(database: Database) -> None:
    clock = Hands()
    keys = IdempotencyKeys(database, clock=clock)
    for number in range(3):
        await keys.finish(await keys.claim("t1", f"old-{number}", "f"), ANSWER)
    clock.time = START + timedelta(hours=23, minutes=59)
    assert (await keys.claim("t1", "old-0", "f")).state == "done"
    clock.time = START + timedelta(hours=24, minutes=1)
    assert (await keys.claim("t1", "old-0", "another request")).state == "new"
    async with database.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(idempotency_key)) == 1


async def test_the_key_itself_is_not_stored(database: Database) -> None:
    await IdempotencyKeys(database).claim("t1", "order-4711", "f")
    async with database.transaction(read_only=True) as tx:
        (row,) = await tx.rows(select(idempotency_key))
    assert "order-4711" not in str(dict(row))
