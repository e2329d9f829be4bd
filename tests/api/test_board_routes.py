"""What the board asks for besides: examples, workflows as drawings, where the journal ends, the audit trail."""

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


DRAWN = """
inputs:
  type: object
  required: [topic]
  properties: {topic: {type: string}}
do:
  - both:
      fork:
        one: {set: "${inputs.topic}"}
        two: {set: {after: one}, needs: [one]}
      join: all
  - kind: {switch: [{when: "${inputs.topic == 'x'}", do: [{ex: {set: 1}}]}, {default: [{why: {set: 2}}]}]}
  - check: {validate: [{run: "true"}], on_fail: {goto: both, max: 1}}
"""


async def test_a_workflow_is_drawn_with_what_is_inside_its_steps_and_started_by_its_name(
    site: Site, http: httpx2.AsyncClient
) -> None:
    first = await site.start("drawn", DRAWN, inputs={"topic": "x"})
    await site.finish(first["id"])
    rows = {row["name"]: row for row in (await http.get("/board/workflows")).json()["items"]}
    assert rows["hello-team"]["example"]
    assert not rows["drawn"]["example"]
    shown = (await http.get("/board/workflows/drawn")).json()
    both, kind, check = shown["steps"]
    assert both["parallel"]
    assert [block["label"] for block in both["blocks"]] == ["one", "two"]
    assert both["blocks"][1]["steps"][0]["needs"] == ["one"]
    assert [block["steps"][0]["name"] for block in kind["blocks"]] == ["ex", "why"]
    assert (check["goto"], check["detail"], shown["step_count"]) == ("both", "true", 7)
    assert shown["inputs"]["required"] == ["topic"]
    assert [run["id"] for run in shown["runs"]] == [first["id"]]

    made = await http.post("/board/workflows/drawn/runs", json={"inputs": {"topic": "y"}})
    assert made.status_code == 201
    run = await site.finish(made.json()["id"])
    assert (run["inputs"]["topic"], run["definition_hash"]) == ("y", shown["content_hash"])
    assert (await http.post("/board/workflows/drawn/runs", json={})).status_code == 422
    for answer in (
        await http.get("/board/workflows/nothing"),
        await http.post("/board/workflows/nothing/runs", json={}),
    ):
        assert answer.status_code == 404
        assert "drawn" in answer.json()["hint"]


async def test_a_workflow_that_works_on_a_folder_takes_the_one_it_worked_on_last(
    site: Site, http: httpx2.AsyncClient
) -> None:
    example = (await http.get("/board/workflows/fix-failing-test")).json()
    assert example["workspace_source"].endswith("fix-failing-test/repo")
    text = "workspace: {source: here/}\ndo:\n  - say: {set: 1}\n"
    here = site.folder / "flows" / "on-folder" / "here"
    here.mkdir(parents=True)
    (here / "a.txt").write_text("a")
    await site.finish((await site.start("on-folder", text))["id"])
    assert (await http.get("/board/workflows/on-folder")).json()["workspace_source"] == str(here)
    made = await http.post("/board/workflows/on-folder/runs", json={})
    assert made.status_code == 201, made.text
    assert made.json()["options"]["workspace_source"] == str(here)
    await site.finish(made.json()["id"])


async def test_a_digest_of_the_audit_trail_stays_as_it_is_and_changes_with_what_comes(
    site: Site, http: httpx2.AsyncClient
) -> None:
    await site.finish((await site.start("chained", SET))["id"])
    kept = (await http.get("/board/audit/digest")).json()
    await site.finish((await site.start("chained", SET))["id"])
    now = (await http.get("/board/audit/digest")).json()
    assert now["events"] > kept["events"]
    assert now["digest"] != kept["digest"]
    again = (await http.get("/board/audit/digest", params={"through": kept["through"]})).json()
    assert again == kept
    assert (await http.get("/board/audit/digest", params={"through": 0})).json()["events"] == 0
