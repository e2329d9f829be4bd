"""The journal keeps every event and effect: in order, once, redacted, inside its tenant."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text

from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput
from mosaic.core.redaction import MASK, Redactor
from mosaic.core.values import JsonValue
from mosaic.events import Event, Journal, NewEvent
from mosaic.events.models import effect as effect_table
from mosaic.events.models import event as event_table
from mosaic.storage import Database, Duplicate, FileBlobs, Refused

pytestmark = pytest.mark.anyio

OTHER = Context(tenant="t2", project="p1", actor=Actor("user", "u2"))


async def append(database: Database, journal: Journal, ctx: Context, *events: NewEvent) -> list[Event]:
    async with database.transaction() as tx:
        return await journal.append(tx, ctx, events)


async def everything(database: Database) -> str:
    """Return every row of the journal as text, whoever's it is."""
    async with database.transaction(read_only=True) as tx:
        return str([*await tx.rows(select(event_table)), *await tx.rows(select(effect_table))])


# Events


@pytest.mark.requirement("ORC-83", "MAOS-03")
async def test_events_come_back_in_order_with_their_envelope(
    database: Database, journal: Journal, ctx: Context
) -> None:
    ctx = ctx.correlated("run_1", causation="evt_0")
    written = await append(
        database,
        journal,
        ctx,
        NewEvent("step.started", {"a": 1}, run_id="run_1", path="build", schema_version=2),
        NewEvent("run.ended"),
    )
    read = await journal.read(ctx)

    assert read == written
    first, second = read
    assert (first.seq, second.seq) == (1, 2)
    assert (first.tenant, first.project, first.actor) == ("t1", "p1", "user:u1")
    assert (first.correlation, first.causation) == ("run_1", "evt_0")
    assert (first.run_id, first.path, first.schema_version) == ("run_1", "build", 2)
    assert first.id != second.id
    assert first.to_json()["occurred_at"].endswith("Z")
    assert await journal.head(ctx) == 2


async def test_an_event_of_a_run_is_correlated_by_it_when_nothing_else_is_said(
    database: Database, journal: Journal, ctx: Context
) -> None:
    (event,) = await append(database, journal, ctx, NewEvent("run.started", run_id="run_1"))
    assert event.correlation == "run_1"


async def test_a_reader_can_ask_for_a_run_for_types_and_for_what_came_after(
    database: Database, journal: Journal, ctx: Context
) -> None:
    for number in range(6):
        kind = "tool.called" if number % 2 else "model.called"
        await append(database, journal, ctx, NewEvent(kind, run_id=f"run_{number % 3}"))

    assert [e.seq for e in await journal.read(ctx, after=4)] == [5, 6]
    assert [e.seq for e in await journal.read(ctx, run_id="run_1")] == [2, 5]
    assert [e.seq for e in await journal.read(ctx, types=["tool.called"])] == [2, 4, 6]
    assert [e.seq for e in await journal.read(ctx, run_id="run_1", types=["tool.called"], after=1)] == [2]
    assert [e.seq for e in await journal.read(ctx, limit=2)] == [1, 2]
    assert await journal.read(ctx, types=[]) == []


async def test_a_transaction_that_fails_leaves_no_event_and_no_gap(
    database: Database, journal: Journal, ctx: Context
) -> None:
    async def fail() -> None:
        async with database.transaction() as tx:
            await journal.append(tx, ctx, [NewEvent("never.happened")])
            raise KeyError

    await append(database, journal, ctx, NewEvent("a.b"))
    with pytest.raises(KeyError):
        await fail()
    await append(database, journal, ctx, NewEvent("a.c"))
    assert [(e.seq, e.type) for e in await journal.read(ctx)] == [(1, "a.b"), (2, "a.c")]


async def test_appending_nothing_writes_nothing(database: Database, journal: Journal, ctx: Context) -> None:
    assert await append(database, journal, ctx) == []
    assert await journal.head(ctx) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"a": {1, 2}}])
