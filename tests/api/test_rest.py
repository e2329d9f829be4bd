"""REST: who may ask, what is refused and how, and that every answer is what the contract says."""

import asyncio
import json
from typing import Any

import httpx2
import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, Site

pytestmark = pytest.mark.anyio

SET = "do:\n  - a: {set: {x: 1}}\n"
ASK = "do:\n  - sure: {ask: {question: Go on?}}\n"
ROUTES = {
    ("get", "/api/v1/agents"),
    ("get", "/api/v1/cache"),
    ("post", "/api/v1/cache/purge"),
    ("post", "/api/v1/cache/warm"),
    ("get", "/api/v1/approvals"),
    ("get", "/api/v1/approvals/{approval_id}"),
    ("get", "/api/v1/approvals/webhooks"),
    ("post", "/api/v1/approvals/{approval_id}/approve"),
    ("post", "/api/v1/approvals/{approval_id}/preview"),
    ("post", "/api/v1/approvals/{approval_id}/webhook"),
    ("post", "/api/v1/approvals/{approval_id}/reject"),
    ("get", "/api/v1/artifacts/{artifact_id}/content"),
    ("get", "/api/v1/board/audit/digest"),
    ("get", "/api/v1/board/workflows"),
    ("get", "/api/v1/board/workflows/{name}"),
    ("post", "/api/v1/board/workflows/{name}/runs"),
    ("get", "/api/v1/budget-leases"),
    ("post", "/api/v1/budget-leases/reconcile"),
    ("get", "/api/v1/budgets"),
    ("put", "/api/v1/budgets"),
    ("get", "/api/v1/budgets/{budget_id}"),
    ("delete", "/api/v1/budgets/{budget_id}"),
    ("get", "/api/v1/comments"),
    ("post", "/api/v1/comments"),
    ("delete", "/api/v1/comments/{comment_id}"),
    ("get", "/api/v1/comments/{comment_id}"),
    ("patch", "/api/v1/comments/{comment_id}"),
    ("get", "/api/v1/cost/bill"),
    ("get", "/api/v1/cost/forecast"),
    ("get", "/api/v1/cost/prices"),
    ("put", "/api/v1/cost/prices"),
    ("delete", "/api/v1/cost/prices/{model}"),
    ("post", "/api/v1/cost/savings"),
    ("get", "/api/v1/cost/usage"),
    ("get", "/api/v1/dead-letters"),
    ("post", "/api/v1/dead-letters/{execution_id}/requeue"),
    ("get", "/api/v1/events"),
    ("get", "/api/v1/events/stream"),
    ("get", "/api/v1/feedback"),
    ("post", "/api/v1/feedback"),
    ("get", "/api/v1/hooks"),
    ("post", "/api/v1/hooks/{name}"),
    ("get", "/api/v1/hooks/{name}/messages"),
    ("get", "/api/v1/keys"),
    ("post", "/api/v1/keys"),
    ("get", "/api/v1/keys/{key_id}"),
    ("post", "/api/v1/keys/{key_id}/revoke"),
    ("post", "/api/v1/keys/{key_id}/rotate"),
    ("get", "/api/v1/mcp-servers"),
    ("post", "/api/v1/mcp-servers"),
    ("delete", "/api/v1/mcp-servers/{name}"),
    ("post", "/api/v1/mcp-servers/{name}/pin"),
    ("get", "/api/v1/tools"),
    ("get", "/api/v1/tools/{name}"),
    ("post", "/api/v1/tools/{name}/approve"),
    ("post", "/api/v1/tools/{name}/call"),
    ("post", "/api/v1/tools/{name}/quarantine"),
    ("get", "/api/v1/tool-calls/{call_id}"),
    ("post", "/api/v1/tool-calls/{call_id}/cancel"),
    ("get", "/api/v1/models"),
    ("get", "/api/v1/plans"),
    ("post", "/api/v1/plans"),
    ("delete", "/api/v1/plans/{plan_id}"),
    ("get", "/api/v1/plans/{plan_id}"),
    ("patch", "/api/v1/plans/{plan_id}"),
    ("get", "/api/v1/plans/{plan_id}/changes"),
    ("post", "/api/v1/plans/{plan_id}/changes"),
    ("post", "/api/v1/plans/{plan_id}/changes/{change_id}/undo"),
    ("get", "/api/v1/plans/{plan_id}/export"),
    ("get", "/api/v1/plans/{plan_id}/graph"),
    ("get", "/api/v1/plans/{plan_id}/items"),
    ("get", "/api/v1/plans/{plan_id}/items/{item_id}"),
    ("post", "/api/v1/plans/{plan_id}/items/{item_id}/run"),
    ("get", "/api/v1/policy"),
    ("post", "/api/v1/policy/check"),
    ("post", "/api/v1/policy/explain"),
    ("get", "/api/v1/policy/rules"),
    ("post", "/api/v1/policy/rules/{rule_id}/revoke"),
    ("post", "/api/v1/policy/test"),
    ("get", "/api/v1/policy/versions"),
    ("get", "/api/v1/policy/versions/{version}"),
    ("get", "/api/v1/presence/{subject_id}"),
    ("get", "/api/v1/providers"),
    ("post", "/api/v1/providers/reload"),
    ("get", "/api/v1/providers/{name}"),
    ("post", "/api/v1/providers/{name}/check"),
    ("get", "/api/v1/routes"),
    ("post", "/api/v1/routes/explain"),
    ("get", "/api/v1/runs"),
    ("post", "/api/v1/runs"),
    ("get", "/api/v1/runs/{run_id}"),
    ("get", "/api/v1/runs/{run_id}/artifacts"),
    ("post", "/api/v1/runs/{run_id}/cancel"),
    ("get", "/api/v1/runs/{run_id}/events"),
    ("get", "/api/v1/runs/{run_id}/events/stream"),
    ("post", "/api/v1/runs/{run_id}/fork"),
    ("post", "/api/v1/runs/{run_id}/signals/{name}"),
    ("get", "/api/v1/audit"),
    ("get", "/api/v1/audit/export"),
    ("get", "/api/v1/examples"),
    ("post", "/api/v1/examples/{name}/runs"),
    ("get", "/api/v1/journal"),
    ("get", "/api/v1/session"),
    ("post", "/api/v1/session"),
    ("delete", "/api/v1/session"),
    ("post", "/api/v1/session/codes"),
    ("get", "/api/v1/system"),
    ("get", "/api/v1/webhooks"),
    ("post", "/api/v1/webhooks"),
    ("delete", "/api/v1/webhooks/{webhook_id}"),
    ("get", "/api/v1/webhooks/{webhook_id}"),
    ("patch", "/api/v1/webhooks/{webhook_id}"),
    ("get", "/api/v1/webhooks/{webhook_id}/deliveries"),
    ("post", "/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"),
    ("post", "/api/v1/webhooks/{webhook_id}/replay"),
    ("post", "/api/v1/webhooks/{webhook_id}/rotate"),
    ("post", "/api/v1/webhooks/{webhook_id}/test"),
    ("post", "/api/v1/workflow/execute"),
    ("get", "/api/v1/workflow/{execution_id}/status"),
    ("post", "/api/v1/workflows/validate"),
    ("post", "/api/v1/ws/tickets"),
    ("get", "/api/v1/artifacts/{artifact_id}"),
    ("get", "/api/v1/events/export"),
    ("get", "/api/v1/plans/export"),
    ("get", "/api/v1/plans/{plan_id}/items/export"),
    ("get", "/api/v1/projects"),
    ("get", "/api/v1/projects/{name}"),
    ("get", "/api/v1/runs/export"),
    ("get", "/api/v1/runs/{run_id}/steps"),
    ("get", "/api/v1/workflows"),
    ("get", "/api/v1/workflows/{workflow}"),
    ("post", "/api/v1/plans/import"),
    ("post", "/api/v1/plans/{plan_id}/items/import"),
    ("get", "/api/v1/cost/prices/{model}"),
    ("get", "/api/v1/policy/rules/{rule_id}"),
    ("get", "/healthz"),
    ("get", "/readyz"),
}


