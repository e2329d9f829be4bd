"""Values come back from both databases as they were written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, insert, select
from sqlalchemy.exc import StatementError

from mosaic.core.values import JsonValue
from mosaic.storage import Database, ExactJson, Json, UtcDateTime
from mosaic.storage.columns import iso_utc

pytestmark = pytest.mark.anyio

_sample = Table(
    "sample",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime),
    Column("loose", Json),
    Column("exact", ExactJson),
)


@pytest.fixture
async def sample(database: Database) -> Table:
    engine = database.sync_engine()
    _sample.metadata.create_all(engine)
    engine.dispose()
    return _sample


async def test_a_time_comes_back_in_utc_to_the_microsecond(database: Database, sample: Table) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    async with database.transaction() as tx:
        await tx.execute(insert(sample).values(id=1, at=moment))
        await tx.execute(insert(sample).values(id=2, at=None))
        found = await tx.rows(select(sample).order_by(sample.c.id))
    assert found[0]["at"] == moment
    assert found[0]["at"].tzinfo is UTC
    assert found[1]["at"] is None


async def test_times_compare_by_time_in_a_query(database: Database, sample: Table) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    async with database.transaction() as tx:
        rows = [{"id": n, "at": start + timedelta(microseconds=n * 999_999)} for n in range(5)]
        await tx.execute(insert(sample), rows)
        later = select(sample.c.id).where(sample.c.at > start + timedelta(seconds=2)).order_by(sample.c.at)
        assert [row["id"] for row in await tx.rows(later)] == [3, 4]


async def test_a_time_without_a_timezone_is_refused(database: Database, sample: Table) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the mistake under test
    with pytest.raises(StatementError, match="timezone"):
        async with database.transaction() as tx:
            await tx.execute(insert(sample).values(id=1, at=naive))


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_the_text_of_times_sorts_as_the_times_do(one: datetime, other: datetime) -> None:
    assert (iso_utc(one) < iso_utc(other)) == (one < other)


@pytest.mark.parametrize(
    "value",
    [
        {"z": 1, "a": {"y": [1, 2.5, None, True], "b": "ä€😀"}},
        [],
        "text",
        0,
        {"nul": "a\x00b", "half": "\ud800", "big": 2**70, "tiny": 1e-300},
    ],
)
async def test_exact_json_comes_back_with_its_key_order_and_its_odd_characters(
    database: Database, sample: Table, value: JsonValue
) -> None:
    async with database.transaction() as tx:
        await tx.execute(insert(sample).values(id=1, exact=value))
        found = await tx.scalar(select(sample.c.exact))
    assert found == value
    assert str(found) == str(value)


async def test_loose_json_can_be_asked_about_its_fields(database: Database, sample: Table) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            insert(sample),
            [{"id": n, "loose": {"n": n, "kind": "even" if n % 2 == 0 else "odd"}} for n in range(4)],
        )
        query = select(sample.c.id).where(sample.c.loose["kind"].as_string() == "odd").order_by(sample.c.id)
        assert [row["id"] for row in await tx.rows(query)] == [1, 3]


async def test_an_absent_json_value_is_null_in_the_database(database: Database, sample: Table) -> None:
    async with database.transaction() as tx:
        await tx.execute(insert(sample).values(id=1, loose=None, exact=None))
        query = select(sample.c.id).where(
            sample.c.loose.is_(sqlalchemy.null()), sample.c.exact.is_(sqlalchemy.null())
        )
        assert await tx.scalar(query) == 1
