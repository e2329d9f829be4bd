"""Reading: pages that go on where they ended, chosen fields, ETags, and the nouns that are only read."""

import json
from typing import Any

import httpx2
import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mosaic.core.values import JsonObject
from tests.api.test_rest import problem
from tests.app.site import Site

pytestmark = pytest.mark.anyio

FLOW = "do:\n  - one: {set: {x: 1}}\n  - two: {if: '${false}', set: {x: 2}}\n  - three: {set: {x: 3}}\n"


async def walked(http: httpx2.AsyncClient, path: str, rows: str = "items", **query: Any) -> list[JsonObject]:
    """Read a whole list page by page, by its Link headers."""
    found: list[JsonObject] = []
    answer = await http.get(path, params=query)
    for _ in range(200):
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page[rows]
        following = answer.links.get("next")
        assert (following is None) is (page["next_cursor"] is None)
        if following is None:
            return found
        answer = await http.get(f"{http.base_url.copy_with(path='/')}{following['url'].lstrip('/')}")
    raise AssertionError("the list does not end")


@pytest.fixture
async def filled(site: Site, http: httpx2.AsyncClient) -> JsonObject:
    """Runs, keys, budgets, prices and a plan, some of each."""
    runs = [await site.finish((await site.start("listed", FLOW))["id"]) for _ in range(3)]
    for number in range(3):
        await http.post("/keys", json={"name": f"key-{number}"})
        await http.put("/budgets", json={"scope": "project", "subject": f"p{number}", "usd": number + 1})
        price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "source": "contract"}
        await http.put("/cost/prices", json={"model": f"own:{number}", **price})
        await http.post("/plans", json={"name": f"Plan {number}", "project": "web"})
    return {"run": runs[0]["id"]}


async def test_every_list_is_read_in_pages_that_neither_repeat_nor_miss(
    http: httpx2.AsyncClient, filled: JsonObject
) -> None:
    run = filled["run"]
    for path, rows, query in (
        ("/runs", "items", {}),
        ("/runs", "items", {"workflow": "listed", "status": "succeeded"}),
        ("/events", "items", {}),
        (f"/runs/{run}/events", "items", {"types": ["step.started", "step.completed"]}),
        ("/audit", "items", {}),
        ("/keys", "items", {"sort": "name"}),
        ("/budgets", "items", {"sort": "-created_at"}),
        ("/cost/prices", "items", {}),
        ("/cost/usage", "items", {"by": ["day", "run"]}),
        ("/plans", "items", {"project": "web"}),
        ("/tools", "items", {}),
        ("/providers", "items", {}),
        ("/models", "items", {}),
        ("/agents", "items", {}),
        ("/policy/versions", "items", {}),
        (f"/runs/{run}/steps", "items", {}),
        (f"/runs/{run}/artifacts", "items", {}),
        ("/workflows", "items", {}),
        ("/projects", "items", {}),
    ):
        size = 100 if path in ("/models", "/events", "/tools") else 2
        most = 1_000 if path in ("/models", "/tools") else 500
        if path in ("/runs", "/plans", "/keys", "/budgets", "/cost/prices"):
            size = 1
        paged = await walked(http, path, rows, limit=size, **query)
        if path == "/events":  # goes on meanwhile
            assert [event["seq"] for event in paged] == sorted({event["seq"] for event in paged})
            continue
        whole = (await http.get(path, params={"limit": most, **query})).json()[rows]
        assert [json.dumps(row) for row in paged] == [json.dumps(row) for row in whole], path
    names = [key["name"] for key in await walked(http, "/keys", limit=2, sort="-name")]
    assert names == sorted(names, reverse=True)


async def test_a_cursor_is_good_for_its_list_with_its_filters_only(
    http: httpx2.AsyncClient, filled: JsonObject
) -> None:
    page = (await http.get("/runs", params={"limit": 1, "workflow": "listed"})).json()
    cursor = page["next_cursor"]
    assert (await http.get("/runs", params={"limit": 2, "workflow": "listed", "cursor": cursor})).is_success
    for path, query in (
        ("/runs", {"cursor": cursor}),
        ("/runs", {"cursor": cursor, "workflow": "other"}),
        ("/plans", {"cursor": cursor, "workflow": "listed"}),
        ("/runs", {"cursor": "x", "workflow": "listed"}),
        ("/runs", {"cursor": f"{cursor}A", "workflow": "listed"}),
        ("/approvals", {"cursor": "apr_1"}),
        ("/keys", {"cursor": "[1,2]"}),
    ):
        shown = problem(await http.get(path, params=query), 400, "bad_request")
        assert [one["path"] for one in shown["problems"]] == ["query.cursor"]
        assert "next_cursor" in shown["hint"]


