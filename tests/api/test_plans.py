"""The routes of plans: everything the board does with them, held to the published shapes."""

import asyncio

import httpx2
import pytest

from mosaic.api import plan_schemas as documents
from mosaic.core.values import JsonObject
from tests.app.site import Site
from tests.planning.conftest import SMALL, A, B, C, D, done

pytestmark = pytest.mark.anyio

STRANGE = [
    "/plans/nothing",
    "/plans/nothing/items",
    "/plans/nothing/graph",
    "/plans/nothing/changes",
    "/plans/nothing/export",
]


async def make(http: httpx2.AsyncClient, **more: object) -> JsonObject:
    made = await http.post("/plans", json={"name": "Small", "operations": SMALL, **more})
    assert made.status_code == 201, made.text
    plan: JsonObject = made.json()
    assert made.headers["Location"] == f"/api/v1/plans/{plan['id']}"
    assert made.headers["ETag"] == '"1"'
    return plan


async def changed(
    http: httpx2.AsyncClient, plan: str, *operations: JsonObject, **query: str
) -> httpx2.Response:
    return await http.post(f"/plans/{plan}/changes", json={"operations": list(operations)}, params=query)


def problem(answer: httpx2.Response, status: int) -> JsonObject:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), (
        answer.text
    )
    shown: JsonObject = answer.json()
    return shown


async def test_a_plan_is_made_shown_renamed_and_removed(http: httpx2.AsyncClient) -> None:
    plan = await make(http)
    documents.PlanDocument.model_validate(plan)
    assert plan["items"] == {"epic": 1, "feature": 1, "story": 2, "task": 4}
    assert (plan["estimate"]["usd"], plan["finish_hours"], plan["progress"]) == (5.0, 13.0, 0.0)
    path = f"/plans/{plan['id']}"
    page = (await http.get("/plans", params={"limit": 1})).json()
    documents.PlanPage.model_validate(page)
    assert page["items"][0]["id"] == plan["id"]
    renamed = await http.patch(path, json={"name": "Other"}, headers={"If-Match": '"1"'})
    assert (renamed.json()["name"], renamed.headers["ETag"]) == ("Other", '"2"')
    assert (
        problem(await http.patch(path, json={"name": "x"}, headers={"If-Match": '"1"'}), 412)["code"]
        == "stale_plan"
    )
    problem(await http.patch(path, json={"name": "x"}, headers={"If-Match": "yesterday"}), 422)
    problem(await http.patch(path, json={"colour": "red"}), 422)
    problem(await http.delete(path, headers={"If-Match": '"1"'}), 412)
    removed = (await http.delete(path, headers={"If-Match": '"2"'})).json()
    documents.PlanRemoved.model_validate(removed)
    problem(await http.get(path), 404)


