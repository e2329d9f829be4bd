"""Runs that work on items: the item follows them, each event counts once, and a restart carries on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from mosaic.core.context import Actor
from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.core.ids import new_id
from mosaic.core.values import JsonObject
from mosaic.planning.item_runs import ItemRuns
from tests.app.site import WAIT_S, Site, database, open_site, settings_of, write_workflow
from tests.planning.conftest import SMALL, A, B, C, D

pytestmark = pytest.mark.anyio

SET = "do:\n  - a: {set: {x: 1}}\n"
BREAK = "do:\n  - a: {set: {x: '${1 / int(\"0\")}'}}\n"
ASK = "do:\n  - sure: {ask: {question: Go on?}}\n"
LISTEN = "do:\n  - told: {listen: {signal: go}}\n"
TALK = "agents:\n  one: {model: ['scripted:script.json']}\ndo:\n  - talk: {agent: one, with: hello}\n"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, request.param, folder) as url:
        async with open_site(settings_of(folder / "home", url), folder) as site:
            yield site


async def make(site: Site) -> str:
    return str((await site.client.create_plan({"name": "Small", "operations": SMALL}))["id"])


async def begin(site: Site, plan: str, item: str, name: str, text: str, **more: object) -> JsonObject:
    request = site.request(name, text)
    return await site.client.run_item(plan, item, {**request, **more})


async def reported(site: Site, plan: str, item: str, status: str) -> JsonObject:
    """Wait until an item stands so."""
    return await until(site, plan, item, lambda shown: shown["status"] == status)


async def until(site: Site, plan: str, item: str, is_so: Callable[[JsonObject], bool]) -> JsonObject:
    async with asyncio.timeout(WAIT_S):
        while True:
            shown: JsonObject = await site.client.plan_item(plan, item)
            if is_so(shown):
                return shown
            await asyncio.sleep(0.02)


def succeeded(shown: JsonObject) -> bool:
    return bool(shown["runs"][0]["status"] == "succeeded")


async def test_an_item_is_done_when_its_run_is_and_others_become_ready(site: Site) -> None:
    plan = await make(site)
    made = await begin(site, plan, A, "set", SET)
    assert made["item"]["status"] in ("running", "done")
    run = made["run"]["id"]
    item = await reported(site, plan, A, "done")
    (linked,) = item["runs"]
    assert (linked["run_id"], linked["status"], linked["workflow"]) == (run, "succeeded", "set")
    assert linked["started_at"] <= linked["finished_at"]
    assert (await site.client.plan_item(plan, B))["status"] == "ready"
    events = [event async for event in site.client.events(run_id=None, after=0, follow=False)]
    mine = [e["data"] for e in events if e["type"] == "plan.progressed" and e["data"]["plan"] == plan]
    assert [(one["from"], one["to"]) for one in mine if one["from"] != one["to"]] == [
        ("todo", "running"), ("running", "done"),
    ]  # fmt: skip
    assert (await site.client.plan(plan))["version"] == 1, "what runs report leaves the version alone"
    with pytest.raises(Conflict, match="is done"):
        await begin(site, plan, A, "set", SET)


async def test_an_item_fails_with_its_run_and_can_be_done_again(site: Site) -> None:
    plan = await make(site)
    await begin(site, plan, A, "break", BREAK)
    item = await reported(site, plan, A, "failed")
    run = await site.client.run(item["runs"][0]["run_id"])
    assert item["reason"] == run["error"]["message"]
    waiting = await site.client.plan_item(plan, B)
    assert waiting["status"] == "blocked"
    assert A in waiting["reason"]
    await begin(site, plan, A, "set", SET)
    item = await reported(site, plan, A, "done")
    assert [one["status"] for one in item["runs"]] == ["failed", "succeeded"]
    assert item["reason"] is None


async def test_an_item_needs_you_while_its_run_asks(site: Site) -> None:
    plan = await make(site)
    run = (await begin(site, plan, A, "ask", ASK))["run"]["id"]
    approval = await site.asked(run)
    await reported(site, plan, A, "needs_you")
    with pytest.raises(Conflict, match="works on"):
        await begin(site, plan, A, "set", SET)
    with pytest.raises(Conflict, match="1 runs work on"):
        await site.client.remove_plan(plan)
    with pytest.raises(InvalidInput) as refused:
        await site.client.change_plan(plan, {"operations": [{"op": "remove", "item": "S.001.01.01"}]})
    assert f"a run works on {A}" in str(refused.value.problems[0])
    await site.client.decide(approval["id"], {"approve": True})
    await reported(site, plan, A, "done")


async def test_an_item_is_to_do_again_when_its_run_is_cancelled(site: Site) -> None:
    plan = await make(site)
    run = (await begin(site, plan, A, "listen", LISTEN))["run"]["id"]
    await site.happened(run, "run.started")
    await site.client.cancel(run)
    item = await reported(site, plan, A, "ready")
    assert item["runs"][0]["status"] == "cancelled"


async def test_what_a_person_said_meanwhile_counts(site: Site) -> None:
    plan = await make(site)
    run = (await begin(site, plan, A, "listen", LISTEN))["run"]["id"]
    await site.happened(run, "run.started")
    await reported(site, plan, A, "running")
    await site.client.change_plan(
        plan, {"operations": [{"op": "update", "item": A, "set": {"status": "cancelled"}}]}
    )
    await site.client.signal(run, "go", {})
    await site.finish(run)
    item = await until(site, plan, A, succeeded)
    assert item["status"] == "cancelled"


async def test_an_item_that_waits_is_started_only_by_force(site: Site) -> None:
    plan = await make(site)
    with pytest.raises(Conflict, match=f"{D} waits for S.001.01.01") as refused:
        await begin(site, plan, D, "set", SET)
    assert [one["key"] for one in refused.value.data["waits_for"]] == ["S.001.01.01"]
    assert (await site.client.plan_item(plan, D))["runs"] == []
    await begin(site, plan, D, "set", SET, force=True)
    await reported(site, plan, D, "done")


async def test_a_run_may_work_on_an_item_with_parts_and_leaves_its_status_to_them(site: Site) -> None:
    plan = await make(site)
    run = (await begin(site, plan, "S.001.01.01", "set", SET))["run"]["id"]
    await site.finish(run)
    item = await until(site, plan, "S.001.01.01", succeeded)
    assert item["status"] == "ready"


async def test_what_a_run_took_is_the_items_actual_and_rolls_up(site: Site) -> None:
    plan = await make(site)
    folder = site.folder / "flows" / "talk"
    text = json.dumps({"scripted": 1, "name": "s", "agents": {"one": [{"text": "hi"}]}})
    write_workflow(folder, TALK, script__json=text)
    await begin(site, plan, A, "talk", TALK)
    item = await reported(site, plan, A, "done")
    cost = (await site.client.run(item["runs"][0]["run_id"]))["cost"]
    assert (item["actual"]["tokens"], item["actual"]["usd"]) == (cost["tokens"], cost["usd"])
    assert cost["tokens"] > 0
    assert item["actual"]["hours"] >= 0
    epic = await site.client.plan_item(plan, "E.001")
    assert epic["actual"] == item["actual"]
    assert (await site.client.plan(plan))["actual"]["tokens"] == cost["tokens"]


async def test_a_run_is_started_by_the_name_of_a_workflow_that_ran_before(site: Site) -> None:
    plan = await make(site)
    await site.finish((await site.start("known", SET))["id"])
    made = await site.client.run_item(plan, A, {"workflow": "known"})
    assert made["run"]["workflow"] == "known"
    await reported(site, plan, A, "done")
    with pytest.raises(NotFound, match="'nobody'"):
        await site.client.run_item(plan, C, {"workflow": "nobody"})
    with pytest.raises(InvalidInput):
        await site.client.run_item(plan, C, {})


async def test_a_start_that_is_refused_leaves_the_item_as_it_was(site: Site) -> None:
    plan = await make(site)
    text = "inputs: {type: object, required: [a], properties: {a: {type: integer}}}\n" + SET
    write_workflow(site.folder / "flows" / "strict", text)
    request = site.request("strict", text, inputs={"a": 1})
    with pytest.raises(InvalidInput):
        await site.client.run_item(plan, A, {**request, "inputs": {"a": "x"}})
    item = await site.client.plan_item(plan, A)
    assert (item["status"], item["runs"]) == ("ready", [])


async def test_a_repeated_start_is_one_start(site: Site) -> None:
    plan = await make(site)
    options = {"run_id": new_id("run")}
    made = [await begin(site, plan, A, "listen", LISTEN, options=options) for _ in range(2)]
    assert [one["run"]["id"] for one in made] == [options["run_id"]] * 2
    with pytest.raises(Conflict, match="another item"):
        await begin(site, plan, "S.001.01.02", "listen", LISTEN, options=options, force=True)
    assert len((await site.client.plan_item(plan, A))["runs"]) == 1
    await site.client.cancel(options["run_id"])
    await reported(site, plan, A, "ready")


async def test_a_link_whose_run_was_never_started_is_swept_away(site: Site) -> None:
    plan = await make(site)
    app = site.application
    ctx = site.ctx.acting_as(Actor("system", "planning"))
    links = ItemRuns(app.database, app.journal, runs=app.runs, cost=app.cost)
    picture = await app.plans._plans.picture(site.ctx, plan)
    await links.link(site.ctx, picture, picture.find(A), run_id=new_id("run"), workflow="gone")
    assert (await site.client.plan_item(plan, A))["status"] == "running"
    assert await links.sweep(ctx) == 0, "it may be about to start"
    late = ItemRuns(
        app.database, app.journal, runs=app.runs, cost=app.cost,
        clock=lambda: links._clock() + timedelta(hours=1),
    )  # fmt: skip
    assert await late.sweep(ctx) == 1
    item = await site.client.plan_item(plan, A)
    assert (item["status"], item["runs"]) == ("ready", [])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_happened_while_nobody_followed_counts_after_a_restart(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    folder = tmp_path_factory.mktemp(kind)
    with database(request, kind, folder) as url:
        settings = settings_of(folder / "home", url)
        async with open_site(settings, folder) as site:
            plan = await make(site)
            run = (await begin(site, plan, A, "listen", LISTEN))["run"]["id"]
            await reported(site, plan, A, "running")
            # The follower dies; the run goes on to its end.
            await stop_following(site)
            await site.client.signal(run, "go", {})
            await site.finish(run)
        async with open_site(settings, folder) as site:
            item = await reported(site, plan, A, "done")
            assert item["runs"][0]["status"] == "succeeded"
            events = [event async for event in site.client.events(run_id=None, after=0, follow=False)]
            ends = [e for e in events if e["type"] == "plan.progressed" and e["data"]["to"] == "done"]
            assert len(ends) == 1


async def stop_following(site: Site) -> None:
    """End the task that follows the journal for plans, as a crash of it would."""
    for task in site.application._background:
        if "PlanOperations.follow" in repr(task.get_coro()):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return
    raise AssertionError("nobody follows")


async def test_several_followers_of_one_journal_write_each_event_once(site: Site) -> None:
    plan = await make(site)
    run = (await begin(site, plan, A, "listen", LISTEN))["run"]["id"]
    await site.happened(run, "run.started")
    await site.client.signal(run, "go", {})
    await site.finish(run)
    await asyncio.gather(*(site.application.plans.catch_up(site.ctx) for _ in range(5)))
    item = await reported(site, plan, A, "done")
    assert item["runs"][0]["status"] == "succeeded"
    events = [event async for event in site.client.events(run_id=None, after=0, follow=False)]
    mine = [e for e in events if e["type"] == "plan.progressed" and e["data"]["run_id"] == run]
    assert [e["data"]["run_status"] for e in mine] == ["queued", "running", "succeeded"]