async def test_a_list_goes_on_after_rows_that_came_and_went_meanwhile(http: httpx2.AsyncClient) -> None:
    async def put(name: str) -> str:
        made = await http.put("/budgets", json={"scope": "agent", "subject": name, "usd": 1})
        return str(made.json()["id"])

    ids = [await put(name) for name in "abcd"]
    page = (await http.get("/budgets", params={"scope": "agent", "limit": 2})).json()
    assert [budget["subject"] for budget in page["items"]] == ["a", "b"]
    await http.delete(f"/budgets/{ids[1]}")
    await put("e")
    query = {"scope": "agent", "limit": 5, "cursor": page["next_cursor"]}
    assert [budget["subject"] for budget in (await http.get("/budgets", params=query)).json()["items"]] == [
        "c",
        "d",
        "e",
    ]


async def test_what_has_not_changed_is_not_sent_again(http: httpx2.AsyncClient, filled: JsonObject) -> None:
    for path in (f"/runs/{filled['run']}", "/runs", "/keys", "/workflows", f"/runs/{filled['run']}/steps"):
        first = await http.get(path)
        tag = first.headers["etag"]
        assert not tag.startswith("W/")
        assert first.headers["cache-control"] == "private, no-cache"
        again = await http.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
        assert (await http.get(path, headers={"If-None-Match": '"other"'})).status_code == 200
    before = (await http.get("/keys")).headers["etag"]
    await http.post("/keys", json={"name": "another"})
    assert (await http.get("/keys", headers={"If-None-Match": before})).status_code == 200


async def test_only_the_fields_that_are_asked_for_are_sent(
    http: httpx2.AsyncClient, filled: JsonObject
) -> None:
    answer = await http.get("/runs", params={"fields": "id, status", "limit": 1})
    assert answer.headers["content-type"] == "application/vnd.mosaic.sparse+json"
    assert [set(run) for run in answer.json()["items"]] == [{"id", "status"}]
    assert answer.json()["next_cursor"] is not None
    one = (await http.get(f"/runs/{filled['run']}", params={"fields": "id,cost"})).json()
    assert set(one) == {"id", "cost"}
    for path in ("/runs", f"/runs/{filled['run']}"):
        shown = problem(await http.get(path, params={"fields": "id,colour"}), 422, "invalid_input")
        assert shown["problems"][0]["path"] == "query.fields"
        assert "started_at" in shown["hint"]


async def test_the_steps_the_workflow_and_the_artifacts_of_a_run_are_read(
    site: Site, http: httpx2.AsyncClient, filled: JsonObject
) -> None:
    steps = (await http.get(f"/runs/{filled['run']}/steps")).json()
    assert [(step["path"], step["status"], step["tries"]) for step in steps["items"]] == [
        ("one", "completed", 1),
        ("two", "skipped", 0),
        ("three", "completed", 1),
    ]
    assert (steps["items"][0]["output"], steps["items"][0]["kind"], steps["truncated"]) == (
        {"x": 1},
        "set",
        False,
    )
    skipped = (await http.get(f"/runs/{filled['run']}/steps", params={"status": "skipped"})).json()["items"]
    assert [step["path"] for step in skipped] == ["two"]
    problem(await http.get("/runs/run_nothing/steps"), 404, "not_found")
    named = (await http.get("/workflows/listed")).json()
    assert [step["name"] for step in named["steps"]] == ["one", "two", "three"]
    assert named["files"][0]["text"].endswith(FLOW)
    assert (await http.get(f"/workflows/{named['content_hash']}")).json() == named
    problem(await http.get("/workflows/unknown"), 404, "not_found")
    kept = (await http.get(f"/runs/{filled['run']}/artifacts")).json()["items"][0]
    assert (await http.get(f"/artifacts/{kept['id']}")).json() == kept
    projects = {one["name"]: one for one in (await http.get("/projects")).json()["items"]}
    assert projects["web"]["plans"] >= 3
    assert (await http.get("/projects/web")).json() == projects["web"]
    problem(await http.get("/projects/nothing"), 404, "not_found")


async def test_every_example_of_the_contract_fits_its_schema(http: httpx2.AsyncClient) -> None:
    contract = (await http.get("/openapi.json")).json()
    registry: Any = Registry().with_resource(
        "urn:contract", Resource(contents=contract, specification=DRAFT202012)
    )
    examples = 0
    for path, operations in contract["paths"].items():
        for method, operation in operations.items():
            contents = [response.get("content", {}) for response in operation["responses"].values()]
            for content in (*contents, operation.get("requestBody", {}).get("content", {})):
                for media, told in content.items():
                    if "example" not in told:
                        continue
                    examples += 1
                    schema = json.loads(json.dumps(told["schema"]).replace('"#/', '"urn:contract#/'))
                    validator = jsonschema.Draft202012Validator(schema, registry=registry)
                    errors = [error.message for error in validator.iter_errors(told["example"])]
                    assert not errors, (method, path, media, errors)
            answers = [told for status, told in operation["responses"].items() if status.startswith("2")]
            for told in answers:
                if "application/json" in told.get("content", {}):
                    assert "example" in told["content"]["application/json"], (method, path)
    assert examples > 300
