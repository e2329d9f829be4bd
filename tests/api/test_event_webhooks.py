"""Webhooks over HTTP, both ways: they are told what happens in an installation, and what they are told starts runs."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook as Standard

from mosaic.api.webhook_schemas import (
    DeliveryDocument,
    DeliveryPage,
    HookMessagePage,
    HookPage,
    HookTaken,
    NewWebhookDocument,
    WebhookDocument,
    WebhookSubscriptionPage,
    WebhookTested,
)
from mosaic.app.owner import owner_token
from mosaic.core.clock import now
from mosaic.core.errors import InvalidInput
from tests.app.site import WAIT_S, Site, command, database, open_site, settings_of, write_workflow
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
PLAIN = "plain-secret-of-a-hook"
SHOW = """
inputs: {type: object, properties: {message: {}, source: {type: string}, n: {type: integer}}}
do:
  - a: {set: {told: "${inputs}"}}
"""
LISTEN = "do:\n  - wait: {listen: {signal: news}}\n"


@pytest.fixture(scope="module")
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One served installation with hooks, for the tests of this file."""
    folder = tmp_path_factory.mktemp("hooks")
    write_workflow(folder / "flows" / "show", SHOW)
    hooks: dict[str, Any] = {
        "standard": {
            "secret": {"secret": "HOOK_SECRET"},
            "workflow": "flows/show/workflow.yaml",
            "input": "message",
            "inputs": {"source": "standard"},
            "events": ["order.*"],
        },
        "github": {
            "verify": "github",
            "secret": {"secret": "HOOK_PLAIN"},
            "workflow": "flows/show/workflow.yaml",
            "input": "message",
            "events": ["push"],
            "project": "repository",
        },
        "fields": {
            "verify": "bearer",
            "secret": {"secret": "HOOK_PLAIN"},
            "workflow": "flows/show/workflow.yaml",
            "max_body_bytes": 500,
        },
        "news": {
            "verify": "bearer",
            "secret": {"secret": "HOOK_PLAIN"},
            "signal": {"name": "news", "run": "data.run"},
        },
        "unset": {"secret": {"secret": "HOOK_NOWHERE"}, "workflow": "show"},
    }
    with pytest.MonkeyPatch.context() as patch, database(request, "sqlite", folder) as url:
        patch.setenv("HOOK_SECRET", SECRET)
        patch.setenv("HOOK_PLAIN", PLAIN)
        settings = settings_of(
            folder / "home", url, hooks=hooks, tools={"allow_private_hosts": ["127.0.0.1"]}
        )
        async with open_site(settings, folder, http=True) as site:
            yield site