async def test_what_is_not_json_is_refused_before_anything_is_written(
    database: Database, journal: Journal, ctx: Context, value: object
) -> None:
    with pytest.raises(InvalidInput, match="journaled"):
        await append(database, journal, ctx, NewEvent("a.b", {"value": value}))
    with pytest.raises(InvalidInput, match="journaled"):
        await journal.finish_effect(ctx, "run_1", "a#b", result=value)  # type: ignore[arg-type]  # the mistake under test
    assert await journal.head(ctx) == 0


# Effects


async def test_an_effect_is_recorded_with_its_result_and_its_events(journal: Journal, ctx: Context) -> None:
    returned = await journal.finish_effect(
        ctx,
        "run_1",
        "build[2]#model",
        result={"z": (1, 2), "a": None},
        events=[NewEvent("model.called"), NewEvent("cost.booked", path="elsewhere")],
        path="build[2]",
    )
    recorded = await journal.recorded(ctx, "run_1")

    assert list(recorded) == ["build[2]#model"]
    effect = recorded["build[2]#model"]
    assert effect.result == returned == {"z": [1, 2], "a": None}
    assert list(effect.result) == ["z", "a"]
    assert (effect.error, effect.started_only, effect.event_seq) == (None, False, 2)
    assert [(e.run_id, e.path) for e in await journal.read(ctx)] == [
        ("run_1", "build[2]"),
        ("run_1", "elsewhere"),
    ]


@pytest.mark.parametrize(
    "result", [None, 0, "", [], {}, "text", [1, {"a": None}], 1.5, {"nul": "\x00", "half": "\udc00"}]
)
async def test_any_json_value_is_a_result(journal: Journal, ctx: Context, result: JsonValue) -> None:
    await journal.finish_effect(ctx, "run_1", "a#b", result=result)
    assert (await journal.recorded(ctx, "run_1"))["a#b"].result == result


async def test_an_effect_can_end_with_an_error_and_without_events(journal: Journal, ctx: Context) -> None:
    error = {"code": "tool_failed", "message": "exit 1"}
    await journal.finish_effect(ctx, "run_1", "a#b", error=error)
    effect = (await journal.recorded(ctx, "run_1"))["a#b"]
    assert (effect.result, effect.error, effect.started_only, effect.event_seq) == (None, error, False, 0)
    assert await journal.head(ctx) == 0


async def test_a_finished_effect_cannot_be_finished_again(journal: Journal, ctx: Context) -> None:
    await journal.finish_effect(ctx, "run_1", "a#b", result=1, events=[NewEvent("x.done")])
    with pytest.raises(Conflict, match="a#b is finished"):
        await journal.finish_effect(ctx, "run_1", "a#b", result=2, events=[NewEvent("x.done")])
    assert (await journal.recorded(ctx, "run_1"))["a#b"].result == 1
    assert await journal.head(ctx) == 1


async def test_of_two_that_finish_one_effect_at_once_only_one_succeeds(
    journal: Journal, ctx: Context
) -> None:
    async with asyncio.timeout(20):
        ends = await asyncio.gather(
            *(
                journal.finish_effect(ctx, "run_1", "a#b", result=n, events=[NewEvent("x.y")])
                for n in range(5)
            ),
            return_exceptions=True,
        )
    winners = [end for end in ends if not isinstance(end, Exception)]
    assert [type(end) for end in ends].count(Conflict) == 4
    assert [(await journal.recorded(ctx, "run_1"))["a#b"].result] == winners
    assert await journal.head(ctx) == 1


async def test_an_intent_is_seen_until_its_answer_is_known(journal: Journal, ctx: Context) -> None:
    await journal.begin_effect(ctx, "run_1", "a#pay", {"amount": 5})
    begun = (await journal.recorded(ctx, "run_1"))["a#pay"]
    assert (begun.started_only, begun.intent, begun.result) == (True, {"amount": 5}, None)

    with pytest.raises(Conflict, match="begun before"):
        await journal.begin_effect(ctx, "run_1", "a#pay", {"amount": 5})

    await journal.finish_effect(ctx, "run_1", "a#pay", result="paid")
    ended = (await journal.recorded(ctx, "run_1"))["a#pay"]
    assert (ended.started_only, ended.intent, ended.result) == (False, None, "paid")
    with pytest.raises(Conflict):
        await journal.begin_effect(ctx, "run_1", "a#pay", {})


