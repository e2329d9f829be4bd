"""Both clients, one suite: what a command asks is answered alike in this process and over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, Site, database, open_site, settings_of

pytestmark = pytest.mark.anyio

SET = "do:\n  - a: {set: {x: 1}}\n  - b: {set: {y: 2}}\noutputs: {sum: '${a.x + b.y}'}\n"
ASK = "do:\n  - first: {set: 1}\n  - sure: {ask: {question: Go on?}}\n  - last: {set: '${sure.approved}'}\n"
RISKY = "policies: {exec: ask}\ndo:\n  - act: {run: echo done}\n"
LISTEN = "do:\n  - told: {listen: {signal: go}}\noutputs: {heard: '${told}'}\n"


@pytest.fixture(scope="module", params=["local-sqlite", "local-postgresql", "http-sqlite"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One installation for all tests here: each has its own runs."""
    door, kind = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, kind, folder) as url:
        async with open_site(settings_of(folder / "home", url), folder, http=door == "http") as site:
            yield site


async def test_a_run_is_started_shown_and_finished(site: Site) -> None:
    started = await site.start("simple", SET)
    assert started["workflow"] == "simple"
    done = await site.finish(started["id"])
    assert (done["status"], done["outputs"]) == ("succeeded", {"sum": 3})
    assert done["cost"]["usd"] == 0.0
    assert done["approvals"] == []


async def test_the_same_run_id_is_one_start(site: Site) -> None:
    chosen = "run_" + "1" * 26
    first = await site.start("once", SET, run_id=chosen)
    again = await site.start("once", SET, run_id=chosen)
    assert first["id"] == again["id"] == chosen
    created = [event for event in await site.events(chosen) if event["type"] == "run.created"]
    assert len(created) == 1
    with pytest.raises(Conflict, match="another definition"):
        await site.start("other", RISKY, run_id=chosen)


async def test_wrong_inputs_are_named_and_nothing_is_started(site: Site) -> None:
    text = "inputs: {type: object, required: [goal], properties: {goal: {type: string}}}\n" + SET
    with pytest.raises(InvalidInput) as caught:
        await site.start("strict", text, inputs={"goal": 7, "gaol": "x"})
    assert len(caught.value.problems) >= 2
    assert (await site.client.runs(status=None, workflow="strict", limit=5, cursor=None))["items"] == []


@pytest.mark.parametrize(
    "inputs", [{"a": "x\0y"}, {"a": float("nan")}, {"a": "sk-ant-" + "a" * 40}], ids=["zero", "nan", "secret"]
)
async def test_inputs_that_must_not_be_kept_are_refused(site: Site, inputs: JsonObject) -> None:
    text = "inputs: {type: object, properties: {a: {}}}\n" + SET
    with pytest.raises((InvalidInput, ValueError)) as caught:
        await site.start("unkept", text, inputs=inputs)
    assert "sk-ant" not in str(caught.value)


async def test_a_listing_goes_on_where_its_cursor_says(site: Site) -> None:
    started = [(await site.start("paged", SET))["id"] for _ in range(5)]
    for run_id in started:
        await site.finish(run_id)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = await site.client.runs(status="succeeded", workflow="paged", limit=2, cursor=cursor)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == started[::-1]


async def test_a_cursor_that_is_none_of_ours_is_refused(site: Site) -> None:
    for cursor in ("nonsense", "2030-01-01~", "2030-01-01T00:00:00~run_1"):
        with pytest.raises(InvalidInput, match="cursor"):
            await site.client.runs(status=None, workflow=None, limit=2, cursor=cursor)


async def test_waiting_and_running_runs_are_told_apart(site: Site) -> None:
    waiting, listening = await site.start("waits", ASK), await site.start("waits", LISTEN)
    await site.asked(waiting["id"])
    await site.happened(listening["id"], "step.started")
    for status, expected in (("waiting", waiting), ("running", listening)):
        page = await site.client.runs(status=status, workflow="waits", limit=1, cursor=None)
        assert [item["id"] for item in page["items"]] == [expected["id"]]
    for run in (waiting, listening):
        await site.client.cancel(run["id"])


async def test_what_does_not_exist_is_not_found(site: Site) -> None:
    client = site.client
    for ask in (
        client.run("run_nothing"),
        client.cancel("run_nothing"),
        client.fork("run_nothing", from_step="a", inputs=None),
        client.signal("run_nothing", "go", {}),
        client.approval("apr_nothing"),
        client.decide("apr_nothing", {"approve": True}),
        client.artifacts("run_nothing"),
        client.artifact_content("art_nothing"),
        client.requeue("run_nothing"),
        anext(client.events(run_id="run_nothing", after=0, follow=True)),
        anext(client.events(run_id="run_nothing", after=0, follow=False)),
    ):
        with pytest.raises(NotFound):
            await ask


