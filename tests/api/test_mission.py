"""A control plane starts workflows, sees how they go, says how good they were, and is sent what they kept."""

import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mosaic.api.rest.mission import ExecutionStatus, FeedbackPage
from mosaic.app.owner import owner_token
from tests.app.site import WAIT_S, Site, database, open_site, settings_of
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SECRET = "runtime-secret-0123456789"
WORK = """
inputs: {type: object, required: [topic], properties: {topic: {type: string}}}
do:
  - a: {set: {x: "${inputs.topic}"}}
  - b: {set: {y: 2}}
outputs: {said: "${inputs.topic}"}
"""
FAILS = 'do:\n  - a: {set: {x: "${1 / 0}"}}\n'
ASKS = "do:\n  - a: {set: {x: 1}}\n  - sure: {ask: {question: Go on?}}\n"


@pytest.fixture(scope="module")
async def control_plane() -> AsyncIterator[Receiver]:
    """Where artifacts are delivered."""
    async with Receiver().open() as receiver:
        yield receiver


@pytest.fixture(scope="module")
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, control_plane: Receiver
) -> AsyncIterator[Site]:
    """One served installation that belongs to a control plane, with three workflows that it knows."""
    folder = tmp_path_factory.mktemp("mission")
    section = {
        "url": control_plane.url.removesuffix("/hook"),
        "secret": {"secret": "RUNTIME_SECRET"},
        "token_key": {"secret": "PLANE_KEY"},
        "issuer": "https://plane.test",
        "audience": "runtime",
    }
    with pytest.MonkeyPatch.context() as patch, database(request, "sqlite", folder) as url:
        patch.setenv("RUNTIME_SECRET", SECRET)
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        patch.setenv("PLANE_KEY", pem.decode())
        settings = settings_of(
            folder / "home",
            url,
            control_plane=section,
            tools={"allow_private_hosts": ["127.0.0.1"]},
            webhooks={"retry_s": [0.01, 60.0]},
        )
        async with open_site(settings, folder, http=True) as site:
            for name, text in (("fails", FAILS), ("asks", ASKS)):
                run = await site.start(name, text)
                if name == "asks":
                    await site.client.cancel(run["id"])
            await site.start("work", WORK, inputs={"topic": "first"})
            yield site


def token(*, key: Ed25519PrivateKey = KEY, **claims: Any) -> str:
    usual = {
        "iss": "https://plane.test",
        "aud": "runtime",
        "sub": "ann",
        "app_id": "shop",
        "exp": int(time.time()) + 300,
    }
    return jwt.encode({**usual, **claims}, key, algorithm="EdDSA")


@asynccontextmanager
async def opened(site: Site, bearer: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=f"{site.address}/api/v1",
        headers={"Authorization": f"Bearer {bearer}"},
        timeout=WAIT_S,
        trust_env=False,
    ) as http:
        yield http


