"""What the board asks for besides: examples, where the journal ends, the audit trail page by page and as a file."""

import json

import httpx2
import pytest

from tests.app.site import Site

pytestmark = pytest.mark.anyio

SET = "do:\n  - say: {set: {colour: red}}\n"


async def test_examples_are_listed_and_started(site: Site, http: httpx2.AsyncClient) -> None:
    items = {item["name"]: item for item in (await http.get("/examples")).json()["items"]}
    assert "hello-team" in items
    assert items["hello-team"]["description"]
    answer = await http.post("/examples/hello-team/runs", json={"inputs": {"topic": "Why?"}})
    assert answer.status_code == 201
    run = await site.finish(answer.json()["id"])
    assert (run["workflow"], run["inputs"]["topic"]) == ("hello-team", "Why?")
    for name in ("nothing", "%2e%2e%2fhello-team"):
        assert (await http.post(f"/examples/{name}/runs", json={})).status_code == 404
    assert (await http.post("/examples/hello-team/runs", json={"inputs": {"topic": 1}})).status_code == 422


async def test_the_journal_ends_where_its_newest_event_is(site: Site, http: httpx2.AsyncClient) -> None:
    await site.finish((await site.start("journal", SET))["id"])
    head = (await http.get("/journal")).json()["head"]
    page = (await http.get("/events", params={"after": head - 1})).json()
    assert page["items"][0]["seq"] == head


async def test_the_audit_trail_is_read_backwards_without_a_gap(site: Site, http: httpx2.AsyncClient) -> None:
    made = [(await site.start(f"audited-{number}", SET))["id"] for number in range(5)]
    for run_id in made:
        await site.finish(run_id)
    seen: list[int] = []
    before: dict[str, int] = {}
    while True:
        page = (await http.get("/audit", params={"types": "run.created", "limit": 2, **before})).json()
        seen += [event["seq"] for event in page["items"]]
        if page["next_before"] is None:
            break
        before = {"before": page["next_before"]}
    assert seen == sorted(set(seen), reverse=True)
    exported = (await http.get("/audit/export", params={"types": "run.created"})).text.splitlines()
    assert [json.loads(line)["seq"] for line in exported] == seen[::-1]
    assert {json.loads(line)["run_id"] for line in exported} >= set(made)
    nobody = (await http.get("/audit", params={"actor": "user:nobody"})).json()
    assert nobody["items"] == []