async def test_events_are_followed_and_resumed(site: Site) -> None:
    run = await site.start("followed", ASK)
    seen: list[JsonObject] = []
    async with asyncio.timeout(WAIT_S), aclosing(site.follow(run["id"])) as events:
        async for event in events:
            seen.append(event)
            if event["type"] == "approval.requested":
                break
    await site.client.decide(seen[-1]["data"]["approval"], {"approve": True})
    async with asyncio.timeout(WAIT_S), aclosing(site.follow(run["id"], after=seen[-1]["seq"])) as events:
        async for event in events:
            seen.append(event)
            if event["type"] == "run.succeeded":
                break
    journal = await site.events(run["id"])
    assert seen == journal[: len(seen)]
    assert [event["seq"] for event in seen] == sorted({event["seq"] for event in seen})


async def test_a_tool_call_waits_for_a_yes_and_a_second_answer_is_refused(site: Site) -> None:
    run = await site.start("risky", RISKY)
    asked = await site.asked(run["id"])
    assert asked["kind"] == "tool"
    assert (await site.client.run(run["id"]))["status"] == "waiting"
    pending = await site.client.approvals(status="pending", run_id=run["id"])
    assert [item["id"] for item in pending["items"]] == [asked["id"]]
    answered = await site.client.decide(asked["id"], {"approve": True, "note": "fine"})
    assert (answered["status"], answered["note"], answered["decided_by"]) == (
        "approved",
        "fine",
        "user:owner",
    )
    with pytest.raises(Conflict, match="approved already"):
        await site.client.decide(asked["id"], {"approve": False})
    assert (await site.finish(run["id"]))["status"] == "succeeded"
    every = await site.client.approvals(status=None, run_id=run["id"])
    assert [item["status"] for item in every["items"]] == ["approved"]


async def test_a_no_fails_the_run_with_the_reason(site: Site) -> None:
    run = await site.start("refused", ASK)
    asked = await site.asked(run["id"])
    await site.client.decide(asked["id"], {"approve": False, "note": "not today"})
    done = await site.finish(run["id"])
    assert done["status"] == "failed"
    assert "not today" in done["error"]["message"]


async def test_a_cancelled_run_ends_once_and_withdraws_what_it_asked(site: Site) -> None:
    run = await site.start("cancelled", ASK)
    asked = await site.asked(run["id"])
    assert (await site.client.cancel(run["id"]))["status"] == "cancelled"
    assert (await site.client.approval(asked["id"]))["status"] == "expired"
    with pytest.raises(Conflict, match="already ended"):
        await site.client.cancel(run["id"])
    with pytest.raises(Conflict):
        await site.client.decide(asked["id"], {"approve": True})
    ends = [
        e["type"]
        for e in await site.events(run["id"])
        if e["type"].startswith("run.") and "requested" not in e["type"]
    ]
    assert ends.count("run.cancelled") == 1
    assert "run.succeeded" not in ends


async def test_a_signal_reaches_the_run_once(site: Site) -> None:
    run = await site.start("told", LISTEN)
    await site.happened(run["id"], "step.started")
    assert (await site.client.signal(run["id"], "go", {"n": 1}))["signal"] == "go"
    done = await site.finish(run["id"])
    assert done["outputs"] == {"heard": {"n": 1}}
    with pytest.raises(Conflict):
        await site.client.signal(run["id"], "go", {"n": 2})


async def test_a_fork_keeps_what_was_before_the_step(site: Site) -> None:
    text = "do:\n  - a: {run: 'date +%s%N'}\n  - b: {set: '${a.stdout}'}\noutputs: {a: '${a.stdout}', b: '${b}'}\n"
    old = await site.finish((await site.start("forked", text))["id"])
    fork = await site.client.fork(old["id"], from_step="b", inputs=None)
    assert fork["forked_from"] == old["id"]
    assert fork["options"]["from_step"] == "b"
    done = await site.finish(fork["id"])
    assert done["outputs"] == old["outputs"]
    again = await site.finish((await site.client.fork(old["id"], from_step="a", inputs=None))["id"])
    assert again["outputs"] != old["outputs"]
    with pytest.raises(NotFound) as caught:
        await site.client.fork(old["id"], from_step="c", inputs=None)
    assert "a, b" in str(caught.value.hint)


async def test_what_a_run_kept_is_listed_and_read(site: Site) -> None:
    run = await site.finish((await site.start("kept", SET))["id"])
    kept = (await site.client.artifacts(run["id"]))["items"]
    assert [item["name"] for item in kept] == ["report.md"]
    content = await site.client.artifact_content(kept[0]["id"])
    assert len(content) == kept[0]["size_bytes"]
    assert content.startswith(b"# kept 0")


async def test_agents_and_given_up_work_are_listed(site: Site) -> None:
    shown = await site.client.agents()
    assert set(shown["metrics"]) >= {"total", "online", "busy", "utilization", "total_capacity"}
    assert shown["items"] == []
    assert (await site.client.dead_letters())["items"] == []