async def test_items_are_read_in_pages_with_filters_and_chosen_fields(http: httpx2.AsyncClient) -> None:
    plan = (await make(http))["id"]
    await changed(http, plan, {"op": "update", "item": A, "set": {"assignee": "agent:coder"}})
    keys, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await http.get(f"/plans/{plan}/items", params=query)).json()
        documents.ItemPage.model_validate(page)
        keys += [documents.ItemDocument.model_validate(item).key for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert keys == ["E.001", "F.001.01", "S.001.01.01", A, B, C, "S.001.01.02", D]

    async def found(**query: object) -> list[str]:
        answer = await http.get(f"/plans/{plan}/items", params=query)
        assert answer.status_code == 200, answer.text
        return [item["key"] for item in answer.json()["items"]]

    assert await found(kind=["epic", "feature"]) == ["E.001", "F.001.01"]
    assert await found(status="ready", kind="task") == [A]
    assert await found(parent="S.001.01.01") == [A, B, C]
    assert await found(parent="none") == ["E.001"]
    assert await found(assignee="agent:coder") == [A]
    assert len(await found(assignee="none")) == 7
    sparse = (await http.get(f"/plans/{plan}/items", params={"fields": "key,status", "kind": "task"})).json()
    documents.ItemPage.model_validate(sparse)
    assert sparse["items"][0] == {"key": A, "status": "ready"}
    for query in ({"fields": "colour"}, {"status": "odd"}, {"limit": 0}):
        problem(await http.get(f"/plans/{plan}/items", params=query), 422)
    problem(await http.get(f"/plans/{plan}/items", params={"cursor": "x"}), 400)
    problem(await http.get(f"/plans/{plan}/items", params={"parent": "T.009.01.01.01"}), 404)


async def test_one_item_is_read_by_key_or_id(http: httpx2.AsyncClient) -> None:
    plan = (await make(http))["id"]
    item = (await http.get(f"/plans/{plan}/items/{D}")).json()
    documents.ItemDocument.model_validate(item)
    assert (await http.get(f"/plans/{plan}/items/{item['id']}")).json() == item
    assert [other["key"] for other in item["waits_for"]] == ["S.001.01.01"]
    assert (item["start_hours"], item["finish_hours"], item["critical"], item["slack_hours"]) == (
        10.0,
        13.0,
        True,
        0.0,
    )
    problem(await http.get(f"/plans/{plan}/items/T.009.01.01.01"), 404)


async def test_a_change_is_reviewed_applied_listed_and_taken_back(http: httpx2.AsyncClient) -> None:
    plan = (await make(http))["id"]
    seen = await changed(http, plan, done(A), dry_run="true")
    documents.ChangeDocument.model_validate(seen.json())
    assert (seen.json()["id"], seen.json()["dry_run"], seen.headers["ETag"]) == (None, True, '"1"')
    assert [one["key"] for one in seen.json()["consequences"]["unblocked"]] == [B, C]
    made = await changed(http, plan, done(A))
    documents.ChangeDocument.model_validate(made.json())
    assert made.headers["ETag"] == '"2"'
    for name in ("diff", "consequences"):
        assert made.json()[name] == seen.json()[name]
    stale = await http.post(
        f"/plans/{plan}/changes", json={"operations": [done(B)]}, headers={"If-Match": '"1"'}
    )
    assert problem(stale, 412)["data"] == {"version": 2, "base_version": 1}
    stale = await http.post(f"/plans/{plan}/changes", json={"operations": [done(B)], "base_version": 1})
    assert problem(stale, 412)["code"] == "stale_plan"
    history = (await http.get(f"/plans/{plan}/changes")).json()
    documents.ChangePage.model_validate(history)
    assert [one["version"] for one in history["items"]] == [2, 1]
    change = made.json()["id"]
    undone = await http.post(f"/plans/{plan}/changes/{change}/undo", params={"dry_run": "true"})
    assert undone.json()["id"] is None
    undone = await http.post(f"/plans/{plan}/changes/{change}/undo", json={"note": "Too early"})
    documents.ChangeDocument.model_validate(undone.json())
    assert (undone.json()["undoes"], undone.json()["version"], undone.json()["note"]) == (
        change,
        3,
        "Too early",
    )
    problem(await http.post(f"/plans/{plan}/changes/{change}/undo"), 409)
    problem(await http.post(f"/plans/{plan}/changes/nothing/undo"), 404)


async def test_a_circle_is_a_conflict_that_names_it(http: httpx2.AsyncClient) -> None:
    plan = (await make(http))["id"]
    refused = problem(await changed(http, plan, {"op": "link", "item": A, "depends_on": D}), 409)
    assert {(one["key"], one["waits_for_key"]) for one in refused["data"]["cycle"]} == {
        (A, D),
        (D, "S.001.01.01"),
    }


async def test_wrong_changes_name_every_place(http: httpx2.AsyncClient) -> None:
    plan = (await make(http))["id"]
    shapes = problem(
        await changed(http, plan, {"op": "jump"}, {"op": "update", "item": A, "set": {"status": "ready"}}),
        422,
    )
    assert len(shapes["problems"]) == 2
    rules = problem(await changed(http, plan, done("E.001"), done("E.009")), 422)
    assert [one["path"] for one in rules["problems"]] == ["operations[0]", "operations[1]"]
    problem(await http.post(f"/plans/{plan}/changes", json={"operations": []}), 422)
    secret = {"op": "update", "item": A, "set": {"description": "ghp_" + "a1b2c3d4e5" * 3}}
    assert "no secrets" in problem(await changed(http, plan, secret), 422)["detail"]
    zero = {"op": "update", "item": A, "set": {"description": "a\0b"}}
    problem(await changed(http, plan, zero), 422)


async def test_a_whole_plan_is_read_at_once_and_not_again_while_nothing_changes(
    http: httpx2.AsyncClient,
) -> None:
    plan = (await make(http))["id"]
    answer = await http.get(f"/plans/{plan}/graph")
    graph = answer.json()
    documents.GraphDocument.model_validate(graph)
    assert [item["key"] for item in graph["items"]] == [
        "E.001",
        "F.001.01",
        "S.001.01.01",
        A,
        B,
        C,
        "S.001.01.02",
        D,
    ]
    tag = answer.headers["ETag"]
    assert (await http.get(f"/plans/{plan}/graph", headers={"If-None-Match": tag})).status_code == 304
    await changed(http, plan, done(A))
    assert (await http.get(f"/plans/{plan}/graph", headers={"If-None-Match": tag})).status_code == 200
    events = (await http.get("/events", params={"after": graph["seq"]})).json()["items"]
    assert [event["type"] for event in events if event["data"].get("plan") == plan] == ["plan.changed"]


async def test_a_plan_goes_out_and_in_as_yaml(http: httpx2.AsyncClient) -> None:
    plan = (await make(http))["id"]
    exported = await http.get(f"/plans/{plan}/export")
    assert exported.headers["content-type"].startswith("application/yaml")
    made = await http.post("/plans", json={"document": exported.text, "project": "other"})
    assert made.status_code == 201, made.text
    assert (made.json()["project"], made.json()["items"]["task"]) == ("other", 4)
    wrong = await http.post("/plans", json={"document": "plan: x\nepics: 3\n", "file": "mine.yaml"})
    (only,) = problem(wrong, 422)["problems"]
    assert (only["file"], only["line"], only["column"]) == ("mine.yaml", 2, 8)
    problem(await http.post("/plans", json={"document": "plan: x\n", "name": "y"}), 422)
    problem(await http.post("/plans", json={}), 422)
    found = (await http.get("/plans", params={"project": "other"})).json()["items"]
    assert made.json()["id"] in [one["id"] for one in found]


async def test_a_run_works_on_an_item_and_is_shown_with_it(http: httpx2.AsyncClient, site: Site) -> None:
    plan = (await make(http))["id"]
    request = site.request("set", "do:\n  - a: {set: {x: 1}}\n")
    body = {"bundle": request["bundle"], "inputs": {}}
    refused = problem(await http.post(f"/plans/{plan}/items/{B}/run", json=body), 409)
    assert [one["key"] for one in refused["data"]["waits_for"]] == [A]
    started = await http.post(f"/plans/{plan}/items/{A}/run", json=body)
    assert started.status_code == 201, started.text
    documents.ItemRun.model_validate(started.json())
    run = started.json()["run"]["id"]
    assert started.headers["Location"] == f"/api/v1/runs/{run}"
    await site.finish(run)
    async with asyncio.timeout(30):
        while True:
            item = (await http.get(f"/plans/{plan}/items/{A}")).json()
            if item["status"] == "done":
                break
            await asyncio.sleep(0.02)
    documents.ItemDocument.model_validate(item)
    graph = (await http.get(f"/plans/{plan}/graph")).json()
    assert {one["key"]: one["run_ids"] for one in graph["items"]}[A] == [run]
    again = await http.post(f"/plans/{plan}/items/{B}/run", json={"workflow": "set"})
    assert again.status_code == 201, again.text
    problem(await http.post(f"/plans/{plan}/items/{C}/run", json={"workflow": "unknown"}), 404)
    problem(await http.post(f"/plans/{plan}/items/{C}/run", json={}), 422)
    await site.finish(again.json()["run"]["id"])


@pytest.mark.parametrize("path", STRANGE)
async def test_what_there_is_not_is_not_found(http: httpx2.AsyncClient, path: str) -> None:
    problem(await http.get(path), 404)


async def test_the_contract_shows_an_example_of_every_request(http: httpx2.AsyncClient, site: Site) -> None:
    contract = (await http.get(f"{site.address}/api/v1/openapi.json")).json()
    for name in ("CreatePlan", "ApplyChanges", "RunItem"):
        assert contract["components"]["schemas"][name]["examples"], name
    example = contract["components"]["schemas"]["ApplyChanges"]["examples"][0]
    documents.ApplyChanges.model_validate(example)
    documents.CreatePlan.model_validate(contract["components"]["schemas"]["CreatePlan"]["examples"][0])
