"""Approvals over HTTP: looked at, edited, granted for longer, and answered by signed messages."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook as Standard

from mosaic.app.owner import owner_token
from mosaic.core.clock import now
from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S, Site, database, open_site, settings_of

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
WRITE = (
    "policies: {write: ask}\ndo:\n  - write: {tool: files.write, with: {path: src/a.txt, content: hello}}\n"
    "  - read: {tool: files.read, with: {path: '${inputs.read}'}}\n"
    "inputs: {type: object, properties: {read: {type: string, default: src/a.txt}}}\n"
    "outputs: {text: '${read}'}\n"
)
LEAD = "do:\n  - sure: {ask: {question: Ship it?, roles: [lead]}}\noutputs: {by: '${sure.decided_by}', note: '${sure.note}'}\n"
DEPLOYER = "do:\n  - sure: {ask: {question: Deploy it?, roles: [deployer]}}\n"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """A served installation with a webhook that may answer as lead."""
    folder = tmp_path_factory.mktemp("approvals")
    webhooks = {
        "chat": {"secret": {"secret": "CHAT_SECRET"}, "roles": ["lead"]},
        "broken": {"secret": {"secret": "BROKEN_SECRET"}, "url": "http://127.0.0.1:9/hook/topsecret"},
    }
    with pytest.MonkeyPatch.context() as patch, database(request, request.param, folder) as url:
        patch.setenv("CHAT_SECRET", SECRET)
        settings = settings_of(folder / "home", url, approvals={"webhooks": webhooks})
        async with open_site(settings, folder, http=True) as site:
            yield site


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {owner_token(site.application.settings.home)}"}
    async with httpx2.AsyncClient(
        base_url=f"{site.address}/api/v1", headers=headers, timeout=WAIT_S, trust_env=False
    ) as http:
        yield http


async def asked(site: Site, name: str, text: str, **inputs: Any) -> JsonObject:
    run = await site.start(name, text, inputs=inputs)
    return await site.asked(run["id"])


async def test_an_edit_is_looked_at_then_approved_and_runs(site: Site, http: httpx2.AsyncClient) -> None:
    approval = await asked(site, "edit", WRITE, read="docs/b.txt")
    path = f"/approvals/{approval['id']}"
    shown = (await http.post(f"{path}/preview", json={"set": {"path": "docs/b.txt"}})).json()
    assert shown["arguments"] == {"path": "docs/b.txt", "content": "hello"}
    assert "+hello" in shown["detail"]["diff"]
    assert (await http.get(path)).json()["status"] == "pending"
    wrong = await http.post(f"{path}/approve", json={"set": {"path": 7}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_arguments")
    answered = await http.post(f"{path}/approve", json={"set": {"path": "docs/b.txt"}, "note": "there"})
    assert answered.json()["arguments"] == {"path": "docs/b.txt", "content": "hello"}
    again = await http.post(f"{path}/approve", json={"set": {"path": "docs/b.txt"}})
    assert again.status_code == 200, "the same answer of the same person again"
    assert (await http.post(f"{path}/reject", json={})).status_code == 409
    assert (await site.finish(approval["run_id"]))["outputs"]["text"]["content"] == "hello"


async def test_a_yes_for_longer_must_hold_for_the_call_and_is_kept(
    site: Site, http: httpx2.AsyncClient
) -> None:
    approval = await asked(site, "longer", WRITE)
    path = f"/approvals/{approval['id']}"
    refused = await http.post(f"{path}/approve", json={"scope": "always", "match": {"path": "lib/**"}})
    assert refused.status_code == 422
    assert "not like lib/**" in json.dumps(refused.json())
    wanted = {"scope": "run", "match": {"path": "src/**"}}
    shown = (await http.post(f"{path}/preview", json=wanted)).json()
    assert shown["holds_for"].startswith(
        "files.write with path like src/**, content anything runs without asking"
    )
    answered = (await http.post(f"{path}/approve", json=wanted)).json()
    assert (answered["scope"], answered["pattern"]) == ("run", shown["pattern"])
    assert answered["rule"]
    await site.finish(approval["run_id"])


async def test_approvals_come_in_pages(site: Site, http: httpx2.AsyncClient) -> None:
    made = [(await asked(site, "page", LEAD))["id"] for _ in range(3)]
    first = (await http.get("/approvals", params={"status": "pending", "limit": 2})).json()
    assert len(first["items"]) == 2
    second = (
        await http.get("/approvals", params={"status": "pending", "limit": 2, "cursor": first["next_cursor"]})
    ).json()
    found = [item["id"] for page in (first, second) for item in page["items"]]
    assert [one for one in found if one in made] == made[: len([one for one in found if one in made])]
    assert first["seq"] > 0
    for approval in made:
        await http.post(f"/approvals/{approval}/reject", json={})


# Signed answers


async def send(
    site: Site,
    approval_id: str,
    body: JsonObject | bytes,
    *,
    message_id: str,
    secret: str = SECRET,
    age_s: float = 0,
    to: str | None = None,
) -> httpx2.Response:
    """Send a signed message as a chat-ops tool does: without the owner's token."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    moment = now() - timedelta(seconds=age_s)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Standard(secret).sign(message_id, moment, content.decode()),
    }
    async with httpx2.AsyncClient(timeout=WAIT_S, trust_env=False) as http:
        url = f"{site.address}/api/v1/approvals/{to or approval_id}/webhook"
        return await http.post(url, content=content, headers=headers)


