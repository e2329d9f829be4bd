"""WebSockets: who may come in, what they follow and in which order, who looks at what, and what nobody reads."""

import asyncio
import base64
import gc
import json
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.exceptions import InvalidStatus

from mosaic.api.live_socket import channel, entrance, run_view, session
from mosaic.api.live_socket.tickets import TICKET_S, Tickets
from mosaic.app.requests import run_request
from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject
from mosaic.gateway.socket_connection import LARGEST_MESSAGE_BYTES, BoundedSocket
from tests.api.sockets import opened
from tests.app.site import WAIT_S, Site

pytestmark = pytest.mark.anyio

MANY = (
    "inputs: {type: object, properties: {items: {type: array}}}\n"
    "do:\n  - all: {for: {each: n, in: '${inputs.items}', parallel: 4}, do: [{one: {set: '${n}'}}]}\n"
)
EXAMPLES = Path(__file__).parents[2] / "examples/patterns"
LISTEN = "do:\n  - told: {listen: {signal: go}}\n"
ASK = "do:\n  - sure: {ask: {question: Go on?}}\n"


async def refused(site: Site, token: str | None, path: str = "/api/v1/ws", **options: Any) -> JsonObject:
    """The problem with which a socket is refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(site, token, path, **options):
            pass
    problem: JsonObject = json.loads(caught.value.response.body or b"{}")
    assert problem["status"] == caught.value.response.status_code
    return problem


@pytest.mark.requirement("ENT-13", "ENT-84", "STK-36")
async def test_a_socket_that_drops_a_hundred_times_sees_every_event_once_and_in_order(
    site: Site, token: str
) -> None:
    run = await site.start("dropping", MANY, inputs={"items": list(range(110))})
    seen: list[JsonObject] = []
    cuts = 0
    async with asyncio.timeout(WAIT_S * 3):
        while not seen or seen[-1]["type"] != "run.succeeded":
            async with opened(site, token) as talk:
                after = seen[-1]["seq"] if seen else 0
                await talk.say(type="subscribe", id="r", topic="run", subject=run["id"], after=after)
                for _ in range(2 if cuts < 100 else 10_000):
                    seen.append((await talk.hear("event"))["event"])
                    if seen[-1]["type"] == "run.succeeded":
                        break
                if cuts % 2:
                    talk.socket.transport.abort()  # no goodbye, as when a network goes away
            cuts += 1
    assert cuts >= 100
    assert seen == (await site.events(run["id"]))[: len(seen)]


async def test_a_stream_that_drops_a_hundred_times_sees_every_event_once_and_in_order(
    site: Site, http: httpx2.AsyncClient
) -> None:
    run = await site.start("streaming", MANY, inputs={"items": list(range(110))})
    seen: list[JsonObject] = []
    cuts = 0
    async with asyncio.timeout(WAIT_S * 3):
        while not seen or seen[-1]["type"] != "run.succeeded":
            headers = {"Last-Event-ID": str(seen[-1]["seq"])} if seen else {}
            taken = 0
            path = f"/runs/{run['id']}/events/stream"
            async with http.stream("GET", path, headers=headers) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        seen.append(json.loads(line.removeprefix("data: ")))
                        taken += 1
                        if seen[-1]["type"] == "run.succeeded" or (taken == 2 and cuts < 100):
                            break
            cuts += 1
    assert cuts >= 100
    assert seen == (await site.events(run["id"]))[: len(seen)]


async def test_who_may_open_a_socket(site: Site, http: httpx2.AsyncClient, token: str) -> None:
    protocol = f"mosaic.bearer.{base64.urlsafe_b64encode(token.encode()).decode().rstrip('=')}"
    async with opened(site, token) as talk:
        welcome = await talk.hear()
        assert welcome["type"] == "welcome"
        assert welcome["actor"] == "user:owner"
    async with opened(site, None, subprotocols=["mosaic.v1", protocol]) as talk:
        assert talk.socket.subprotocol == "mosaic.v1"
        assert (await talk.hear())["type"] == "welcome"
    async with opened(site, None) as talk:
        await talk.say(type="auth", token=token)
        assert (await talk.hear())["type"] == "welcome"

    assert site.address is not None
    origin = {"Origin": site.address, "Authorization": ""}
    signed_in = await http.post("/session", json={"token": token}, headers=origin)
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    async with opened(site, None, headers={"Cookie": cookie}, origin=site.address) as talk:
        assert (await talk.hear())["type"] == "welcome"

    # A cookie from elsewhere, wrong tokens, tokens in the address, foreign names.
    assert (await refused(site, None, headers={"Cookie": cookie}, origin="https://evil.test"))[
        "status"
    ] == 403
    assert (await refused(site, token, origin="http://127.0.0.1:1"))["status"] == 403
    assert (await refused(site, "wrong"))["status"] == 401
    assert (await refused(site, None, subprotocols=["mosaic.v1", "mosaic.bearer.!!!"]))["status"] == 401
    for name in ("token", "access_token", "jwt"):
        problem = await refused(site, None, f"/api/v1/ws?{name}={token}")
        assert problem["status"] == 400
        assert token not in json.dumps(problem)
    assert (await refused(site, token, "/api/v1/nothing"))["status"] == 404
    asks = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), "Host": "evil.test"}
    assert (await http.get("/ws", headers={**asks, **key})).status_code == 421


async def test_a_ticket_opens_one_socket(site: Site, http: httpx2.AsyncClient) -> None:
    made = await http.post("/ws/tickets")
    assert made.status_code == 201
    assert made.json()["expires_in_s"] == 30
    path = f"/api/v1/ws?ticket={made.json()['ticket']}"
    async with opened(site, None, path) as talk:
        assert (await talk.hear())["type"] == "welcome"
    assert (await refused(site, None, path))["code"] == "unauthenticated"


def test_a_ticket_is_good_for_half_a_minute() -> None:
    moment = 100.0
    tickets = Tickets(clock=lambda: moment)
    ctx = Context("t1", "p1", Actor("user", "u1"))
    ticket = tickets.issue(ctx)
    moment += TICKET_S - 0.1
    assert tickets.redeem(ticket) == ctx
    assert tickets.redeem(ticket) is None
    ticket = tickets.issue(ctx)
    moment += TICKET_S
    assert tickets.redeem(ticket) is None


async def test_nobody_stays_who_does_not_say_who_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "_FIRST_MESSAGE_S", 0.05)
    for message in ({"type": "auth", "token": "wrong"}, {"type": "ping"}, None):
        async with opened(site, None) as talk:
            if message is not None:
                await talk.say(**message)
            assert (await talk.hear())["type"] == "error"
            assert await talk.closed() == 4401


async def test_topics_hold_what_belongs_to_them_in_order_from_any_place(
    site: Site, http: httpx2.AsyncClient, token: str
) -> None:
    plan = (await http.post("/plans", json={"name": "Topics"})).json()
    async with opened(site, token) as talk:
        await talk.hear("welcome")
        topics = {"all": None, "approvals": None, "project": site.ctx.project, "plan": plan["id"]}
        for topic, subject in topics.items():
            answer = await talk.ask("subscribed", type="subscribe", id=topic, topic=topic, subject=subject)
            assert answer["after"] > 0
        run = await site.start("topics", ASK)
        asked = await site.asked(run["id"])
        change = {"operations": [{"op": "add", "item": {"title": "One"}}]}
        assert (await http.post(f"/plans/{plan['id']}/changes", json=change)).status_code == 200
        await http.post(f"/approvals/{asked['id']}/approve", json={"answer": True})
        await site.finish(run["id"])
        heard: dict[str, list[JsonObject]] = {topic: [] for topic in topics}
        while not any(event["type"] == "run.succeeded" for event in heard["project"]):
            message = await talk.hear("event")
            heard[message["id"]].append(message["event"])
        # Of the run from its beginning, on a socket that follows other things already.
        await talk.ask("subscribed", type="subscribe", id="run", topic="run", subject=run["id"], after=0)
        own: list[JsonObject] = []
        while not own or own[-1]["type"] != "run.succeeded":
            message = await talk.hear("event")
            if message["id"] == "run":
                own.append(message["event"])
        assert own == (await site.events(run["id"]))[: len(own)]
        ended = await talk.ask("unsubscribed", type="unsubscribe", id="run")
        assert ended["after"] >= own[-1]["seq"]
    assert [event["type"] for event in heard["approvals"]] == ["approval.requested", "approval.decided"]
    assert [event["type"] for event in heard["plan"]] == ["plan.changed"]
    places = [event["seq"] for event in heard["all"]]
    assert places == list(range(places[0], places[0] + len(places)))
    assert [event["seq"] for event in heard["project"]] == places[: len(heard["project"])]


async def test_what_cannot_be_is_answered_and_the_socket_goes_on(
    site: Site, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST_SUBSCRIPTIONS", 3)
    async with opened(site, token) as talk:
        await talk.hear("welcome")
        wrong: list[tuple[str, str]] = [
            ("not json", "invalid_input"),
            ("[" * 2_000, "invalid_input"),
            ('{"type": "nothing"}', "invalid_input"),
            ('{"type": "subscribe", "id": "x", "topic": "run"}', "invalid_input"),
            ('{"type": "subscribe", "id": "x", "topic": "run", "subject": "run_none"}', "not_found"),
            ('{"type": "subscribe", "id": "x", "topic": "plan", "subject": "plan_none"}', "not_found"),
            ('{"type": "subscribe", "id": "x", "topic": "all", "after": -1}', "invalid_input"),
            ('{"type": "subscribe", "id": "x", "topic": "all", "more": 1}', "invalid_input"),
            ('{"type": "unsubscribe", "id": "x"}', "not_found"),
            ('{"type": "auth", "token": "x"}', "conflict"),
        ]
        for text, code in wrong:
            await talk.socket.send(text)
            answer = await talk.hear()
            assert (answer["type"], answer["error"]["code"]) == ("error", code), text
        for name in ("a", "b", "c"):
            await talk.ask("subscribed", type="subscribe", id=name, topic="approvals")
        again = await talk.ask(type="subscribe", id="a", topic="approvals")
        assert again["error"]["code"] == "conflict"
        more = await talk.ask(type="subscribe", id="d", topic="approvals")
        assert more["error"]["code"] == "limit_exceeded"
        assert (await talk.ask("pong", type="ping", id="p"))["id"] == "p"
        for _ in range(20):
            await talk.socket.send("again")
        assert await talk.closed() == 4400
    async with opened(site, token) as talk:
        await talk.socket.send("x" * (LARGEST_MESSAGE_BYTES + 1))
        assert await talk.closed() == 1009


async def test_a_quiet_socket_is_told_how_far_each_subscription_has_come(
    site: Site, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "HEARTBEAT_S", 0.05)
    async with opened(site, token) as talk:
        welcome = await talk.hear("welcome")
        await talk.ask("subscribed", type="subscribe", id="q", topic="approvals")
        beat = await talk.hear("heartbeat")
        while "q" not in beat["positions"]:
            beat = await talk.hear("heartbeat")
        assert beat["positions"]["q"] >= welcome["seq"]


@pytest.mark.requirement("ENT-15")
async def test_viewers_see_each_other_come_and_go(site: Site, http: httpx2.AsyncClient, token: str) -> None:
    run = await site.start("looked-at", LISTEN)
    async with opened(site, token) as watcher, opened(site, token) as other:
        name = (await other.hear("welcome"))["viewer"]
        await watcher.ask("subscribed", type="subscribe", id="w", topic="presence", subject=run["id"])
        assert (await watcher.hear("presence"))["viewers"] == []
        subject = {"kind": "run", "id": run["id"]}
        await other.ask("looking", type="look", id="l", subject=subject)
        seen = (await watcher.hear("presence"))["viewers"]
        assert [(viewer["id"], viewer["subject"]) for viewer in seen] == [(name, subject)]
        assert (await http.get(f"/presence/{run['id']}")).json()["items"] == seen
        missing = await other.ask(type="look", id="m", subject={"kind": "run", "id": "run_none"})
        assert missing["error"]["code"] == "not_found"
        other.socket.transport.abort()
        assert (await watcher.hear("presence"))["viewers"] == []
    await site.client.cancel(run["id"])


@pytest.mark.requirement("ENT-15", "ENT-84")
async def test_comments_reach_everybody_who_follows_and_survive(
    site: Site, http: httpx2.AsyncClient, token: str
) -> None:
    run = await site.finish((await site.start("talked-about", "do:\n  - a: {set: 1}\n"))["id"])
    subject = {"kind": "run", "id": run["id"]}
    async with opened(site, token) as talk:
        await talk.ask("subscribed", type="subscribe", id="r", topic="run", subject=run["id"])
        made = (await http.post("/comments", json={"subject": subject, "body": " Why **this**? "})).json()
        event = (await talk.hear("event"))["event"]
        assert (event["type"], event["data"]["body"]) == ("comment.created", "Why **this**?")
        said = await talk.ask(
            type="comment.create", id="c", subject=subject, body="Because.", reply_to=made["id"]
        )
        assert said["result"]["reply_to"] == made["id"]
        edited = await http.patch(f"/comments/{made['id']}", json={"body": "Why?", "base_revision": 1})
        assert (edited.status_code, edited.json()["revision"]) == (200, 2)
        stale = await talk.ask(type="comment.edit", id="e", comment=made["id"], body="What?", base_revision=1)
        assert stale["error"]["code"] == "conflict"
        await talk.ask(type="comment.delete", id="d", comment=said["result"]["id"])
        kinds = [(await talk.hear("event"))["event"]["type"] for _ in range(3)]
        assert kinds == ["comment.created", "comment.edited", "comment.deleted"]
        page = (await talk.ask(type="comment.list", id="p", subject=subject))["result"]
    shown = (await http.get("/comments", params={"kind": "run", "subject_id": run["id"], "limit": 1})).json()
    assert [item["body"] for item in page["items"]] == ["Why?", ""]
    assert shown["items"] == page["items"][:1]
    assert shown["next_cursor"] is not None
    assert (await http.get(f"/comments/{made['id']}")).json() == page["items"][0]
    assert (await http.delete(f"/comments/{made['id']}")).json()["body"] == ""
    nowhere = {"subject": {"kind": "run", "id": "run_none"}, "body": "x"}
    assert (await http.post("/comments", json=nowhere)).status_code == 404
    secret = {"subject": subject, "body": f"my token is {token}"}
    site.application.redactor.add(token)
    assert (await http.post("/comments", json=secret)).status_code == 422
    plan = (
        await http.post("/plans", json={"name": "P", "operations": [{"op": "add", "item": {"title": "E"}}]})
    ).json()
    item = (await http.get(f"/plans/{plan['id']}/items")).json()["items"][0]
    about = {"kind": "item", "id": item["key"], "plan_id": plan["id"]}
    on_item = (await http.post("/comments", json={"subject": about, "body": "Small."})).json()
    assert (on_item["subject"]["id"], on_item["plan_id"]) == (item["id"], plan["id"])


@pytest.mark.requirement("MOZ-118", "MOZ-119")
async def test_a_run_is_shown_as_what_its_agents_do_and_resumes_between_two_frames(
    site: Site, token: str
) -> None:
    broken = "do:\n  - a: {set: '${int(\"x\")}'}\n"
    run = await site.finish((await site.start("failing", broken))["id"])
    async with opened(site, token, f"/api/v1/ws/{run['id']}") as talk:
        frames = [await talk.hear(), await talk.hear()]
        assert await talk.closed() == 1000
    assert [(frame["type"], frame["data"]["of"], frame["data"]["final"]) for frame in frames] == [
        ("error", "step", False),
        ("error", "run", True),
    ]
    async with opened(site, token, f"/api/v1/ws/{run['id']}?after={frames[0]['cursor']}") as talk:
        assert await talk.hear() == frames[1]
        assert await talk.closed() == 1000
    tooled = "policies: {exec: allow}\ndo:\n  - here: {run: pwd}\n"
    done = await site.finish((await site.start("tooled", tooled))["id"])
    async with opened(site, None, f"/api/v1/ws/{done['id']}") as talk:
        await talk.say(type="auth", token=token)
        call, result, end = [await talk.hear() for _ in range(3)]
        assert await talk.closed() == 1000
    assert [call["type"], result["type"], end["type"]] == ["tool_call", "tool_result", "completion"]
    assert (call["data"]["tool"], result["data"]["result"]["exit_code"]) == ("shell.run", 0)
    assert end["data"]["status"] == "succeeded"
    async with opened(site, token, f"/api/v1/ws/{done['id']}?after={call['cursor']}") as talk:
        assert await talk.hear() == result

    request = run_request(EXAMPLES / "handoff-group", inputs={}, options={})
    handed = await site.client.start_run(request)
    kinds = []
    async with opened(site, token, f"/api/v1/ws/{handed['id']}") as talk:  # while it goes on
        while not kinds or kinds[-1] != "completion":
            kinds.append((await talk.hear())["type"])
    assert {"agent_message", "handoff"} <= set(kinds), kinds
    for path in ("/api/v1/ws/run_none", f"/api/v1/ws/{done['id']}?after=x"):
        async with opened(site, token, path) as talk:
            assert (await talk.hear())["type"] == "error"
            assert await talk.closed() == 4400


@pytest.mark.requirement("MOZ-119")
def test_an_event_becomes_the_frames_that_agents_make() -> None:
    def event(kind: str, **data: Any) -> JsonObject:
        return {"type": kind, "data": data, "run_id": "run_1", "seq": 7, "path": "a", "occurred_at": "now"}

    call, result = run_view.frames_of(
        event("tool.called", tool="fs.read", arguments={"path": "x"}, result="y")
    )
    assert (call["type"], call["cursor"], call["data"]) == (
        "tool_call", "7.1", {"tool": "fs.read", "arguments": {"path": "x"}},
    )  # fmt: skip
    assert (result["type"], result["cursor"]) == ("tool_result", "7")
    assert result["data"] == {"tool": "fs.read", "result": "y", "failed": False}
    kinds = {
        "agent.message": ["agent_message"],
        "tool.failed": ["tool_call", "tool_result"],
        "tool.denied": ["tool_call", "tool_result"],
        "handoff.made": ["handoff"],
        "run.succeeded": ["completion"],
        "run.cancelled": ["completion"],
        "run.failed": ["error"],
        "step.failed": ["error"],
        "model.called": [],
    }
    assert {kind: [frame["type"] for frame in run_view.frames_of(event(kind))] for kind in kinds} == kinds
    # Cut off between the two, the second comes; the call does not come again.
    assert run_view.read_cursor("7.1") == (6, 1)
    assert run_view.read_cursor("7") == (7, 0)
    assert run_view.read_cursor(None) == (0, 0)


def open_sockets() -> list[BoundedSocket]:
    """The server's side of the sockets that are open."""
    found = [one for one in gc.get_objects() if type(one).__name__ == "BoundedSocket"]
    return [one for one in found if not one.transport.is_closing()]


