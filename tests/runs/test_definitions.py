"""The definitions that runs pin."""

import asyncio

import pytest

from mosaic.core.clock import now
from mosaic.core.context import Actor, Context
from mosaic.runs.repository import DefinitionRepository

pytestmark = pytest.mark.anyio

HASH = "sha256:" + "0" * 64


async def test_many_first_starts_of_a_definition_at_the_same_moment_all_succeed(database):
    rows, ctx = DefinitionRepository(database.dialect), Context("t1", "p1", Actor("user", "u1"))

    async def permit():
        async with database.transaction() as tx:
            await rows.add(tx, ctx, content_hash=HASH, name="w", version="1", at=now())

    async with asyncio.timeout(30):
        await asyncio.gather(*(permit() for _ in range(10)))
        async with database.transaction(read_only=True) as tx:
            assert await rows.has(tx, ctx, HASH)
            assert not await rows.has(tx, Context("t2", "p1", ctx.actor), HASH)