async def test_effects_are_found_by_prefix_letter_for_letter(journal: Journal, ctx: Context) -> None:
    for key in ("build#a", "Build#a", "build[1]#a", "bui%d#a", "b_ild#a"):
        await journal.finish_effect(ctx, "run_1", key)
    assert set(await journal.recorded(ctx, "run_1", prefix="build")) == {"build#a", "build[1]#a"}
    assert set(await journal.recorded(ctx, "run_1", prefix="bui%")) == {"bui%d#a"}
    assert set(await journal.recorded(ctx, "run_1", prefix="b_")) == {"b_ild#a"}
    assert len(await journal.recorded(ctx, "run_1")) == 5
    assert await journal.recorded(ctx, "run_2") == {}


async def test_the_rows_of_an_effect_are_written_with_it_or_not_at_all(
    database: Database, journal: Journal, ctx: Context
) -> None:
    ledger = Table("ledger", MetaData(), Column("id", Integer, primary_key=True))
    engine = database.sync_engine()
    ledger.metadata.create_all(engine)
    engine.dispose()
    write = insert(ledger).values(id=1)

    await journal.finish_effect(ctx, "run_1", "a#b", result=1, events=[NewEvent("x.y")], writes=[write])
    with pytest.raises(Duplicate) as refused:
        await journal.finish_effect(ctx, "run_1", "a#c", result=1, events=[NewEvent("x.y")], writes=[write])

    assert not isinstance(refused.value, Conflict) or isinstance(refused.value, Refused)
    assert set(await journal.recorded(ctx, "run_1")) == {"a#b"}
    assert await journal.head(ctx) == 1


async def test_a_fork_gets_the_finished_effects_it_names(
    database: Database, journal: Journal, ctx: Context, blobs: FileBlobs
) -> None:
    await journal.finish_effect(ctx, "run_1", "a#1", result="x" * 20_000)
    await journal.finish_effect(ctx, "run_1", "a#2", error={"code": "conflict", "message": "m"})
    await journal.finish_effect(ctx, "run_1", "a#3", result=3)
    await journal.begin_effect(ctx, "run_1", "a#4", {})
    async with database.transaction() as tx:
        assert await journal.copy_effects(tx, ctx, "run_1", "run_2", ["a#1", "a#2", "a#4", "a#9"]) == 2
        assert await journal.copy_effects(tx, OTHER, "run_1", "run_3", ["a#1"]) == 0
    original, copied = await journal.recorded(ctx, "run_1"), await journal.recorded(ctx, "run_2")
    assert copied == {key: original[key] for key in ("a#1", "a#2")}
    assert await journal.recorded(ctx, "run_3") == await journal.recorded(OTHER, "run_3") == {}


async def test_a_fork_of_a_thousand_effects_is_copied_whole(
    database: Database, journal: Journal, ctx: Context
) -> None:
    keys = [f"a#{n}" for n in range(1100)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(journal.finish_effect(ctx, "run_1", key, result=key) for key in keys))
    async with database.transaction() as tx:
        assert await journal.copy_effects(tx, ctx, "run_1", "run_2", keys) == 1100


# Order


async def test_fifty_writers_leave_no_gap_and_every_effect_knows_its_event(
    database: Database, journal: Journal, ctx: Context
) -> None:
    async def effect(writer: int) -> None:
        for number in range(4):
            key = f"step[{writer}]#{number}"
            events = [NewEvent("effect.one", {"key": key}), NewEvent("effect.two", {"key": key})]
            await journal.finish_effect(ctx, "run_1", key, result=key, events=events)

    async def plain(number: int) -> None:
        await append(database, journal, ctx, NewEvent("plain"))
        await journal.finish_effect(OTHER, "run_9", f"a#{number}", events=[NewEvent("other")])

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(effect(number))
        for number in range(20):
            group.create_task(plain(number))

    events = await journal.read(ctx, limit=1000)
    assert [event.seq for event in events] == list(range(1, 421))
    by_seq = {event.seq: event for event in events}
    for key, recorded in (await journal.recorded(ctx, "run_1")).items():
        one, two = by_seq[recorded.event_seq - 1], by_seq[recorded.event_seq]
        assert (one.type, one.data, two.type, two.data) == (
            "effect.one",
            {"key": key},
            "effect.two",
            {"key": key},
        )
    assert [event.seq for event in await journal.read(OTHER)] == list(range(1, 21))