async def test_a_client_that_reads_nothing_is_dropped_and_costs_little(
    site: Site, http: httpx2.AsyncClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "STALLED_S", 0.5)
    run = await site.start("unread", LISTEN)
    await site.happened(run["id"], "step.started")
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    line.connect(("127.0.0.1", int(str(site.address).rpartition(":")[2])))
    line.setblocking(False)
    async with opened(site, token) as other, opened(site, token, sock=line) as talk:
        await talk.hear("welcome")
        await talk.ask("subscribed", type="subscribe", id="a", topic="run", subject=run["id"])
        await other.ask("subscribed", type="subscribe", id="a", topic="run", subject=run["id"])
        assert len(open_sockets()) == 2
        talk.socket.transport.pause_reading()
        said, largest, dropped = 0, 0, False
        async with asyncio.timeout(WAIT_S):
            while not dropped:
                comment = {"subject": {"kind": "run", "id": run["id"]}, "body": "x" * 9_000}
                assert (await http.post("/comments", json=comment)).status_code == 201
                said += 1
                largest = max(largest, *(one.transport.get_write_buffer_size() for one in open_sockets()))
                dropped = any(one.close_sent for one in open_sockets())
                if largest > 16_384:
                    await asyncio.sleep(0.05)
        assert 16_384 < largest < 100_000
        talk.socket.transport.resume_reading()
        assert await talk.closed() == 4008
        for _ in range(said):  # the other one has missed nothing
            assert (await other.hear("event"))["event"]["type"] == "comment.created"
    await site.client.cancel(run["id"])