@pytest.fixture
async def contract(http: httpx2.AsyncClient) -> JsonObject:
    """The OpenAPI document."""
    document: JsonObject = (await http.get("/openapi.json")).json()
    return document


def problem(answer: httpx2.Response, status: int, code: str) -> JsonObject:
    """Check that an answer is an RFC 9457 problem document, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    shown: JsonObject = answer.json()
    assert shown["status"] == status
    assert shown["code"] == code
    assert shown["type"] == f"urn:mosaic:problem:{code}"
    assert shown["title"]
    assert shown["detail"]
    assert shown["instance"] == answer.request.url.path
    return shown


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic abc", "bearer é"], ids=repr)
async def test_without_the_owners_token_nothing_is_told(site: Site, header: str | None) -> None:
    headers: dict[str, bytes] = {} if header is None else {"Authorization": header.encode()}
    async with httpx2.AsyncClient(base_url=str(site.address), trust_env=False, timeout=WAIT_S) as http:
        for method, path in (("GET", "/api/v1/runs"), ("POST", "/api/v1/runs"), ("GET", "/api/v1/nothing")):
            answer = await http.request(method, path, headers=headers)
            shown = problem(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "owner-token" in shown["hint"]


async def test_health_and_the_contract_need_no_token(site: Site) -> None:
    async with httpx2.AsyncClient(base_url=str(site.address), trust_env=False, timeout=WAIT_S) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ok"}
        assert (await http.get("/api/v1/openapi.json")).status_code == 200
        page = await http.get("/")
        assert "MosAIc is running" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]:80", "localhost.evil"]
)
async def test_a_foreign_host_name_gets_nothing(http: httpx2.AsyncClient, host: str) -> None:
    problem(await http.get("/runs", headers={"Host": host}), 421, "misdirected_request")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:80", "mosaic.test"])
async def test_names_of_loopback_and_configured_ones_are_ours(http: httpx2.AsyncClient, host: str) -> None:
    assert (await http.get("/runs", headers={"Host": host})).status_code == 200


async def test_what_is_unknown_is_404_and_a_wrong_method_405(http: httpx2.AsyncClient) -> None:
    problem(await http.get("/runs/run_nothing"), 404, "not_found")
    problem(await http.get("/runs/run_nothing/events"), 404, "not_found")
    problem(await http.get("/runs/run_nothing/events/stream"), 404, "not_found")
    problem(await http.get("/artifacts/art_nothing/content"), 404, "not_found")
    problem(await http.post("/dead-letters/some/thing/requeue"), 404, "not_found")
    problem(await http.get("/nothing"), 404, "not_found")
    answer = await http.delete("/runs")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/runs?limit=0", "query.limit"),
        ("/runs?limit=501", "query.limit"),
        ("/runs?status=lost", "query.status"),
        ("/approvals?status=lost", "query.status"),
        ("/events?after=-1", "query.after"),
        (f"/events?after={2**63}", "query.after"),
        ("/events?after=x", "query.after"),
    ],
)
async def test_a_wrong_parameter_is_named(http: httpx2.AsyncClient, path: str, expected: str) -> None:
    shown = problem(await http.get(path), 422, "invalid_input")
    assert [item["path"] for item in shown["problems"]] == [expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "body.bundle"),
        ({"bundle": {}, "more": 1}, "body.more"),
        ({"bundle": {}, "options": {"usd": -1}}, "body.options.usd"),
        ({"bundle": {}, "options": {"run_id": "mine"}}, "body.options.run_id"),
        ({"bundle": {}, "inputs": []}, "body.inputs"),
    ],
    ids=str,
)
async def test_a_wrong_body_is_named(http: httpx2.AsyncClient, body: JsonObject, expected: str) -> None:
    shown = problem(await http.post("/runs", json=body), 422, "invalid_input")
    assert expected in [item["path"] for item in shown["problems"]]


@pytest.mark.parametrize(
    "body",
    [b"{", b'"text"', b"\xff", b'{"bundle": {}, "options": {"usd": Infinity}}', b"[" * 50_000, b""],
    ids=["broken", "text", "bytes", "infinity", "deep", "empty"],
)
async def test_what_is_no_json_object_is_refused(http: httpx2.AsyncClient, body: bytes) -> None:
    answer = await http.post("/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_bundle_that_is_none_is_refused_with_its_problems(
    site: Site, http: httpx2.AsyncClient
) -> None:
    problem(await http.post("/runs", json={"bundle": {"files": 1}}), 422, "invalid_definition")
    request = site.request("broken", SET)
    entry = request["bundle"]["files"]["workflow.yaml"]
    entry["text"] = entry["text"].replace("set:", "sat:")
    shown = problem(await http.post("/runs", json=request), 422, "invalid_definition")
    assert shown["problems"][0]["line"] > 0
    checked = (await http.post("/workflows/validate", json={"bundle": request["bundle"]})).json()
    assert checked["valid"] is False
    assert checked["problems"]


async def test_a_folder_that_is_not_there_is_refused(site: Site, http: httpx2.AsyncClient) -> None:
    for folder in ("/no/such/folder", "relative", "x" * 5000, "/" + "y" * 4000):
        answer = await http.post("/runs", json=site.request("folder", SET, workspace_source=folder))
        problem(answer, 422, "invalid_input")


async def test_a_definition_with_a_folder_needs_to_be_told_where_it_is(
    site: Site, http: httpx2.AsyncClient
) -> None:
    (site.folder / "flows" / "needs" / "repo").mkdir(parents=True)
    request = site.request("needs", "workspace: {source: repo/}\n" + SET)
    del request["options"]["workspace_source"]
    shown = problem(await http.post("/runs", json=request), 422, "invalid_input")
    assert "workspace_source" in shown["hint"]


async def test_an_answer_that_comes_second_is_a_conflict(site: Site, http: httpx2.AsyncClient) -> None:
    run = await site.start("second", ASK)
    asked = await site.asked(run["id"])
    assert (await http.post(f"/approvals/{asked['id']}/approve", json={})).status_code == 200
    shown = problem(await http.post(f"/approvals/{asked['id']}/reject", json={}), 409, "conflict")
    assert shown["data"]["status"] == "approved"
    await site.finish(run["id"])
    problem(await http.post(f"/runs/{run['id']}/cancel"), 409, "conflict")


@pytest.mark.parametrize("path", ["/runs/%00", "/runs?workflow=%00", "/approvals?run_id=a%00b"])
async def test_a_zero_byte_in_an_address_is_refused(http: httpx2.AsyncClient, path: str) -> None:
    problem(await http.get(path), 400, "bad_request")


async def test_a_started_run_says_where_it_is(site: Site, http: httpx2.AsyncClient) -> None:
    answer = await http.post("/runs", json=site.request("where", SET))
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/runs/{answer.json()['id']}"
    await site.finish(answer.json()["id"])


async def test_an_artifact_is_downloaded_and_never_rendered(site: Site, http: httpx2.AsyncClient) -> None:
    run = await site.finish((await site.start("downloaded", SET))["id"])
    kept = (await http.get(f"/runs/{run['id']}/artifacts")).json()["items"][0]
    answer = await http.get(f"/artifacts/{kept['id']}/content")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''report.md"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(site: Site, token: str) -> None:
    head, answer = await raw(site, token, b"Content-Length: 100001\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413")
    assert json.loads(answer)["code"] == "body_too_large"


async def test_a_body_that_hides_its_size_is_cut_off_at_the_bound(site: Site, token: str) -> None:
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    head, answer = await raw(site, token, b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 13)
    assert head.startswith(b"HTTP/1.1 413")
    assert json.loads(answer)["code"] == "body_too_large"


async def raw(site: Site, token: str, rest: bytes) -> tuple[bytes, bytes]:
    """Send the beginning of a request, never its end, and return the head and body of the answer."""
    host, port = str(site.address).removeprefix("http://").split(":")
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"POST /api/v1/runs HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n".encode()
            + rest
        )
        head = await reader.readuntil(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        body = await reader.readexactly(int(lines[b"content-length"]))
        writer.close()
        await writer.wait_closed()
    return head, body


async def test_the_contract_is_openapi_3_1_and_lists_every_route(contract: JsonObject) -> None:
    assert contract["openapi"].startswith("3.1")
    listed = {(method, path) for path, operations in contract["paths"].items() for method in operations}
    assert listed == ROUTES
    operations = [operation for item in contract["paths"].values() for operation in item.values()]
    identifiers = [operation["operationId"] for operation in operations]
    assert len(set(identifiers)) == len(identifiers)
    for operation in operations:
        assert operation["summary"]
        assert operation["tags"]
        assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
        for status, response in operation["responses"].items():
            for media in response.get("content", {}).values():
                assert media.get("schema"), (operation["operationId"], status)
    for path, item in contract["paths"].items():
        guarded = [operation.get("security") for operation in item.values()]
        assert all(guarded) is path.startswith("/api/"), path


async def test_every_reference_of_the_contract_leads_somewhere(contract: JsonObject) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            found = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return found + [ref for item in value.values() for ref in references(item)]
        return [ref for item in value for ref in references(item)] if isinstance(value, list) else []

    found = references(contract)
    assert found
    for reference in found:
        place: Any = contract
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    for name, schema in contract["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name.isidentifier()


@pytest.fixture
async def answers(site: Site, http: httpx2.AsyncClient) -> list[tuple[str, str, httpx2.Response]]:
    """An answer of every route that answers with JSON: a success, where there is one without a crash."""
    text = (
        "agents:\n  one: {model: ['scripted:script.json'], tools: [files.list]}\npolicies: {exec: ask}\n"
        "do:\n  - talk: {agent: one, with: hello}\n  - act: {run: 'true'}\n"
    )
    folder = site.folder / "flows" / "shapes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.json").write_text(
        json.dumps({"scripted": 1, "name": "s", "agents": {"one": [{"text": "hi"}]}})
    )
    run = await site.start("shapes", text)
    run_id, asked = run["id"], await site.asked(run["id"])
    base, shown = f"/runs/{run_id}", []

    async def ask(method: str, route: str, path: str, **options: Any) -> None:
        shown.append((method, route, await http.request(method, path, **options)))

    await ask("get", "/runs/{run_id}", base)
    await ask("get", "/approvals/{approval_id}", f"/approvals/{asked['id']}")
    await ask("get", "/approvals", "/approvals")
    await ask("get", "/approvals/webhooks", "/approvals/webhooks")
    await ask(
        "post",
        "/approvals/{approval_id}/preview",
        f"/approvals/{asked['id']}/preview",
        json={"arguments": {"argv": ["false"]}, "scope": "run"},
    )
    await ask(
        "post", "/approvals/{approval_id}/approve", f"/approvals/{asked['id']}/approve", json={"note": "ok"}
    )
    await site.finish(run_id)
    await ask("get", "/runs", "/runs")
    await ask("get", "/runs/{run_id}/events", f"{base}/events")
    await ask("get", "/events", "/events")
    await ask("get", "/runs/{run_id}/artifacts", f"{base}/artifacts")
    await ask("get", "/agents", "/agents")
    await ask("get", "/system", "/system")
    await ask("get", "/dead-letters", "/dead-letters")
    await ask("post", "/runs/{run_id}/fork", f"{base}/fork", json={"from_step": "act"})
    fork = shown[-1][2].json()["id"]
    await ask("post", "/runs/{run_id}/signals/{name}", f"/runs/{fork}/signals/go", json={})
    refused = await site.asked(fork)
    await ask("post", "/approvals/{approval_id}/reject", f"/approvals/{refused['id']}/reject", json={})
    await site.finish(fork)
    request = site.request("shapes", text)
    await ask("post", "/runs", "/runs", json=request)
    started = shown[-1][2].json()["id"]
    await ask("post", "/runs/{run_id}/cancel", f"/runs/{started}/cancel")
    await ask("post", "/workflows/validate", "/workflows/validate", json={"bundle": request["bundle"]})
    await ask("get", "/board/workflows", "/board/workflows")
    await ask("get", "/board/workflows/{name}", "/board/workflows/shapes")
    await ask("get", "/board/audit/digest", "/board/audit/digest")
    await ask("post", "/dead-letters/{execution_id}/requeue", f"/dead-letters/{run_id}/requeue")
    return shown


async def test_every_answer_is_what_the_contract_says(
    contract: JsonObject, answers: list[tuple[str, str, httpx2.Response]]
) -> None:
    registry: Any = Registry().with_resource(
        "urn:contract", Resource(contents=contract, specification=DRAFT202012)
    )
    for method, route, answer in answers:
        responses = contract["paths"][f"/api/v1{route}"][method]["responses"]
        told = responses.get(str(answer.status_code)) or responses["default"]
        media = answer.headers["content-type"].split(";")[0]
        schema = _absolute(told["content"][media]["schema"])
        validator = jsonschema.Draft202012Validator(schema, registry=registry)
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer.json())]
        assert not errors, (method, route, errors)
    statuses = {(method, route): answer.status_code for method, route, answer in answers}
    refused = {key for key, status in statuses.items() if status >= 400}
    assert refused == {("post", "/dead-letters/{execution_id}/requeue")}


def _absolute(value: Any) -> Any:
    """Return a schema whose references name the contract."""
    if isinstance(value, dict):
        return {k: f"urn:contract{v}" if k == "$ref" else _absolute(v) for k, v in value.items()}
    return [_absolute(item) for item in value] if isinstance(value, list) else value
