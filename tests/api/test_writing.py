"""Writing: done once however often it is sent, only on what was read, and much at once."""

import asyncio
import json

import httpx2
import pytest

from mosaic.core.values import JsonObject
from tests.api.test_rest import problem
from tests.app.site import Site
from tests.planning.conftest import SMALL

pytestmark = pytest.mark.anyio

SET = "do:\n  - a: {set: {x: 1}}\n"
LINES = {"Content-Type": "application/jsonl"}


def lines(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def count(http: httpx2.AsyncClient, path: str) -> int:
    return len((await http.get(path)).json()["items"])


async def test_a_request_with_a_key_is_done_once_and_answered_every_time(
    site: Site, http: httpx2.AsyncClient
) -> None:
    body, key = site.request("once", SET), {"Idempotency-Key": "start-1"}
    first = await http.post("/runs", json=body, headers=key)
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    await site.finish(first.json()["id"])
    again = await http.post("/runs", json=body, headers={"Idempotency-Key": '"start-1"'})
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    other = problem(
        await http.post("/runs", json=site.request("twice", SET), headers=key), 422, "invalid_input"
    )
    assert "new key" in other["hint"]
    problem(await http.post("/plans", json={"name": "x"}, headers=key), 422, "invalid_input")
    assert await count(http, "/runs?workflow=once") == 1


async def test_of_many_at_once_with_one_key_one_is_done(http: httpx2.AsyncClient) -> None:
    async def send() -> httpx2.Response:
        return await http.post("/plans", json={"name": "Once"}, headers={"Idempotency-Key": "plan-1"})

    answers = await asyncio.gather(*(send() for _ in range(8)))
    done = [answer for answer in answers if answer.status_code == 201]
    busy = [answer for answer in answers if answer.status_code != 201]
    assert len({answer.json()["id"] for answer in done}) == 1
    for answer in busy:
        problem(answer, 409, "conflict")
        assert answer.headers["retry-after"] == "1"
    plans = (await http.get("/plans", params={"limit": 500})).json()["items"]
    assert [plan["name"] for plan in plans].count("Once") == 1


async def test_what_was_refused_may_be_put_right_under_the_same_key(http: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "right-1"}
    problem(await http.post("/plans", json={"nome": "x"}, headers=key), 422, "invalid_input")
    problem(await http.post("/plans", json={}, headers=key), 422, "invalid_input")
    assert (await http.post("/plans", json={"name": "Right"}, headers=key)).status_code == 201
    for bad in ("", "a b", "x" * 256, "é"):
        answer = await http.post("/plans", json={"name": "x"}, headers={"Idempotency-Key": bad.encode()})
        problem(answer, 400, "bad_request")


async def test_a_secret_is_made_once_and_shown_once(http: httpx2.AsyncClient) -> None:
    before, key = await count(http, "/keys"), {"Idempotency-Key": "key-1"}
    made = await http.post("/keys", json={"name": "ci"}, headers=key)
    assert made.json()["secret"]
    assert made.headers["cache-control"] == "no-store"
    again = problem(await http.post("/keys", json={"name": "ci"}, headers=key), 409, "conflict")
    assert made.json()["secret"] not in json.dumps(again)
    assert await count(http, "/keys") == before + 1


async def test_what_has_a_version_is_written_only_as_it_was_read(http: httpx2.AsyncClient) -> None:
    limit: JsonObject = {"scope": "tenant", "usd": 5}
    made = await http.put("/budgets", json=limit)
    path = f"/budgets/{made.json()['id']}"
    tag = (await http.get(path)).headers["etag"]
    assert tag.split("-")[0] == made.headers["etag"].rstrip('"')
    changed = await http.put("/budgets", json={**limit, "usd": 6}, headers={"If-Match": tag})
    assert changed.status_code == 200
    problem(await http.put("/budgets", json={**limit, "usd": 7}, headers={"If-Match": tag}), 412, "stale")
    problem(await http.delete(path, headers={"If-Match": tag}), 412, "stale")
    weak = f"W/{changed.headers['etag']}"
    problem(await http.delete(path, headers={"If-Match": weak}), 412, "stale")
    problem(await http.delete(path, headers={"If-Match": "yes"}), 422, "invalid_input")
    assert (await http.get(path)).json()["limit_usd"] == 6
    both = f'"older", {changed.headers["etag"]}'
    assert (await http.delete(path, headers={"If-Match": both})).status_code == 200
    gone = {"If-Match": changed.headers["etag"]}
    problem(await http.put("/budgets", json=limit, headers=gone), 412, "stale")

    price = {"model": "own:x", "input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "source": "contract"}
    await http.put("/cost/prices", json=price)
    tag = (await http.get("/cost/prices/own:x")).headers["etag"]
    assert (
        await http.put("/cost/prices", json={**price, "source": "new"}, headers={"If-Match": tag})
    ).is_success
    problem(await http.delete("/cost/prices/own:x", headers={"If-Match": tag}), 412, "stale")

    plan = (await http.post("/plans", json={"name": "Versions", "operations": SMALL})).json()["id"]
    tag = (await http.get(f"/plans/{plan}")).headers["etag"]
    assert tag.startswith('"1-')
    assert (await http.patch(f"/plans/{plan}", json={"name": "V2"}, headers={"If-Match": tag})).is_success
    answer = await http.patch(f"/plans/{plan}", json={"name": "V3"}, headers={"If-Match": tag})
    problem(answer, 412, "stale_plan")


@pytest.mark.requirement("ENT-83")
async def test_plans_go_out_and_come_in_as_lines_each_for_itself(http: httpx2.AsyncClient) -> None:
    made = (await http.post("/plans", json={"name": "Out", "project": "bulk", "operations": SMALL})).json()
    out = await http.get("/plans/export", params={"project": "bulk"})
    assert out.headers["content-type"] == "application/jsonl"
    (row,) = [json.loads(line) for line in out.text.splitlines()]
    broken = [b"{\n", b'"text"\n', b"\n", lines({"nome": "x"}), lines({"document": "plan: x\nepics: 3\n"})]
    content = lines({**row, "project": "bulk-in"}) + b"".join(broken) + lines({"name": "Last"})
    report = (await http.post("/plans/import", content=content, headers=LINES)).json()
    assert (report["imported"], report["failed"]) == (2, 4)
    assert [item["line"] for item in report["items"] if item["problems"]] == [2, 3, 5, 6]
    places = [item["problems"][0]["path"] for item in report["items"] if item["problems"]]
    assert places[0] == "line 2"
    assert places[2].startswith("line 5: nome")
    copy = (await http.get(f"/plans/{report['items'][0]['plan']}")).json()
    assert (copy["project"], copy["items"], copy["estimate"]) == ("bulk-in", made["items"], made["estimate"])
    answer = await http.post("/plans/import", content=content, headers={"Content-Type": "text/csv"})
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.requirement("ENT-83")
async def test_items_come_in_as_lines_all_or_none(http: httpx2.AsyncClient) -> None:
    plan = (await http.post("/plans", json={"name": "Items"})).json()["id"]
    path = f"/plans/{plan}/items/import"
    good = [
        {"ref": "e", "item": {"title": "Epic"}},
        {"ref": "f", "parent": "e", "item": {"title": "Feature", "estimate": {"hours": 2}}},
    ]
    refused = await http.post(path, content=lines(*good, {"item": {}}) + b"nothing\n", headers=LINES)
    shown = problem(refused, 422, "invalid_input")
    assert [(one["line"], one["path"]) for one in shown["problems"]] == [
        (3, "line 3: item.title"),
        (4, "line 4"),
    ]
    lost = lines(*good, {"parent": "nowhere", "item": {"title": "Lost"}})
    shown = problem(await http.post(path, content=lost, headers=LINES), 422, "invalid_input")
    assert [one["line"] for one in shown["problems"]] == [3]
    seen = await http.post(path, params={"dry_run": "true"}, content=lines(*good), headers=LINES)
    assert [one["title"] for one in seen.json()["diff"]] == ["Epic", "Feature"]
    assert await count(http, f"/plans/{plan}/items") == 0
    key = {**LINES, "Idempotency-Key": "items-1"}
    made = await http.post(path, content=lines(*good), headers=key)
    assert made.json()["version"] == 2
    assert (await http.post(path, content=lines(*good), headers=key)).content == made.content
    stale = await http.post(path, content=lines(*good), headers={**LINES, "If-Match": '"1"'})
    problem(stale, 412, "stale_plan")
    out = (await http.get(f"/plans/{plan}/items/export")).text.splitlines()
    assert [json.loads(line)["title"] for line in out] == ["Epic", "Feature"]
    problem(await http.get("/plans/nothing/items/export"), 404, "not_found")


@pytest.mark.requirement("ENT-83")
async def test_runs_and_events_go_out_as_lines(site: Site, http: httpx2.AsyncClient) -> None:
    runs = [await site.finish((await site.start("exported", SET))["id"]) for _ in range(2)]
    out = await http.get("/runs/export", params={"workflow": "exported"})
    assert [json.loads(line)["id"] for line in out.text.splitlines()] == [run["id"] for run in reversed(runs)]
    events = (await http.get("/events/export", params={"run_id": runs[0]["id"]})).text.splitlines()
    shown = (await http.get(f"/runs/{runs[0]['id']}/events", params={"limit": 500})).json()["items"]
    assert [json.loads(line) for line in events] == shown
    problem(await http.get("/events/export", params={"run_id": "run_nothing"}), 404, "not_found")