async def test_two_processes_worth_of_writers_share_one_sequence(
    database: Database, journal: Journal, redactor: Redactor, blobs: FileBlobs, ctx: Context
) -> None:
    second = Database(database.settings)
    other = Journal(second, journal._bus, redactor=redactor, blobs=blobs)

    async def write(source: Journal, name: str) -> None:
        for number in range(30):
            await source.finish_effect(ctx, name, f"a#{number}", events=[NewEvent("x.y")])

    async with asyncio.timeout(60):
        await asyncio.gather(write(journal, "run_1"), write(other, "run_2"))
    await second.close()
    assert [event.seq for event in await journal.read(ctx)] == list(range(1, 61))


@pytest.mark.requirement("STK-49")
async def test_what_a_reader_has_seen_never_changes_behind_it(
    database: Database, journal: Journal, ctx: Context
) -> None:
    """Places become visible in order, so a reader that continues after the last one misses nothing."""
    done = asyncio.Event()

    async def write(number: int) -> None:
        for round_ in range(5):
            if number % 2:
                await append(database, journal, ctx, NewEvent("a.b"))
            else:
                await journal.finish_effect(ctx, "run_1", f"{number}#{round_}", events=[NewEvent("a.b")])

    async def watch() -> int:
        seen = 0
        while not (done.is_set() and seen == 100):
            page = await journal.read(ctx, after=seen)
            assert [event.seq for event in page] == list(range(seen + 1, seen + 1 + len(page)))
            seen += len(page)
            await asyncio.sleep(0)
        return seen

    async with asyncio.timeout(60):
        watcher = asyncio.create_task(watch())
        await asyncio.gather(*(write(number) for number in range(20)))
        done.set()
        assert await watcher == 100


# Tenants


@pytest.mark.requirement("ENT-64", "MOZ-125")
async def test_another_tenant_sees_and_reaches_nothing(
    database: Database, journal: Journal, ctx: Context
) -> None:
    await append(database, journal, ctx, NewEvent("a.b", {"mine": True}, run_id="run_1"))
    await journal.finish_effect(ctx, "run_1", "a#b", result="mine", events=[NewEvent("a.c")])

    assert await journal.read(OTHER) == []
    assert await journal.read(OTHER, run_id="run_1") == []
    assert await journal.recorded(OTHER, "run_1") == {}
    assert await journal.head(OTHER) == 0

    # The same run id and key in another tenant is another effect.
    await journal.finish_effect(OTHER, "run_1", "a#b", result="theirs")
    assert (await journal.recorded(ctx, "run_1"))["a#b"].result == "mine"
    assert (await journal.recorded(OTHER, "run_1"))["a#b"].result == "theirs"


@pytest.mark.parametrize("tenant", ["t1' OR '1'='1", "%", "t_", "T1", ""])
async def test_a_tenant_name_that_plays_tricks_sees_nothing(
    database: Database, journal: Journal, ctx: Context, tenant: str
) -> None:
    await append(database, journal, ctx, NewEvent("a.b"))
    assert await journal.read(replace(ctx, tenant=tenant)) == []


# Secrets


async def test_secrets_are_masked_before_anything_is_written(
    database: Database, journal: Journal, ctx: Context, redactor: Redactor, blobs: FileBlobs, tmp_path: Path
) -> None:
    secret, shaped = "correct horse battery", "sk-ant-" + "a1" * 12
    redactor.add(secret)
    data = {"text": f"use {secret}", "nested": [{"header": f"Bearer {shaped}"}], "api_key": "short", "n": 1}

    await append(database, journal, ctx, NewEvent("a.b", data))
    returned = await journal.finish_effect(
        ctx,
        "run_1",
        "a#b",
        result=data,
        error={"code": "x", "message": secret},
        events=[NewEvent("a.c", data)],
    )
    await journal.finish_effect(ctx, "run_1", "a#large", result={"text": f"{secret} {shaped} " * 2000})
    await journal.begin_effect(ctx, "run_1", "a#intent", data)

    expected = {"text": f"use {MASK}", "nested": [{"header": f"Bearer {MASK}"}], "api_key": MASK, "n": 1}
    assert returned == expected
    assert (await journal.recorded(ctx, "run_1"))["a#b"].result == expected
    rows = await everything(database)
    assert secret not in rows
    assert shaped not in rows
    for file in (tmp_path / "data" / "blobs").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert secret.encode() not in content
            assert shaped.encode() not in content


