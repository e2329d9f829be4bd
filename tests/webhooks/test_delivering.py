"""Subscriptions are told of events: signed, in order, at least once, for as long as it takes and no longer."""

import asyncio
import base64
from dataclasses import replace

import pytest
from standardwebhooks import Webhook as Standard
from standardwebhooks import WebhookVerificationError

from mosaic.core.errors import NotFound
from mosaic.events import NewEvent
from mosaic.webhooks import NewWebhook
from tests.webhooks.conftest import Bench, MakeBench
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("ENT-81", "MAOS-14", "STK-53")
async def test_events_that_fit_are_told_in_order_as_signed_cloud_events(
    bench: Bench, receiver: Receiver
) -> None:
    await bench.happens("run.created")  # before there was a subscription
    webhook, secret = await bench.subscribe(
        receiver.url, events=("run.*", "approval.requested"), project="p1"
    )
    wanted = await bench.happens("run.started", "step.started", "approval.requested", "run.succeeded")
    await bench.happens("run.failed", project="p2")
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.run.started", "mosaic.approval.requested", "mosaic.run.succeeded"]
    for (headers, body), event in zip(receiver.heard, (wanted[0], wanted[2], wanted[3]), strict=True):
        Standard(secret).verify(body, headers)
        assert headers["content-type"] == "application/cloudevents+json"
        assert headers["webhook-id"] == event.id
        with pytest.raises(WebhookVerificationError):
            Standard("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(body, headers)
    told = receiver.events[0]
    assert (told["specversion"], told["id"], told["source"]) == ("1.0", wanted[0].id, "/mosaic/t1/p1")
    assert (told["subject"], told["sequence"]) == ("run_1", str(wanted[0].seq))
    assert told["data"] == wanted[0].to_json()
    await bench.delivered(webhook)
    assert len(receiver.heard) == 3, "what has arrived is not told again"
    page = await bench.webhooks.deliveries(bench.ctx, "sink")
    assert {item.status for item in page.items} == {"delivered"}
    assert {item.answer for item in page.items} == {204}


async def test_what_fails_holds_back_what_comes_after_it_and_is_tried_again_with_the_same_id(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.answers = [500, (302, "Location: http://169.254.169.254/\r\n")]
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done", "b.done")
    assert await bench.delivered(webhook) is not None
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.a.done"], "it waits before it tries again"
    bench.time.passes(70)
    await bench.delivered(webhook)
    assert len(receiver.heard) == 2, "a redirect is a failure and is not followed"
    bench.time.passes(70)
    await bench.delivered(webhook)
    assert len(receiver.heard) == 2, "each pause is longer than the one before"
    bench.time.passes(700)
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.a.done"] * 3 + ["mosaic.b.done"]
    assert len({headers["webhook-id"] for headers, _ in receiver.heard[:3]}) == 1
    (found, standing) = await bench.webhooks.get(bench.ctx, "sink")
    assert (found.failures, standing.waiting) == (0, 0)


@pytest.mark.parametrize("wait", ["3600", "Tue, 01 Jan 2097 00:00:00 GMT"])
async def test_a_receiver_that_asks_for_time_gets_it(bench: Bench, receiver: Receiver, wait: str) -> None:
    receiver.answers = [(429, f"Retry-After: {wait}\r\n")]
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done")
    await bench.delivered(webhook)
    bench.time.passes(3_500)
    await bench.delivered(webhook)
    assert len(receiver.heard) == 1
    bench.time.passes(86_400)
    await bench.delivered(webhook)
    assert len(receiver.heard) == 2


async def test_after_the_last_attempt_a_delivery_is_dead_and_the_next_one_gets_its_turn(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.answers = [500, 500, 500]
    webhook, _ = await bench.subscribe(receiver.url)
    (first, _) = await bench.happens("a.done", "b.done")
    for _ in range(3):
        await bench.delivered(webhook)
        bench.time.passes(1_000)
    assert receiver.types == ["mosaic.a.done"] * 3 + ["mosaic.b.done"]
    (dead,) = await bench.told("webhook.dead_lettered")
    assert (dead.data["event"], dead.data["attempts"], dead.data["error"]) == (first.id, 3, "it answered 500")
    assert "/hook" not in str(dead.data), "an address may be a secret"
    page = await bench.webhooks.deliveries(bench.ctx, "sink", status="dead")
    assert [item.event_id for item in page.items] == [first.id]
    await bench.webhooks.redeliver(bench.ctx, "sink", page.items[0].id)
    await bench.delivered(webhook)
    assert receiver.types[-1] == "mosaic.a.done"
    assert receiver.heard[-1][0]["webhook-id"] == first.id


async def test_its_own_failures_are_not_told_to_a_webhook_that_wants_everything(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.answers = [500] * 3
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done")
    for _ in range(5):
        await bench.delivered(webhook)
        bench.time.passes(1_000)
    assert len(await bench.told("webhook.dead_lettered")) == 1
    assert set(receiver.types) == {"mosaic.a.done"}


async def test_gone_means_never_again(bench: Bench, receiver: Receiver) -> None:
    receiver.answers = [410]
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done", "b.done")
    assert await bench.delivered(webhook) is None
    assert len(receiver.heard) == 1
    (found, standing) = await bench.webhooks.get(bench.ctx, "sink")
    assert found.status == "disabled"
    assert "410" in str(found.reason)
    assert (standing.waiting, standing.dead) == (1, 1)
    (disabled,) = await bench.told("webhook.disabled")
    assert disabled.data["webhook"] == webhook.id
    await bench.webhooks.enable(bench.ctx, "sink")
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.a.done", "mosaic.b.done"], "it goes on where it was left"


async def test_a_webhook_that_always_fails_is_disabled_after_a_while_and_says_why(
    make_bench: MakeBench, receiver: Receiver
) -> None:
    bench = make_bench(disable_after=4, disable_after_s=3_000.0)
    receiver.answers = [503] * 20
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done", "b.done", "c.done")
    for _ in range(8):
        if await bench.delivered(webhook) is None:
            break
        bench.time.passes(700)
    found, _ = await bench.webhooks.get(bench.ctx, "sink")
    assert (found.status, found.failures) == ("disabled", 0)
    assert "attempts in a row failed" in str(found.reason)
    assert len(receiver.heard) == 8, "four in a row are not enough before the time has passed as well"
    assert len(await bench.told("webhook.disabled")) == 1


async def test_several_at_once_give_up_the_order_for_speed_within_a_bound(
    make_bench: MakeBench, receiver: Receiver
) -> None:
    bench = make_bench(in_flight=3)
    receiver.hold = asyncio.Event()
    webhook, _ = await bench.subscribe(receiver.url, at_once=5)
    await bench.happens(*[f"a{number}.done" for number in range(8)])
    work = asyncio.create_task(bench.delivered(webhook))
    await receiver.holds(3)
    receiver.hold.set()
    await work
    assert receiver.most_together == 3, "as many as the process allows"
    assert sorted(receiver.types) == [f"mosaic.a{number}.done" for number in range(8)]


async def test_a_failure_does_not_hold_back_others_where_order_is_not_wanted(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.answers = [500]
    webhook, _ = await bench.subscribe(receiver.url, at_once=2)
    await bench.happens("a.done", "b.done", "c.done")
    await bench.delivered(webhook)
    assert len(receiver.heard) == 3
    _, standing = await bench.webhooks.get(bench.ctx, "sink")
    assert standing.waiting == 1


@pytest.mark.requirement("MAOS-15")
async def test_one_process_delivers_until_it_says_nothing_for_a_while(
    bench: Bench, receiver: Receiver
) -> None:
    webhook, _ = await bench.subscribe(receiver.url)
    other = bench.process("node-2")
    await bench.happens("a.done")
    await bench.delivered(webhook)
    await bench.happens("b.done")
    await bench.delivered(webhook, other)
    assert receiver.types == ["mosaic.a.done"], "the first one is at it"
    bench.time.passes(61)
    await bench.delivered(webhook, other)
    assert receiver.types == ["mosaic.a.done", "mosaic.b.done"]
    await bench.happens("c.done")
    await bench.delivered(webhook)
    assert len(receiver.heard) == 2, "it has lost the webhook, and knows"
    await bench.delivered(webhook, bench.process("node-3", alone=True))
    assert receiver.types[2:] == ["mosaic.c.done"], "whoever is alone need not wait for a dead one"


async def test_a_process_with_another_key_leaves_a_webhook_to_those_with_the_right_one(
    bench: Bench, receiver: Receiver
) -> None:
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done")
    await bench.delivered(webhook, bench.process("node-2", key="o" * 40))
    assert receiver.heard == []
    assert "another key" in str(bench.service("o" * 40).problem(webhook))
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.a.done"]


async def test_replaying_tells_everything_after_a_sequence_again_once_each(
    bench: Bench, receiver: Receiver
) -> None:
    webhook, _ = await bench.subscribe(receiver.url)
    events = await bench.happens("a.done", "b.done", "c.done")
    await bench.delivered(webhook)
    receiver.answers = [500]
    await bench.happens("d.done")
    await bench.delivered(webhook)  # it waits for its second attempt while the rest is told again
    receiver.heard.clear()
    await bench.webhooks.replay(bench.ctx, "sink", after=events[0].seq)
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.b.done", "mosaic.c.done", "mosaic.d.done"]
    assert receiver.heard[0][0]["webhook-id"] == events[1].id


async def test_tenants_know_nothing_of_each_other(bench: Bench, receiver: Receiver) -> None:
    webhook, _ = await bench.subscribe(receiver.url)
    other = replace(bench.ctx, tenant="t2")
    async with bench.database.transaction() as tx:
        await bench.journal.append(tx, other, [NewEvent("a.done", {})])
    await bench.delivered(webhook)
    await bench.deliverer.work(other, webhook.id)
    assert receiver.heard == []
    assert await bench.webhooks.list(other) == []
    for attempt in (bench.webhooks.get, bench.webhooks.remove, bench.webhooks.rotate, bench.webhooks.test):
        with pytest.raises(NotFound):
            await attempt(other, "sink")
    mine, secret = await bench.webhooks.create(other, NewWebhook("sink", receiver.url))
    assert (mine.name, len(await bench.webhooks.list(bench.ctx))) == ("sink", 1)
    assert secret not in str(await bench.webhooks.list(other))


async def test_a_new_webhook_may_begin_in_the_past(bench: Bench, receiver: Receiver) -> None:
    events = await bench.happens("a.done", "b.done")
    webhook, _ = await bench.subscribe(receiver.url, after=events[0].seq, events=("*.done",))
    await bench.delivered(webhook)
    assert receiver.types == ["mosaic.b.done"]


async def test_a_rotated_secret_overlaps_with_the_old_one_for_as_long_as_was_said(
    bench: Bench, receiver: Receiver
) -> None:
    webhook, old = await bench.subscribe(receiver.url)
    _, new = await bench.webhooks.rotate(bench.ctx, "sink", overlap_s=3_600)
    assert new != old
    await bench.happens("a.done")
    await bench.delivered(webhook)
    headers, body = receiver.heard[0]
    Standard(old).verify(body, headers)
    Standard(new).verify(body, headers)
    bench.time.passes(3_601)
    await bench.happens("b.done")
    await bench.delivered(webhook)
    sent = receiver.heard[1][0]["webhook-signature"].split()
    assert len(sent) == 1
    journal = str([event.to_json() for event in await bench.journal.read(bench.ctx)])
    assert old not in journal
    assert new not in journal


async def test_a_message_that_would_be_too_long_says_so_instead(
    make_bench: MakeBench, receiver: Receiver
) -> None:
    bench = make_bench(max_body_bytes=2_000)
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done", data={"text": "x" * 5_000})
    await bench.delivered(webhook)
    assert len(receiver.heard[0][1]) < 2_000
    assert receiver.events[0]["data"]["data"]["$omitted"]["size_bytes"] > 5_000


async def test_more_than_may_wait_stays_in_the_journal_until_there_is_room(
    make_bench: MakeBench, receiver: Receiver
) -> None:
    bench = make_bench(most_waiting=2)
    receiver.answers = [500]
    webhook, _ = await bench.subscribe(receiver.url)
    await bench.happens("a.done", "b.done")
    await bench.delivered(webhook)
    await bench.happens("c.done", "d.done")
    bench.time.passes(5)
    await bench.delivered(webhook)
    _, standing = await bench.webhooks.get(bench.ctx, "sink")
    assert standing.waiting == 2
    bench.time.passes(70)
    await bench.delivered(webhook)
    await bench.delivered(webhook)
    assert receiver.types[1:] == [f"mosaic.{name}.done" for name in "abcd"]


async def test_the_worker_tells_several_webhooks_while_it_runs_and_hears_of_new_ones(
    bench: Bench, receiver: Receiver
) -> None:
    worker = asyncio.create_task(bench.deliverer.run(bench.ctx))
    try:
        await bench.subscribe(receiver.url, "one", events=("a.*",))
        await bench.subscribe(receiver.url, "two", events=("b.*",))
        await bench.happens("a.done", "b.done")
        await receiver.hears(2)
        await bench.webhooks.remove(bench.ctx, "two")
        await bench.happens("b.done", "a.done")
        await receiver.hears(3)
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    assert sorted(receiver.types) == ["mosaic.a.done", "mosaic.a.done", "mosaic.b.done"]
    free = await bench.webhooks.create(bench.ctx, NewWebhook("three", receiver.url, events=("c.*",)))
    await bench.happens("c.done")
    await bench.delivered(free[0], bench.process("node-2"))
    assert receiver.types[-1] == "mosaic.c.done"