async def test_a_signed_message_answers_as_the_webhook(site: Site) -> None:
    approval = await asked(site, "signed", LEAD)
    body = {"approval": approval["id"], "approve": True, "note": "says ann in #releases"}
    answered = await send(site, approval["id"], body, message_id=f"m1-{approval['id']}")
    assert answered.status_code == 200, answered.text
    assert (answered.json()["status"], answered.json()["decided_by"]) == ("approved", "webhook:chat")
    assert (await site.finish(approval["run_id"]))["outputs"] == {
        "by": "webhook:chat",
        "note": "says ann in #releases",
    }
    replayed = await send(site, approval["id"], body, message_id=f"m1-{approval['id']}")
    assert (replayed.status_code, replayed.json()["code"]) == (409, "conflict")
    anew = await send(site, approval["id"], body, message_id=f"m2-{approval['id']}")
    assert anew.status_code == 200, "a new message that says the same"


async def test_the_webhooks_of_the_settings_are_shown_without_their_secrets(
    site: Site, http: httpx2.AsyncClient
) -> None:
    answer = await http.get("/approvals/webhooks")
    (chat, broken) = answer.json()["items"]
    assert chat == {
        "name": "chat",
        "host": None,
        "events": [],
        "roles": ["lead"],
        "problem": None,
        "waiting": 0,
        "given_up": 0,
        "error": None,
    }
    assert (broken["host"], broken["roles"]) == ("127.0.0.1:9", [])
    assert "BROKEN_SECRET of the webhook broken holds no webhook secret" in broken["problem"]
    assert SECRET not in answer.text
    assert "topsecret" not in answer.text


async def test_what_is_not_signed_right_is_refused_before_anything_else(site: Site) -> None:
    approval = await asked(site, "forged", LEAD)
    body = {"approval": approval["id"], "approve": True}
    forged = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for options in ({"secret": forged}, {"age_s": 400}, {"age_s": -400}):
        answer = await send(site, approval["id"], body, message_id="f1", **options)  # type: ignore[arg-type]
        assert answer.status_code == 401, options
        assert answer.headers["content-type"] == "application/problem+json"
    nobody = await send(site, "apr_nothing", b"no json", message_id="f2", secret=forged)
    assert nobody.status_code == 401, "whether there is such an approval is not for strangers"
    async with httpx2.AsyncClient(timeout=WAIT_S, trust_env=False) as http:
        bare = await http.post(f"{site.address}/api/v1/approvals/{approval['id']}/webhook", json=body)
        assert bare.status_code == 401
        near = await http.post(f"{site.address}/api/v1/approvals/{approval['id']}/approve", json={})
        assert near.status_code == 401
        big = await http.post(f"{site.address}/api/v1/approvals/x/webhook", content=b"x" * 70_000)
        assert big.status_code == 413
    assert (await site.client.approval(approval["id"]))["status"] == "pending"
    await site.client.decide(approval["id"], {"approve": False})


async def test_a_signed_answer_holds_for_the_approval_it_names_and_no_other(site: Site) -> None:
    one, other = await asked(site, "one", LEAD), await asked(site, "other", LEAD)
    body = {"approval": one["id"], "approve": True}
    moved = await send(site, one["id"], body, message_id=f"n1-{one['id']}", to=other["id"])
    assert (moved.status_code, moved.json()["code"]) == (422, "invalid_input")
    for wrong in (b"[]", b"{", b'{"approve": true}', json.dumps({**body, "scope": "always"}).encode()):
        answer = await send(site, one["id"], wrong, message_id=f"n2-{one['id']}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    for approval in (one, other):
        assert (await site.client.approval(approval["id"]))["status"] == "pending"
        await site.client.decide(approval["id"], {"approve": False})


async def test_a_webhook_has_only_the_roles_of_the_settings(site: Site) -> None:
    approval = await asked(site, "deploy", DEPLOYER)
    body = {"approval": approval["id"], "approve": True}
    answer = await send(site, approval["id"], body, message_id=f"d1-{approval['id']}")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert "webhook:chat may not answer" in answer.json()["detail"]
    await site.client.decide(approval["id"], {"approve": False})
