"""Readers: many at once, each of one moment, and none lost to a caller that went away."""

import asyncio

import pytest
from sqlalchemy import Table, func, insert, select, text

from mosaic.storage import Database

pytestmark = pytest.mark.anyio
ENDLESS = text(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n"
)
NUMBER = text("SELECT 1")


async def test_more_readers_than_connections_are_all_answered(database: Database, notes: Table) -> None:
    async with database.transaction() as tx:
        await tx.execute(insert(notes).values(id=1, text="a"))

    async def read() -> list[int]:
        async with database.transaction(read_only=True) as tx:
            row = await tx.row(select(notes))
            assert row is not None
            return [int(row["id"]), int(await tx.scalar(select(func.count()).select_from(notes)))]

    async with asyncio.timeout(60):
        answers = await asyncio.gather(*(read() for _ in range(6 * database.settings.pool_size)))
    assert answers == [[1, 1]] * len(answers)


async def test_a_reader_whose_caller_went_away_gives_its_connection_back(database: Database) -> None:
    async def read() -> None:
        async with database.transaction(read_only=True) as tx:
            await tx.scalar(ENDLESS)

    for _ in range(2):
        readers = [asyncio.create_task(read()) for _ in range(database.settings.pool_size)]
        await asyncio.wait(readers, timeout=0.05)  # some have begun, some have not
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)
    async with asyncio.timeout(60), database.transaction(read_only=True) as tx:
        assert await tx.scalar(NUMBER) == 1


async def test_a_reader_sees_one_moment_on_sqlite(database: Database, notes: Table) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL shows each statement what is committed by then")
    counted = select(func.count()).select_from(notes)
    async with database.transaction(read_only=True) as reader:
        assert await reader.scalar(counted) == 0
        async with database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="a"))
        assert await reader.scalar(counted) == 0
    async with database.transaction(read_only=True) as reader:
        assert await reader.scalar(counted) == 1
        with pytest.raises(RuntimeError, match="only reads"):
            await reader.execute(insert(notes).values(id=2, text="b"))