@pytest.fixture
async def plane(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    """The control plane, with a token for one user of one app."""
    async with opened(site, token()) as http:
        yield http


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with opened(site, owner_token(site.application.settings.home)) as http:
        yield http


SHOP = {"X-App-ID": "shop", "X-User-ID": "ann"}


@pytest.mark.requirement("MOZ-116", "MOZ-117")
async def test_a_workflow_is_executed_for_an_app_s_user_and_its_status_is_told(
    site: Site, plane: httpx2.AsyncClient
) -> None:
    context = {"subscription_tier": "pro", "feature_flags": ["beta"]}
    wanted = {"workflow_id": "work", "input": {"topic": "shoes"}, "context": context}
    once = {**SHOP, "Idempotency-Key": "order-77"}
    started = await plane.post("/workflow/execute", json=wanted, headers=once)
    again = await plane.post("/workflow/execute", json=wanted, headers=once)
    assert again.json() == started.json(), "a request that is repeated starts nothing"
    assert started.status_code == 202, started.text
    assert started.json()["status"] == "started"
    execution = started.json()["execution_id"]
    run = await site.finish(execution)
    assert (run["project"], run["inputs"]) == ("shop", {"topic": "shoes"})
    shown = (await plane.get(f"/workflow/{execution}/status")).json()
    assert (shown["status"], shown["workflow_id"], shown["error"]) == ("completed", "work", None)
    assert shown["progress"] == {"steps": 2, "done": 2, "percent": 100, "current": []}
    assert shown["output"] == {"said": "shoes"}
    ExecutionStatus.model_validate(shown)
    assert "report.md" in {item["name"] for item in shown["artifacts"]}
    (requested,) = [e for e in await site.events(execution) if e["type"] == "execution.requested"]
    assert requested["actor"] == "user:ann"
    assert requested["data"] == {
        "workflow_id": "work",
        "app_id": "shop",
        "user_id": "ann",
        "context": context,
    }


@pytest.mark.requirement("MOZ-117")
async def test_each_of_the_three_statuses_is_told(site: Site, http: httpx2.AsyncClient) -> None:
    started = await http.post("/workflow/execute", json={"workflow_id": "asks"}, headers=SHOP)
    execution = started.json()["execution_id"]
    await site.asked(execution)
    shown = (await http.get(f"/workflow/{execution}/status")).json()
    assert (shown["status"], shown["artifacts"]) == ("running", None)
    assert shown["progress"] == {"steps": 2, "done": 1, "percent": 50, "current": ["sure"]}
    await site.client.cancel(execution)
    shown = (await http.get(f"/workflow/{execution}/status")).json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "cancelled")
    started = await http.post("/workflow/execute", json={"workflow_id": "fails"}, headers=SHOP)
    execution = started.json()["execution_id"]
    await site.finish(execution)
    shown = (await http.get(f"/workflow/{execution}/status")).json()
    assert shown["status"] == "failed"
    assert shown["error"]["message"]


@pytest.mark.requirement("MOZ-116", "MAOS-32")
async def test_a_token_is_good_only_for_its_app_its_user_and_what_it_is_meant_for(
    site: Site, plane: httpx2.AsyncClient, http: httpx2.AsyncClient
) -> None:
    wanted = {"workflow_id": "work", "input": {"topic": "x"}}
    for headers in ({"X-App-ID": "bank", "X-User-ID": "ann"}, {"X-App-ID": "shop", "X-User-ID": "bob"}):
        answer = await plane.post("/workflow/execute", json=wanted, headers=headers)
        assert answer.status_code == 403, answer.text
    assert (await plane.get("/runs")).status_code == 401, "it is no owner's token"
    bank = await http.post("/workflow/execute", json=wanted, headers={"X-App-ID": "bank", "X-User-ID": "eve"})
    assert (await plane.get(f"/workflow/{bank.json()['execution_id']}/status")).status_code == 404
    nobody = await http.post("/workflow/execute", json=wanted)
    assert nobody.status_code == 422
    assert {item["path"] for item in nobody.json()["problems"]} == {"header.x-app-id", "header.x-user-id"}
    unknown = await plane.post("/workflow/execute", json={"workflow_id": "nothing"}, headers=SHOP)
    assert unknown.status_code == 404
    # In the address a token is no token: there it would land in logs.
    async with opened(site, "none") as stranger:
        answer = await stranger.post(f"/workflow/execute?token={token()}", json=wanted, headers=SHOP)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("key", "claims"),
    [
        (OTHER, {}),
        (KEY, {"exp": 1}),
        (KEY, {"iss": "https://other.test"}),
        (KEY, {"aud": "else"}),
        (KEY, {"sub": ""}),
        (KEY, {"sub": "a\nb"}),
        (KEY, {"app_id": 7}),
    ],
)
async def test_a_token_that_is_not_good_is_refused(
    site: Site, key: Ed25519PrivateKey, claims: dict[str, Any]
) -> None:
    bad = token(key=key, **claims)
    async with opened(site, bad) as http:
        answer = await http.post("/workflow/execute", json={"workflow_id": "work"}, headers=SHOP)
    assert answer.status_code == 401, answer.text
    assert bad not in answer.text