# Large values


async def test_a_large_result_is_kept_apart_and_put_back(
    database: Database, journal: Journal, ctx: Context
) -> None:
    large = {"output": "line\n" * 10_000, "code": 0}
    returned = await journal.finish_effect(ctx, "run_1", "a#b", result=large)
    assert returned == large
    assert (await journal.recorded(ctx, "run_1"))["a#b"].result == large
    assert "line" not in await everything(database)
    async with database.transaction(read_only=True) as tx:
        stored = await tx.scalar(select(effect_table.c.result))
    assert set(stored) == {"$blob", "size_bytes"}
    assert stored["size_bytes"] > 50_000


async def test_only_the_large_fields_of_an_event_are_kept_apart(
    database: Database, journal: Journal, ctx: Context
) -> None:
    data = {"tool": "shell.run", "output": "x" * 40_000, "code": 0}
    await append(database, journal, ctx, NewEvent("tool.called", data))
    (event,) = await journal.read(ctx)
    assert (event.data["tool"], event.data["code"]) == ("shell.run", 0)
    assert event.data["output"]["size_bytes"] == 40_002
    assert await journal.resolve(event) == data


async def test_an_event_of_very_many_small_fields_is_kept_apart_whole(
    database: Database, journal: Journal, ctx: Context
) -> None:
    data = {f"field_{n}": n for n in range(3000)}
    await append(database, journal, ctx, NewEvent("a.b", data))
    (event,) = await journal.read(ctx)
    assert set(event.data) == {"$blob", "size_bytes"}
    assert await journal.resolve(event) == data


async def test_a_value_that_looks_like_a_reference_cannot_reach_a_blob(
    database: Database, journal: Journal, ctx: Context, blobs: FileBlobs
) -> None:
    digest = await blobs.put(b'"the words of another tenant"')
    forged = {"$blob": digest, "size_bytes": 29}

    await journal.finish_effect(ctx, "run_1", "a#b", result=forged)
    await journal.finish_effect(ctx, "run_1", "a#c", result={"inner": forged})
    await append(database, journal, ctx, NewEvent("a.b", forged), NewEvent("a.c", {"field": forged, "n": 1}))

    recorded = await journal.recorded(ctx, "run_1")
    assert recorded["a#b"].result == forged
    assert recorded["a#c"].result == {"inner": forged}
    first, second = await journal.read(ctx)
    assert await journal.resolve(first) == forged
    assert await journal.resolve(second) == {"field": forged, "n": 1}


# A connection that dies


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_answer_lost_after_the_commit_is_not_mistaken_for_a_second_finish(
    database: Database, journal: Journal, ctx: Context
) -> None:
    wire_commits = []

    def break_after_commit() -> None:
        wire = database.committer._wire
        assert wire is not None
        commit = wire.commit

        def commit_and_lose_the_answer() -> None:
            commit()
            wire_commits.append(True)
            driver = wire._driver  # type: ignore[attr-defined]  # the PostgreSQL one
            driver.close()
            driver.execute("SELECT 1")  # raises: the connection is closed

        wire.commit = commit_and_lose_the_answer  # type: ignore[method-assign]  # a real connection, cut at the worst moment

    await database.committer.commit(lambda tx: tx.send(text("SELECT 1")))
    break_after_commit()
    await journal.finish_effect(ctx, "run_1", "a#b", result=1, events=[NewEvent("x.y")])
    break_after_commit()
    await journal.begin_effect(ctx, "run_1", "a#c", {})

    assert len(wire_commits) == 2
    assert set(await journal.recorded(ctx, "run_1")) == {"a#b", "a#c"}
    assert await journal.head(ctx) == 1
