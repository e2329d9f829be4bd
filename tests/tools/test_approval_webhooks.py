"""Webhooks are told of approvals, signed, until they have heard; and what they sign is believed, once."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard

from mosaic.core.clock import now
from mosaic.core.context import Actor
from mosaic.core.errors import Conflict, InvalidInput, PermissionDenied, Unauthenticated
from mosaic.events import Bus
from mosaic.outbound import key_of, sign, verify
from mosaic.tools import (
    ApprovalRule,
    Approvals,
    Deliveries,
    Inbound,
    LocalOwner,
    Receipt,
    Webhook,
    WebhookKeys,
    WebhookRoles,
)
from tests.tools.conftest import Bench
from tests.tools.test_approvals import asked, dangerous
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
KEY = key_of(SECRET, name="HOOK")


@pytest.fixture
async def endpoint() -> AsyncIterator[Receiver]:
    async with Receiver().open() as endpoint:
        yield endpoint


def deliveries(bench: Bench, bus: Bus, url: str, **more: Any) -> Deliveries:
    options: dict[str, Any] = {"allowed_hosts": ("127.0.0.1",), "retry_s": (0.0, 0.0)}
    keys = WebhookKeys({"HOOK": SECRET}, more.pop("learn", lambda _: None))
    hook = Webhook("chat", "HOOK", url=url, events=more.pop("events", ("requested", "decided", "expired")))
    return Deliveries(bench.database, bench.journal, bus, [hook], keys=keys, **(options | more))


@pytest.mark.requirement("ENT-81")
async def test_what_is_asked_and_decided_is_told_as_signed_cloud_events(
    bench: Bench, bus: Bus, endpoint: Receiver
) -> None:
    told = deliveries(bench, bus, endpoint.url, address=lambda: "http://here")
    await told.collect(bench.ctx)
    approval = await asked(bench, dangerous())
    await bench.approvals.decide(bench.ctx, approval.id, approve=True, note="go")
    await told.collect(bench.ctx)
    assert await told.deliver(bench.ctx) == 2
    by_type = {}
    for headers, body in endpoint.heard:
        Standard(SECRET).verify(body, headers)
        event = json.loads(body)
        assert headers["content-type"] == "application/cloudevents+json"
        assert headers["webhook-id"] == event["id"]
        assert (event["specversion"], event["subject"]) == ("1.0", approval.id)
        by_type[event["type"]] = event
    requested = by_type["mosaic.approval.requested"]
    assert requested["data"]["detail"]["tool"] == "x.drop"
    assert requested["data"]["url"] == f"http://here/api/v1/approvals/{approval.id}"
    assert by_type["mosaic.approval.decided"]["data"]["status"] == "approved"
    journaled = {event.id for event in await bench.events("approval.requested", "approval.decided")}
    assert {event["id"] for event in by_type.values()} == journaled
    await told.collect(bench.ctx)
    assert await told.deliver(bench.ctx) == 0, "what has arrived is not told again"


async def test_a_new_webhook_is_not_told_the_past(bench: Bench, bus: Bus, endpoint: Receiver) -> None:
    await asked(bench, dangerous())
    told = deliveries(bench, bus, endpoint.url)
    for _ in range(2):
        await told.collect(bench.ctx)
        assert await told.deliver(bench.ctx) == 0
    assert endpoint.heard == []


async def test_a_webhook_is_told_only_what_it_wants(bench: Bench, bus: Bus, endpoint: Receiver) -> None:
    told = deliveries(bench, bus, endpoint.url, events=("decided",))
    await told.collect(bench.ctx)
    approval = await asked(bench, dangerous())
    await bench.approvals.decide(bench.ctx, approval.id, approve=False)
    await told.collect(bench.ctx)
    await told.deliver(bench.ctx)
    assert [json.loads(body)["type"] for _, body in endpoint.heard] == ["mosaic.approval.decided"]


async def test_a_delivery_that_fails_is_tried_again_with_the_same_id_and_survives_the_process(
    bench: Bench, bus: Bus, endpoint: Receiver
) -> None:
    endpoint.answers = [500, (302, "Location: http://169.254.169.254/\r\n")]
    told = deliveries(bench, bus, endpoint.url, events=("requested",))
    await told.collect(bench.ctx)
    await asked(bench, dangerous())
    await told.collect(bench.ctx)
    assert await told.deliver(bench.ctx) == 1  # after a 500 and a redirect, which is not followed
    ids = [headers["webhook-id"] for headers, _ in endpoint.heard]
    assert len(ids) == 3
    assert len(set(ids)) == 1
    later = deliveries(bench, bus, endpoint.url, events=("requested",))  # as another process has it
    await later.collect(bench.ctx)
    assert await later.deliver(bench.ctx) == 0


async def test_an_attempt_that_a_crash_cut_short_is_made_again_by_another_process(
    bench: Bench, bus: Bus, endpoint: Receiver
) -> None:
    told = deliveries(bench, bus, endpoint.url, events=("requested",))
    await told.collect(bench.ctx)
    await asked(bench, dangerous())
    await told.collect(bench.ctx)
    async with bench.database.transaction(read_only=True) as tx:
        (due,) = await told._outbox.due(tx, bench.ctx.tenant, "chat", now(), limit=9)
    async with bench.database.transaction() as tx:
        assert await told._outbox.claim(tx, bench.ctx.tenant, due, until=now() + timedelta(seconds=30))
        assert not await told._outbox.claim(tx, bench.ctx.tenant, due, until=now()), "one at a time"
    assert await told.deliver(bench.ctx) == 0, "whoever claimed it may still be at it"
    later = deliveries(bench, bus, endpoint.url, clock=lambda: now() + timedelta(minutes=1))
    assert await later.deliver(bench.ctx) == 1


@pytest.mark.parametrize(("statuses", "attempts"), [([500, 500, 500], 3), ([410], 1)])
async def test_after_the_last_attempt_it_is_given_up_and_the_journal_says_so(
    bench: Bench, bus: Bus, endpoint: Receiver, statuses: list[int], attempts: int
) -> None:
    endpoint.answers = list(statuses)
    told = deliveries(bench, bus, endpoint.url, events=("requested",))
    await told.collect(bench.ctx)
    await asked(bench, dangerous())
    await told.collect(bench.ctx)
    assert await told.deliver(bench.ctx) == 0
    assert len(endpoint.heard) == attempts
    (failed,) = await bench.events("webhook.failed")
    assert (failed.data["webhook"], failed.data["attempts"]) == ("chat", attempts)
    assert failed.data["error"] == f"it answered {statuses[-1]}"
    behind = (await told.backlog(bench.ctx))["chat"]
    assert (behind.waiting, behind.given_up, behind.error) == (0, 1, failed.data["error"])


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://169.254.169.254/latest", "http://[::1]:9/"])
async def test_a_private_address_is_not_told_unless_it_is_allowed(bench: Bench, bus: Bus, url: str) -> None:
    told = deliveries(bench, bus, url, allowed_hosts=(), retry_s=())
    await told.collect(bench.ctx)
    await asked(bench, dangerous())
    await told.collect(bench.ctx)
    assert await told.deliver(bench.ctx) == 0
    (failed,) = await bench.events("webhook.failed")
    assert "not a public address" in failed.data["error"]


async def test_no_secret_is_told(bench: Bench, bus: Bus, endpoint: Receiver) -> None:
    learned: list[str] = []
    told = deliveries(bench, bus, endpoint.url, learn=learned.append)
    await told.collect(bench.ctx)
    tool = dangerous(input_schema={"type": "object"})
    with pytest.raises(Exception, match="waits for a person"):
        await bench.call(tool, {"n": 1, "key": "sk-ant-REDACTME-0123456789abcdef"}, name="c")
    await told.collect(bench.ctx)
    assert await told.deliver(bench.ctx) == 1
    ((headers, body),) = endpoint.heard
    assert b"REDACTME" not in body
    assert SECRET not in str(headers) + body.decode()
    assert learned
    assert set(learned) == {SECRET}


async def test_the_worker_tells_what_happens_while_it_runs(
    bench: Bench, bus: Bus, endpoint: Receiver
) -> None:
    told = deliveries(bench, bus, endpoint.url)
    await told.collect(bench.ctx)
    worker = asyncio.create_task(told.run(bench.ctx))
    try:
        approval = await asked(bench, dangerous())
        await endpoint.hears(1)
        await bench.approvals.decide(bench.ctx, approval.id, approve=False)
        await endpoint.hears(2)
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert [json.loads(body)["type"] for _, body in endpoint.heard] == [
        "mosaic.approval.requested",
        "mosaic.approval.decided",
    ]


async def test_many_processes_tell_each_event_once_when_nothing_fails(
    bench: Bench, bus: Bus, endpoint: Receiver
) -> None:
    nodes = [deliveries(bench, bus, endpoint.url) for _ in range(4)]
    await asyncio.gather(*(node.collect(bench.ctx) for node in nodes))
    approvals = []
    for number in range(6):
        with pytest.raises(Exception, match="waits for a person"):
            await bench.call(dangerous(), {"n": 1}, name=f"c{number}")
    approvals = await bench.approvals.list(bench.ctx)
    await asyncio.gather(*(node.collect(bench.ctx) for node in nodes))
    told = await asyncio.gather(*(node.deliver(bench.ctx) for node in nodes))
    assert sum(told) == len(approvals) == 6
    assert len({headers["webhook-id"] for headers, _ in endpoint.heard}) == len(endpoint.heard) == 6


# Answers that come in


def signed(
    body: bytes, *, secret: str = SECRET, message_id: str = "msg_1", age_s: float = 0
) -> dict[str, str]:
    moment = now() - timedelta(seconds=age_s)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Standard(secret).sign(message_id, moment, body.decode()),
    }


@pytest.fixture
def inbound() -> Inbound:
    hooks = [
        Webhook("mute", "OTHER"),
        Webhook("unset", "NOWHERE", roles=("lead",)),
        Webhook("chat", "HOOK", roles=("lead",), tolerance_s=60),
    ]
    return Inbound(hooks, WebhookKeys({"HOOK": SECRET, "OTHER": OTHER}, lambda _: None))


def test_a_signature_of_the_published_scheme_names_its_sender(inbound: Inbound) -> None:
    body = b'{"approve": true}'
    webhook, message_id = inbound.sender(signed(body), body)
    assert (webhook.name, message_id) == ("chat", "msg_1")
    several = signed(body)
    several["webhook-signature"] = f"v1a,xxxx v1,AAAA {several['webhook-signature']}"
    assert inbound.sender(several, body)[0].name == "chat"
    ours = sign(KEY, message_id="m", moment=now(), body=body)
    assert verify(KEY, ours, body, moment=now(), tolerance_s=60) == "m"


BODY = b'{"approve": true}'


@pytest.mark.parametrize(
    ("how", "changed", "body"),
    [
        ({}, {}, b'{"approve": false}'),
        ({"secret": OTHER}, {}, BODY),
        ({"age_s": 120}, {}, BODY),
        ({"age_s": -120}, {}, BODY),
        ({}, {"webhook-id": "msg_2"}, BODY),
        ({"age_s": 10}, {"webhook-timestamp": "now"}, BODY),
        ({}, {"webhook-timestamp": "1e9"}, BODY),
        ({}, {"webhook-timestamp": "\N{FULLWIDTH DIGIT NINE}"}, BODY),
        ({}, {"webhook-signature": "v1"}, BODY),
        ({}, {"webhook-signature": "v1,!!!!"}, BODY),
        ({}, {"webhook-signature": ",,,,"}, BODY),
        ({}, {"webhook-signature": "v1,\N{LATIN SMALL LETTER E WITH ACUTE}"}, BODY),
        ({}, {"webhook-signature": ""}, BODY),
        ({}, {"webhook-id": "x" * 300}, BODY),
        ({}, {"webhook-id": "a\nb"}, BODY),
        ({}, {"webhook-id": "", "webhook-timestamp": "", "webhook-signature": ""}, BODY),
        ({}, {}, b"\xff\xfe"),
    ],
)
def test_what_is_not_signed_right_or_not_now_is_refused(
    inbound: Inbound, how: dict[str, Any], changed: dict[str, str], body: bytes
) -> None:
    headers = signed(BODY, **how) | changed
    if headers["webhook-timestamp"] == "now":
        headers["webhook-timestamp"] = str(int(now().timestamp()))
    with pytest.raises(Unauthenticated, match="not taken"):
        inbound.sender(headers, body)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_short", "hunter2-hunter2-hunter2-hunter2", "whsec_" + "!" * 44]
)
def test_what_is_no_secret_is_no_key(secret: str) -> None:
    with pytest.raises(InvalidInput, match="HOOK holds no webhook secret") as caught:
        key_of(secret, name="HOOK")
    assert not secret or secret not in str(caught.value)


async def test_a_signed_message_is_taken_once_together_with_its_answer(bench: Bench) -> None:
    approvals = Approvals(
        bench.database,
        bench.journal,
        bench.engine,
        roles=WebhookRoles(LocalOwner(), {"chat": ("lead",), "mute": ()}),
    )
    approval = await asked(bench, dangerous(approval=ApprovalRule(roles=("lead",), quorum=2)))
    chat = bench.ctx.acting_as(Actor("webhook", "chat"))
    receipt = Receipt("chat", "msg_1", kept_s=600)
    with pytest.raises(InvalidInput):
        await approvals.decide(chat, approval.id, approve=True, answer="no answer", receipt=receipt)
    first = await approvals.decide(chat, approval.id, approve=True, receipt=receipt)
    assert first.votes[0].actor == "webhook:chat", "a message that was refused was not taken"
    with pytest.raises(Conflict, match="taken once"):
        await approvals.decide(chat, approval.id, approve=True, receipt=receipt)
    again = await asyncio.gather(
        *(
            approvals.decide(chat, approval.id, approve=True, receipt=Receipt("chat", "msg_2", kept_s=600))
            for _ in range(5)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Conflict) for answer in again) == 4
    for name, roles in (("mute", "lead"), ("unknown", "lead")):
        with pytest.raises(PermissionDenied, match=roles):
            await approvals.decide(bench.ctx.acting_as(Actor("webhook", name)), approval.id, approve=True)


async def test_a_webhook_answers_only_as_its_roles(bench: Bench) -> None:
    roles = WebhookRoles(LocalOwner(), {"chat": ("lead",)})
    chat = bench.ctx.acting_as(Actor("webhook", "chat"))
    assert await roles.holds_any(chat, ())
    assert await roles.holds_any(chat, ("owner", "lead"))
    assert not await roles.holds_any(chat, ("owner",))
    assert await roles.holds_any(bench.ctx, ("owner",)), "people are asked of whoever knows them"