@pytest.fixture
async def http(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with opened(site, owner_token(site.application.settings.home)) as http:
        yield http


@pytest.fixture
async def stranger(site: Site) -> AsyncIterator[httpx2.AsyncClient]:
    async with opened(site, None) as http:
        yield http


@asynccontextmanager
async def opened(site: Site, token: str | None) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(
        base_url=f"{site.address}/api/v1", headers=headers, timeout=WAIT_S, trust_env=False
    ) as http:
        yield http


@pytest.mark.requirement("ENT-81")
async def test_a_webhook_made_over_http_is_told_what_runs_do_until_it_is_removed(
    site: Site, http: httpx2.AsyncClient
) -> None:
    async with Receiver().open() as receiver:
        wanted = {"name": "sink", "url": receiver.url, "events": ["run.*"]}
        made = await http.post("/webhooks", json=wanted)
        assert made.status_code == 201, made.text
        secret, webhook = made.json()["secret"], made.json()["id"]
        assert made.headers["location"] == f"/api/v1/webhooks/{webhook}"
        assert "secret" not in (await http.get("/webhooks/sink")).json()
        assert (await http.post("/webhooks", json=wanted)).status_code == 409
        run = await site.start("told", "do:\n  - a: {set: {x: 1}}\n")
        await site.finish(run["id"])
        await receiver.hears(3)
        assert receiver.types[:3] == ["mosaic.run.created", "mosaic.run.started", "mosaic.run.succeeded"]
        for headers, body in receiver.heard:
            Standard(secret).verify(body, headers)
        assert receiver.events[0]["subject"] == run["id"]
        tested = (await http.post(f"/webhooks/{webhook}/test")).json()
        assert (tested["arrived"], tested["answer"]) == (True, 204)
        assert receiver.types[-1] == "mosaic.webhook.test"
        listed = (await http.get("/webhooks/sink/deliveries", params={"status": "delivered"})).json()["items"]
        assert {item["type"] for item in listed} >= {"run.created", "run.succeeded"}
        again = await http.post(f"/webhooks/sink/deliveries/{listed[0]['id']}/redeliver")
        assert again.json()["status"] == "waiting"
        await receiver.hears(5)
        shown = await http.get("/webhooks/sink")
        WebhookDocument.model_validate(shown.json())
        NewWebhookDocument.model_validate(made.json())
        WebhookTested.model_validate(tested)
        DeliveryDocument.model_validate(again.json())
        for path, page in (("", WebhookSubscriptionPage), ("/sink/deliveries", DeliveryPage)):
            page.model_validate((await http.get(f"/webhooks{path}")).json())
        stale = {"If-Match": '"77"'}
        refused = await http.patch("/webhooks/sink", json={"enabled": False}, headers=stale)
        assert refused.status_code == 412, refused.text
        known = {"If-Match": shown.headers["etag"]}
        changed = await http.patch(
            "/webhooks/sink", json={"enabled": False, "events": ["step.*"]}, headers=known
        )
        assert (changed.json()["status"], changed.json()["events"]) == ("disabled", ["step.*"])
        rotated = (await http.post("/webhooks/sink/rotate", json={"overlap_s": 60})).json()
        assert rotated["secret"] != secret
        back = await http.post("/webhooks/sink/replay", json={"after": 0})
        assert back.json()["seq"] == 0
        assert (await http.delete("/webhooks/sink")).json()["removed"] is True
        assert (await http.get("/webhooks/sink")).status_code == 404
        journal = json.dumps(
            [event async for event in site.client.events(run_id=None, after=0, follow=False)]
        )
        assert secret not in journal
        assert rotated["secret"] not in journal
        assert "/hook" not in journal


@pytest.mark.parametrize(
    ("wrong", "status", "place"),
    [
        ({"url": "http://169.254.169.254/latest"}, 403, ""),
        ({"url": "http://[::1]:9/"}, 403, ""),
        ({"url": "ftp://example.org/"}, 422, "url"),
        ({"url": "https://user:secret@example.org/"}, 422, "url"),
        ({"url": "https://example.org:99999/"}, 422, "url"),
        ({"events": ["RUN"]}, 422, "0"),
        ({"events": ["*" * 6]}, 422, "events[0]"),
        ({"name": "Two Words"}, 422, "name"),
        ({"name": "control-plane"}, 422, "name"),
        ({"project": "a/b"}, 422, "project"),
        ({"after": 10**9}, 422, "after"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_with_the_place(
    http: httpx2.AsyncClient, wrong: dict[str, Any], status: int, place: str
) -> None:
    answer = await http.post("/webhooks", json={"name": "wrong", "url": "https://example.org/", **wrong})
    assert answer.status_code == status, answer.text
    if place:
        assert any(problem["path"].endswith(place) for problem in answer.json()["problems"])


async def test_the_command_line_makes_tests_lists_replays_and_removes_a_webhook(site: Site) -> None:
    home = site.application.settings.home
    async with Receiver().open() as receiver:
        code, secret, said = await command(
            "webhooks", "add", "cli", receiver.url, "--events", "a.*", home=home
        )
        assert (code, secret.strip()[:6]) == (0, "whsec_"), said
        code, out, _ = await command("webhooks", "test", "cli", home=home)
        assert (code, len(receiver.heard)) == (0, 1), out
        Standard(secret.strip()).verify(receiver.heard[0][1], receiver.heard[0][0])
        receiver.answers = [500]
        code, out, _ = await command("webhooks", "test", "cli", home=home)
        assert code == 1
        assert "answered 500" in out
        code, out, _ = await command("webhooks", "replay", "cli", "--after", "0", "--json", home=home)
        assert (code, json.loads(out)["seq"]) == (0, 0)
        code, out, _ = await command("webhooks", "remove", "cli", home=home)
        assert code == 0
        assert (await site.client.webhooks())["items"] == []


def signed(body: bytes, message_id: str, *, secret: str = SECRET) -> dict[str, str]:
    moment = now()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Standard(secret).sign(message_id, moment, body.decode()),
    }


@pytest.mark.requirement("ENT-81")
async def test_a_signed_message_starts_a_workflow_once(
    site: Site, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    body = b'{"type": "order.placed", "data": {"n": 1}}'
    headers = signed(body, "msg_order")
    together = await asyncio.gather(
        *(stranger.post("/hooks/standard", content=body, headers=headers) for _ in range(3))
    )
    assert {answer.status_code for answer in together} == {202}, [answer.text for answer in together]
    runs = {answer.json()["run_id"] for answer in together if answer.json()["run_id"]}
    assert len(runs) == 1
    (run_id,) = runs
    run = await site.finish(run_id)
    assert run["inputs"] == {"message": json.loads(body), "source": "standard"}
    later = await stranger.post("/hooks/standard", content=body, headers=headers)
    assert later.json() == {"status": "duplicate", "delivery": "msg_order", "run_id": run_id}
    other = b'{"type": "invoice.sent"}'
    ignored = await stranger.post("/hooks/standard", content=other, headers=signed(other, "msg_other"))
    assert ignored.json()["status"] == "ignored"
    told = (await http.get("/hooks/standard/messages")).json()["items"]
    assert {(item["delivery_id"], item["status"]) for item in told} == {
        ("msg_order", "done"),
        ("msg_other", "ignored"),
    }
    events = await site.application.journal.read(site.ctx, types=["hook.received"], run_id=run_id)
    assert events[0].actor == "webhook:hook:standard"
    assert (events[0].data["delivery"], events[0].data["status"]) == ("msg_order", "done")
    HookMessagePage.model_validate((await http.get("/hooks/standard/messages")).json())
    HookPage.model_validate((await http.get("/hooks")).json())
    HookTaken.model_validate(later.json())
    hooks = {item["name"]: item for item in (await http.get("/hooks")).json()["items"]}
    assert hooks["unset"]["problem"]
    assert hooks["standard"]["problem"] is None


async def test_github_s_signature_starts_a_workflow_in_the_project_of_the_hook(
    site: Site, stranger: httpx2.AsyncClient
) -> None:
    body = b'{"ref": "refs/heads/main"}'
    mark = "sha256=" + hmac.new(PLAIN.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": mark, "x-github-event": "push", "x-github-delivery": "one"}
    taken = (await stranger.post("/hooks/github", content=body, headers=headers)).json()
    run = await site.finish(taken["run_id"])
    assert (run["project"], run["inputs"]["message"]) == ("repository", json.loads(body))
    overheard = {**headers, "x-github-delivery": "two"}
    again = (await stranger.post("/hooks/github", content=body, headers=overheard)).json()
    assert again["status"] == "duplicate", "its id is not signed: another one makes it no other message"
    ping = b'{"zen": "Keep it logically awesome."}'
    mark = "sha256=" + hmac.new(PLAIN.encode(), ping, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": mark, "x-github-event": "ping"}
    assert (await stranger.post("/hooks/github", content=ping, headers=headers)).json()["status"] == "ignored"
    form = b"payload=%7B%22ref%22%3A%20%22form%22%7D"
    mark = "sha256=" + hmac.new(PLAIN.encode(), form, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": mark, "x-github-event": "push"}
    headers["content-type"] = "application/x-www-form-urlencoded"
    taken = (await stranger.post("/hooks/github", content=form, headers=headers)).json()
    assert (await site.client.run(taken["run_id"]))["inputs"]["message"] == {"ref": "form"}


async def test_a_message_that_failed_is_taken_when_it_comes_again_and_is_right(
    site: Site, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient
) -> None:
    headers = {"Authorization": f"Bearer {PLAIN}", "Idempotency-Key": "k1"}
    wrong = await stranger.post("/hooks/fields", json={"n": "many"}, headers=headers)
    assert wrong.status_code == 422, wrong.text
    assert (await stranger.post("/hooks/fields", content=b"[1", headers=headers)).status_code == 422
    right = await stranger.post("/hooks/fields", json={"n": 3}, headers=headers)
    assert right.json()["status"] == "accepted", right.text
    assert (await site.finish(right.json()["run_id"]))["inputs"] == {"n": 3}
    failed = await site.application.journal.read(site.ctx, types=["hook.failed"])
    assert len([event for event in failed if event.data["hook"] == "fields"]) == 2


async def test_a_message_tells_a_run_that_listens(site: Site, stranger: httpx2.AsyncClient) -> None:
    run = await site.start("listening", LISTEN)
    headers = {"Authorization": f"Bearer {PLAIN}"}
    message = {"data": {"run": run["id"], "text": "now"}}
    taken = await stranger.post("/hooks/news", json=message, headers=headers)
    assert taken.json()["run_id"] == run["id"], taken.text
    assert (await site.finish(run["id"]))["status"] == "succeeded"
    lost = await stranger.post("/hooks/news", json={"data": {}}, headers=headers)
    assert lost.status_code == 422
    assert lost.json()["problems"][0]["path"] == "data.run"


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("standard", {}),
        ("standard", {"Authorization": f"Bearer {PLAIN}"}),
        ("github", {"x-hub-signature-256": "sha256=" + "0" * 64}),
        ("github", {}),
        ("fields", {"Authorization": "Bearer wrong"}),
        ("fields", {"Authorization": f"Basic {PLAIN}"}),
        ("unset", {}),
        ("nowhere", {}),
    ],
)
async def test_what_proves_nothing_is_refused_alike_and_leaves_nothing(
    site: Site, http: httpx2.AsyncClient, stranger: httpx2.AsyncClient, name: str, headers: dict[str, str]
) -> None:
    before = (await http.get("/journal")).json()["head"]
    answer = await stranger.post(f"/hooks/{name}", content=b'{"type": "order.x"}', headers=headers)
    assert answer.status_code == 401, answer.text
    assert PLAIN not in answer.text
    # A run of another test may still be ending here.
    since = (await http.get("/events", params={"after": before})).json()["items"]
    assert not [event for event in since if event["type"].startswith(("hook.", "run.created"))]
    assert (await stranger.get("/hooks")).status_code == 401, "only sending is open"


async def test_a_message_that_is_too_long_is_refused_while_it_arrives(stranger: httpx2.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {PLAIN}"}
    answer = await stranger.post("/hooks/fields", content=b'"' + b"x" * 600 + b'"', headers=headers)
    assert answer.status_code == 413


def test_settings_say_what_is_wrong_with_a_hook(tmp_path: Path) -> None:
    for wrong in (
        {"secret": {"secret": "A"}},
        {"secret": {"secret": "A"}, "workflow": "a", "signal": {"name": "s", "run": "r"}},
        {"workflow": "a"},
    ):
        with pytest.raises(InvalidInput) as caught:
            settings_of(tmp_path, "sqlite://", hooks={"x": wrong})
        assert caught.value.problems[0].path.startswith("hooks.x")
