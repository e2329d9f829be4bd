"""The API of a running server, over real HTTP: REST, its contract, live events, and who may ask."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mosaic.app.requests import run_request
from tests.acceptance.installation import HEAD
from tests.conftest import _postgres_copy

MOSAIC = Path(sys.executable).with_name("mosaic")
TEAM = """
inputs: {type: object, properties: {goal: {type: string, default: ship}}}
agents:
  planner: {model: "scripted:scripted.yaml", instructions: Plan., handoffs: [coder]}
  coder: {model: "scripted:scripted.yaml", instructions: Code., tools: [files.write, files.delete]}
workspace: {source: repo/}
do:
  - fix: {handoff: {start: planner, among: [planner, coder]}, with: "${inputs.goal}"}
  - go: {listen: go}
outputs: {answer: "${fix}", told: "${go}"}
"""
SCRIPT = """
scripted: 1
agents:
  planner: [{text: Your turn., tool_calls: [{tool: handoff_to_coder, arguments: {task: code}}]}]
  coder:
    - {text: I delete it., tool_calls: [{tool: files.delete, arguments: {path: old.txt}}]}
    - {text: All is done.}
"""


@dataclass
class Server:
    """A server, its owner's client, and the workflow it is asked to run."""

    home: Path
    address: str
    http: httpx2.Client
    team: Path

    def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Ask and return the body; fail unless the status is the one expected."""
        answer = self.http.request(method, path, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def start(self, **options: Any) -> str:
        """Start the team and return the run's id."""
        run = self.ask("POST", "/runs", 201, json=run_request(self.team, inputs={}, options=options))
        return str(run["id"])

    def stream(self, path: str, until: str | Callable[[dict[str, Any]], bool], after: int = 0) -> list[dict]:
        """Return the events of a stream up to one of a type."""
        headers = {"Last-Event-ID": str(after)}
        with self.http.stream("GET", path, headers=headers, timeout=60) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            return events_of(answer, until)

    def events(self, run_id: str) -> list[dict]:
        """Return what is journaled of a run, page by page."""
        found: list[dict] = []
        while page := self.ask(
            "GET", f"/runs/{run_id}/events?after={found[-1]['seq'] if found else 0}&limit=7"
        )["items"]:
            found += page
        return found

    def finish(self, run_id: str, *, approve: bool = True) -> dict:
        """Answer what the team asks, tell it to go on, and return the finished run."""
        (asked,) = self.stream(f"/runs/{run_id}/events/stream", "approval.requested")[-1:]
        verb = "approve" if approve else "reject"
        self.ask("POST", f"/approvals/{asked['data']['approval']}/{verb}", json={"note": "over HTTP"})
        self.ask("POST", f"/runs/{run_id}/signals/go", 202, json={"word": "now"})
        self.stream(f"/runs/{run_id}/events/stream", lambda event: event["type"].startswith("run.succ"))
        return dict(self.ask("GET", f"/runs/{run_id}"))


def events_of(answer: httpx2.Response, until: str | Callable[[dict[str, Any]], bool]) -> list[dict]:
    found: list[dict] = []
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
            continue
        if "data" in fields:
            event = json.loads(fields["data"])
            assert (fields["id"], fields["event"]) == (str(event["seq"]), event["type"])
            found.append(event)
            if event["type"] == until if isinstance(until, str) else until(event):
                return found
        fields = {}
    raise AssertionError("the stream ended")


