"""How far runs are, kept between questions."""

import asyncio
from typing import Any

import pytest
from sqlalchemy.event import listen

from mosaic.core.context import Actor, Context
from mosaic.events import Journal, NewEvent
from mosaic.runs.progress import RunProgress
from mosaic.runs.progress_reader import ProgressReader
from mosaic.storage import Database

pytestmark = pytest.mark.anyio


async def happen(journal: Journal, ctx: Context, run: str, *events: NewEvent) -> None:
    await journal.finish_effect(ctx, run, f"{run}#{await journal.head(ctx)}", events=events)


def started(path: str) -> NewEvent:
    return NewEvent("step.started", path=path)


def asked(path: str, approval: str) -> NewEvent:
    return NewEvent("approval.requested", {"approval": approval}, path=path)


async def test_progress_is_that_of_the_whole_journal_whenever_it_is_asked_for(
    database: Database, journal: Journal, ctx: Context
) -> None:
    reader = ProgressReader(journal)
    other = Context("t2", "p1", Actor("user", "u2"))
    await happen(journal, ctx, "one", started("a"), NewEvent("model.called", path="a"), asked("a", "apr_1"))
    await happen(journal, other, "one", started("z"))
    first = await reader.of(ctx, ["one", "two"])
    assert (first["one"].pending, first["one"].quiescent) == ({"apr_1": "a"}, True)
    assert not first["two"].active

    await happen(journal, ctx, "two", started("b"))
    await happen(journal, ctx, "one", NewEvent("approval.decided", {"approval": "apr_1"}, path="a"))
    many = [started(f"s{number}") for number in range(600)]  # more than a page
    await happen(journal, ctx, "two", *many)
    several = await asyncio.gather(*(reader.of(ctx, ["one", "two", "three"]) for _ in range(4)))
    for run in ("one", "two"):
        whole, after = RunProgress(), 0
        while events := await journal.read(ctx, run_id=run, after=after):
            whole.apply_all(event.to_json() for event in events if event.type != "model.called")
            after = events[-1].seq
        assert all(found[run] == whole for found in several)
    assert (await reader.of(other, ["one"]))["one"].active == {"z"}

    read: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "FROM event" in statement:
            read.append(statement)

    listen(database.read_engine, "before_cursor_execute", note)
    await reader.of(ctx, ["one", "two"])
    assert not read, "nothing has happened, so there is nothing to read"