async def test_a_token_signed_with_the_public_key_as_a_secret_or_with_nothing_is_refused(site: Site) -> None:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = jwt.decode(token(), options={"verify_signature": False})
    for algorithm, signature in (("none", ""), ("HS256", "AAAA")):
        forged = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}.{signature}"
        async with opened(site, forged) as http:
            assert (await http.get("/workflow/run_1/status")).status_code == 401


@pytest.mark.requirement("MOZ-120")
async def test_feedback_is_kept_listed_and_journaled_with_the_run_it_is_about(
    site: Site, plane: httpx2.AsyncClient, http: httpx2.AsyncClient
) -> None:
    wanted = {"workflow_id": "work", "input": {"topic": "hats"}}
    execution = (await plane.post("/workflow/execute", json=wanted, headers=SHOP)).json()["execution_id"]
    await site.finish(execution)
    said = {
        "generation_id": execution,
        "rating": 4,
        "comments": "Good, with sk-ant-REDACTME-0123456789abcdef in it.",
        "issues": ["too long"],
    }
    given = await plane.post("/feedback", json=said)
    assert given.status_code == 201, given.text
    kept = given.json()
    assert (kept["rating"], kept["issues"], kept["run_id"]) == (4, ["too long"], execution)
    assert (kept["project"], kept["created_by"]) == ("shop", "user:ann")
    assert "REDACTME" not in kept["comments"]
    await http.post("/feedback", json={"generation_id": "gen-1", "rating": 1})
    about = (await http.get("/feedback", params={"generation_id": execution})).json()
    assert [item["id"] for item in about["items"]] == [kept["id"]]
    first = (await http.get("/feedback", params={"limit": 1})).json()
    FeedbackPage.model_validate(first)
    second = (await http.get("/feedback", params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert [first["items"][0]["generation_id"], second["items"][0]["id"]] == ["gen-1", kept["id"]]
    assert [item["id"] for item in (await plane.get("/feedback")).json()["items"]] == [kept["id"]]
    (event,) = [e for e in await site.events(execution) if e["type"] == "feedback.given"]
    assert (event["data"]["rating"], event["data"]["issues"]) == (4, ["too long"])
    for wrong in ({"rating": 0}, {"rating": 6}, {"rating": 2.5}, {"generation_id": ""}, {"issues": [""]}):
        answer = await http.post("/feedback", json={"generation_id": "g", "rating": 3, **wrong})
        assert answer.status_code == 422, answer.text


@pytest.mark.requirement("MOZ-81", "MOZ-121")
async def test_what_a_run_kept_is_delivered_to_the_control_plane_until_it_arrives(
    site: Site, plane: httpx2.AsyncClient, http: httpx2.AsyncClient, control_plane: Receiver
) -> None:
    wanted = {"workflow_id": "work", "input": {"topic": "coats"}}
    control_plane.answers = [503]
    execution = (await plane.post("/workflow/execute", json=wanted, headers=SHOP)).json()["execution_id"]
    await site.finish(execution)
    mine: list[tuple[dict[str, str], dict[str, Any]]] = []

    def arrived() -> bool:
        heard = [(headers, json.loads(body)) for headers, body in control_plane.heard]
        mine[:] = [(headers, sent) for headers, sent in heard if sent["execution_id"] == execution]
        keys = [headers["idempotency-key"] for headers, _ in control_plane.heard]
        # What was refused once comes again under the same key.
        return bool(mine) and len(keys) == len(set(keys)) + 1

    await control_plane.until(arrived)
    headers, sent = mine[-1]
    assert headers["x-runtime-secret"] == SECRET
    assert (sent["app_id"], sent["workflow_id"], sent["version"]) == ("shop", "work", "0")
    assert sent["token_usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "model": None}
    assert sent["validation_results"]["passed"] is True
    assert [step["status"] for step in sent["validation_results"]["steps"]] == ["completed", "completed"]
    report = next(item for item in sent["artifacts"] if item["name"] == "report.md")
    assert b"coats" in base64.b64decode(report["content_base64"])