@contextmanager
def serving(home: Path, **variables: str) -> Iterator[str]:
    """Start a server and return its address; stop it as a supervisor does."""
    command = [MOSAIC, "--home", home, "up", "--port", "0", "--no-example"]
    keys = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
    environment = {name: value for name, value in os.environ.items() if name not in keys} | variables
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        assert found, first
        yield found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database for all tests of this module; empty for the one in the data folder."""
    if request.param == "sqlite":
        yield ""
        return
    with _postgres_copy(request, "mosaic_template") as url:
        yield url


@pytest.fixture(scope="module")
def server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    team = folder / "team"
    (team / "repo").mkdir(parents=True)
    (team / "workflow.yaml").write_text(HEAD + TEAM)
    (team / "scripted.yaml").write_text(SCRIPT)
    (team / "repo" / "old.txt").write_text("old")
    with serving(folder / ".mosaic", MOSAIC_DATABASE_URL=database_url) as address:
        token = (folder / ".mosaic" / "owner-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=f"{address}/api/v1", headers=headers, timeout=30) as http:
            yield Server(folder / ".mosaic", address, http, team)


@pytest.mark.requirement("ENT-80", "STK-15", "MAOS-22", "MOZ-32")
def test_a_run_is_started_watched_answered_and_read_over_rest(server: Server) -> None:
    run_id = server.start()
    waiting = server.stream(f"/runs/{run_id}/events/stream", "approval.requested")[-1]
    asked = server.ask("GET", "/approvals?status=pending")["items"]
    assert [approval["id"] for approval in asked if approval["run_id"] == run_id] == [
        waiting["data"]["approval"]
    ]
    run = server.finish(run_id)
    assert run["status"] == "succeeded"
    assert run["outputs"] == {"answer": "All is done.", "told": {"word": "now"}}
    assert run["cost"]["calls"] == 3
    assert run_id in [one["id"] for one in server.ask("GET", "/runs?status=succeeded&limit=5")["items"]]
    decided = server.ask("GET", f"/approvals/{waiting['data']['approval']}")
    assert (decided["status"], decided["note"]) == ("approved", "over HTTP")
    names = {agent["name"] for agent in server.ask("GET", "/agents")["items"]}
    assert names >= {"planner", "coder"}
    assert server.events(run_id)[-1]["seq"] > waiting["seq"]


@pytest.mark.requirement("ENT-80")
def test_a_run_is_cancelled_forked_and_started_once_over_rest(server: Server) -> None:
    chosen = "run_" + "7" * 26
    assert server.start(run_id=chosen) == server.start(run_id=chosen) == chosen
    server.stream(f"/runs/{chosen}/events/stream", "approval.requested")
    assert server.ask("POST", f"/runs/{chosen}/cancel")["status"] == "cancelled"
    again = server.ask("POST", f"/runs/{chosen}/cancel", 409)
    assert again["code"] == "conflict"
    finished = server.finish(server.start())
    body = {"from_step": "go", "inputs": {}}
    forked = server.ask("POST", f"/runs/{finished['id']}/fork", 201, json=body)
    server.ask("POST", f"/runs/{forked['id']}/signals/go", 202, json={"word": "again"})
    server.stream(f"/runs/{forked['id']}/events/stream", "run.succeeded")
    run = server.ask("GET", f"/runs/{forked['id']}")
    assert run["outputs"] == {"answer": "All is done.", "told": {"word": "again"}}
    assert run["cost"]["calls"] == 0, "what came before the step is kept"


@pytest.mark.requirement("ENT-80", "MAOS-22", "ORC-244")
def test_the_contract_is_an_openapi_document_that_describes_every_route_and_its_errors(
    server: Server,
) -> None:
    contract = server.ask("GET", "/openapi.json")
    assert contract["openapi"].startswith("3.1")
    operations = {
        (method.upper(), path): operation
        for path, item in contract["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "delete")
    }
    for wanted in (
        ("POST", "/api/v1/runs"),
        ("GET", "/api/v1/runs/{run_id}"),
        ("POST", "/api/v1/runs/{run_id}/cancel"),
        ("POST", "/api/v1/runs/{run_id}/fork"),
        ("GET", "/api/v1/runs/{run_id}/events/stream"),
        ("POST", "/api/v1/approvals/{approval_id}/approve"),
        ("GET", "/api/v1/agents"),
    ):
        assert wanted in operations
    assert all(operation.get("summary") for operation in operations.values())

    missing = server.http.get("/runs/run_0")
    assert missing.headers["content-type"] == "application/problem+json"
    problem = missing.json()
    assert (problem["status"], problem["code"]) == (404, "not_found")
    assert problem["title"]
    assert "run_0" in problem["detail"]
    wrong = server.ask("POST", "/runs", 422, json={"bundle": {}, "optoins": {}})
    assert "optoins" in json.dumps(wrong["problems"])


@pytest.mark.requirement("MAOS-04", "ENT-60")
def test_every_route_of_the_api_refuses_who_does_not_show_the_owners_token(server: Server) -> None:
    contract = server.ask("GET", "/openapi.json")
    asked = 0
    # A browser learns there that it must sign in, and does so with a code that is good once; a signed message has its
    # own proof. Nothing is shown or done there for whoever has none.
    own_proof = {"/api/v1/session", "/api/v1/approvals/{approval_id}/webhook"}
    with httpx2.Client(base_url=server.address, timeout=30) as http:
        assert http.get("/api/v1/session").json()["signed_in"] is False
        assert http.post("/api/v1/session", json={"code": "wrong-code-of-nobody"}).status_code in (
            401,
            403,
            422,
        )
        assert http.post("/api/v1/approvals/apr_x/webhook", json={}).status_code in (400, 401, 403, 404)
        for path, item in contract["paths"].items():
            if not path.startswith("/api/") or path in own_proof:
                continue
            for method in item:
                for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc="}):
                    refused = http.request(method, re.sub(r"\{.*?\}", "x", path), headers=headers)
                    assert refused.status_code == 401, (method, path)
                    assert refused.json()["code"] == "unauthenticated"
                    asked += 1
        assert asked > 40
        foreign = http.get("/api/v1/runs", headers={"Host": "evil.example", **dict(server.http.headers)})
        assert foreign.status_code == 421


@pytest.mark.requirement("ENT-13", "STK-15", "STK-36", "MOZ-03", "MAOS-14")
def test_events_arrive_live_and_a_client_that_is_cut_off_misses_nothing_and_sees_nothing_twice(
    server: Server,
) -> None:
    run_id = server.start()
    path = f"/runs/{run_id}/events/stream"
    seen = server.stream(path, "step.started")
    seen += server.stream(path, "approval.requested", after=seen[-1]["seq"])
    asked = seen[-1]["data"]["approval"]
    server.ask("POST", f"/approvals/{asked}/reject", json={})
    seen += server.stream(path, "step.completed", after=seen[-1]["seq"])
    server.ask("POST", f"/runs/{run_id}/signals/go", 202, json={})
    seen += server.stream(path, "run.succeeded", after=seen[-1]["seq"])
    journal = server.events(run_id)
    assert seen == journal[: len(seen)]
    types = [event["type"] for event in seen]
    for expected in ("agent.message", "agent.turn", "model.called", "handoff.made", "tool.rejected"):
        assert expected in types
    everything = server.stream("/events/stream", lambda event: event["seq"] == seen[-1]["seq"])
    assert [event["seq"] for event in everything] == list(range(1, seen[-1]["seq"] + 1))


@pytest.mark.requirement("ENT-82")
def test_what_a_run_kept_is_downloaded_as_it_was_kept(server: Server) -> None:
    run = server.finish(server.start())
    (artifact,) = server.ask("GET", f"/runs/{run['id']}/artifacts")["items"]
    answer = server.http.get(f"/artifacts/{artifact['id']}/content")
    assert answer.status_code == 200
    assert len(answer.content) == artifact["size_bytes"]
    assert answer.headers["content-type"] == artifact["media_type"]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert run["id"] in answer.text


@pytest.mark.requirement("MAOS-05", "STK-154")
def test_a_supervisor_can_tell_whether_the_server_lives_and_is_ready(server: Server) -> None:
    for path in ("/healthz", "/readyz"):
        answer = httpx2.get(f"{server.address}{path}", timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.requirement("ENT-02", "STK-102")
def test_the_command_line_and_the_api_tell_the_same(server: Server) -> None:
    run = server.finish(server.start())

    def command(*arguments: str) -> Any:
        done = subprocess.run(
            [MOSAIC, "--home", server.home, *arguments, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    (shown,) = command("runs", "show", run["id"])
    assert {key: shown[key] for key in run} == run
    assert run["id"] in [one["id"] for one in command("runs", "list")]
    journal = command("runs", "logs", run["id"])
    assert "run.succeeded" in [event["type"] for event in journal]
    assert journal == server.events(run["id"])[: len(journal)]
