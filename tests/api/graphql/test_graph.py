"""GraphQL: the same answers as REST, one question for many, what is refused, what is followed."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import sqlalchemy
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from mosaic.core.values import JsonObject
from tests.api.sockets import Talk, address
from tests.app.site import WAIT_S, Site

pytestmark = pytest.mark.anyio

SET = "do:\n  - a: {set: {x: 1}}\n"
ASK = "do:\n  - sure: {ask: {question: Go on?}}\n"
RESPONSE = "application/graphql-response+json"


@pytest.fixture
async def graph(http: httpx2.AsyncClient) -> "Graph":
    return Graph(http)


class Graph:
    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def post(self, query: str, **variables: Any) -> httpx2.Response:
        body = {"query": query, "variables": variables}
        return await self.http.post("/graphql", json=body, headers={"Accept": RESPONSE})

    async def ask(self, query: str, **variables: Any) -> JsonObject:
        answer = await self.post(query, **variables)
        assert answer.status_code == 200, answer.text
        said: JsonObject = answer.json()
        assert "errors" not in said, said["errors"]
        data: JsonObject = said["data"]
        return data

    async def error(self, query: str, *, status: int = 200, **variables: Any) -> JsonObject:
        answer = await self.post(query, **variables)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith(RESPONSE)
        error: JsonObject = answer.json()["errors"][0]
        return error


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of the database meanwhile, of the engine's own tables nothing."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT") and " main." not in statement:
            seen.append(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)


@pytest.mark.requirement("ENT-77", "STK-15")
async def test_the_graph_says_what_rest_says(site: Site, http: httpx2.AsyncClient, graph: Graph) -> None:
    run = await site.finish((await site.start("graphed", SET))["id"])
    plan = (
        await http.post("/plans", json={"name": "P", "operations": [{"op": "add", "item": {"title": "E"}}]})
    ).json()
    await http.put("/budgets", json={"scope": "project", "subject": "web", "usd": 5, "period": "month"})
    await http.post("/keys", json={"name": "outside"})
    data = await graph.ask(
        """query Everything($run: ID!, $plan: ID!) {
          me { tenant project actor }
          journalHead
          run(id: $run) { id status workflow inputs cost { usd tokens }
            steps { edges { node { path status tries } cursor } pageInfo { hasNextPage } }
            events(first: 3) { edges { node { seq type } } pageInfo { hasNextPage endCursor } } }
          plan(id: $plan) { id name progress items { edges { node { id key title status estimate { usd } } } } }
          node(id: $run) { id ... on Run { status } }
          projects { edges { node { name plans usd } } }
          workflows { edges { node { name stepCount } } }
          agents { edges { node { name load } } }
          approvals { edges { node { id title } } }
          tools(first: 5) { edges { node { name risk effects } } }
          providers { edges { node { name kinds status parts { connectivity } } } }
          models(provider: "scripted") { id provider }
          routes { name strategy }
          budgets { edges { node { id scope subject limitUsd } } }
          keys { edges { node { id name status } } }
          usage(by: ["project"]) { by items total }
          costForecast { period spentUsd }
          audit(first: 5) { edges { node { type actor } } }
        }""",
        run=run["id"],
        plan=plan["id"],
    )
    shown = (await http.get(f"/runs/{run['id']}")).json()
    assert data["run"]["status"] == shown["status"] == "succeeded"
    assert data["run"]["cost"] == {"usd": shown["cost"]["usd"], "tokens": shown["cost"]["tokens"]}
    assert [edge["node"] for edge in data["run"]["steps"]["edges"]] == [
        {"path": "a", "status": "completed", "tries": 1}
    ]
    events = (await http.get(f"/runs/{run['id']}/events", params={"limit": 3})).json()["items"]
    assert [edge["node"]["seq"] for edge in data["run"]["events"]["edges"]] == [e["seq"] for e in events]
    assert data["run"]["events"]["pageInfo"]["hasNextPage"] is True
    assert data["node"] == {"id": run["id"], "status": "succeeded"}
    assert data["plan"]["items"]["edges"][0]["node"]["title"] == "E"
    for noun, path, name in (
        ("workflows", "/workflows", "name"),
        ("providers", "/providers", "name"),
        ("budgets", "/budgets", "id"),
        ("keys", "/keys", "id"),
        ("projects", "/projects", "name"),
    ):
        rows = (await http.get(path)).json()["items"]
        assert {edge["node"][name] for edge in data[noun]["edges"]} == {row[name] for row in rows}, noun
    audited = (await http.get("/audit", params={"limit": 200})).json()["items"]
    seen = {edge["node"]["type"] for edge in data["audit"]["edges"]}
    assert seen
    assert seen <= {event["type"] for event in audited}
    assert data["journalHead"] >= data["run"]["events"]["edges"][-1]["node"]["seq"]


async def test_pages_hold_every_row_once_whichever_cursor_one_goes_on_from(site: Site, graph: Graph) -> None:
    for _ in range(5):
        await site.finish((await site.start("paged", SET))["id"])
    query = (
        'query($first: Int!, $after: String) { runs(workflow: "paged", first: $first, after: $after) '
        "{ edges { cursor node { id } } pageInfo { hasNextPage endCursor hasPreviousPage } } }"
    )
    whole = (await graph.ask(query, first=100))["runs"]
    ids = [edge["node"]["id"] for edge in whole["edges"]]
    assert len(ids) == 5
    assert whole["pageInfo"]["hasNextPage"] is False
    seen: list[str] = []
    page = (await graph.ask(query, first=2))["runs"]
    while True:
        seen += [edge["node"]["id"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        page = (await graph.ask(query, first=2, after=page["pageInfo"]["endCursor"]))["runs"]
    assert seen == ids
    for place in (0, 2):  # from the middle of a page, too
        rest = (await graph.ask(query, first=2, after=whole["edges"][place]["cursor"]))["runs"]
        assert [edge["node"]["id"] for edge in rest["edges"]] == ids[place + 1 : place + 3]
    assert (await graph.error(query, first=101))["extensions"]["code"] == "invalid_input"
    assert (await graph.error(query, first=1, after="nothing"))["extensions"]["code"] == "invalid_input"


async def test_more_rows_ask_the_database_no_more_often(
    site: Site, http: httpx2.AsyncClient, graph: Graph
) -> None:
    query = (
        'query($first: Int!) { runs(workflow: "asking", first: $first) { edges { node { id status cost { usd } '
        "approvals { id title run { id } comments { body } } comments { body author } artifacts { name } "
        "viewers { actor } parentRun { id } } } } }"
    )
    runs = [(await site.start("asking", ASK))["id"] for _ in range(6)]
    for run_id in runs:
        await site.asked(run_id)
        subject = {"kind": "run", "id": run_id}
        await http.post("/comments", json={"subject": subject, "body": f"about {run_id}"})
    counts = {}
    for first in (2, 6):
        await graph.ask(query, first=first)  # what is remembered of open runs is remembered now
        tries = []
        for _ in range(4):  # the least of some: what looks now and then asks, too
            with statements() as seen:
                data = await graph.ask(query, first=first)
            tries.append(len(seen))
        counts[first] = min(tries)
        rows = [edge["node"] for edge in data["runs"]["edges"]]
        assert [row["comments"][0]["body"] for row in rows] == [f"about {row['id']}" for row in rows]
        assert [row["approvals"][0]["run"]["id"] for row in rows] == [row["id"] for row in rows]
    assert 0 < counts[6] <= counts[2], counts
    for run_id in runs:
        await site.client.cancel(run_id)


@pytest.mark.requirement("ENT-77")
async def test_everything_a_person_does_with_runs_and_plans_can_be_done(
    site: Site, http: httpx2.AsyncClient, graph: Graph
) -> None:
    request = site.request(
        "done", "do:\n  - told: {listen: {signal: go}}\n  - sure: {ask: {question: Go on?}}\n"
    )
    run = (
        await graph.ask("mutation($b: JSON!) { startRun(bundle: $b) { id status } }", b=request["bundle"])
    )["startRun"]
    await site.happened(run["id"], "step.started")
    sent = await graph.ask(
        'mutation($id: ID!) { signalRun(id: $id, name: "go", payload: {a: 1}) { signal } }', id=run["id"]
    )
    assert sent == {"signalRun": {"signal": "go"}}
    asked = await site.asked(run["id"])
    yes = await graph.ask(
        'mutation($id: ID!) { approve(id: $id, note: "fine", answer: true) { status note run { id } } }',
        id=asked["id"],
    )
    assert yes["approve"] == {"status": "approved", "note": "fine", "run": {"id": run["id"]}}
    again = await graph.error("mutation($id: ID!) { reject(id: $id) { status } }", id=asked["id"])
    assert (again["extensions"]["code"], again["extensions"]["status"]) == ("conflict", 409)
    await site.finish(run["id"])
    fork = (
        await graph.ask(
            'mutation($id: ID!) { forkRun(id: $id, fromStep: "sure") { id forkedFromRun { id } } }',
            id=run["id"],
        )
    )["forkRun"]
    assert fork["forkedFromRun"]["id"] == run["id"]
    await site.asked(fork["id"])
    gone = await graph.ask("mutation($id: ID!) { cancelRun(id: $id) { id } }", id=fork["id"])
    assert gone["cancelRun"]["id"] == fork["id"]
    named = await graph.ask('mutation { startRun(workflow: "done") { id workflow } }')
    assert named["startRun"]["workflow"] == "done"
    await site.client.cancel(named["startRun"]["id"])

    plan = (await http.post("/plans", json={"name": "Changed"})).json()
    change = (
        "mutation($id: ID!, $ops: [JSON!]!, $dry: Boolean!) { changePlan(id: $id, operations: $ops, dryRun: $dry, "
        "baseVersion: 1) { id version dryRun diff { title change } consequences { estimateUsd { after } } } }"
    )
    ops = [{"op": "add", "item": {"title": "E"}}]
    dry = (await graph.ask(change, id=plan["id"], ops=ops, dry=True))["changePlan"]
    assert (dry["id"], dry["diff"]) == (None, [{"title": "E", "change": "added"}])
    made = (await graph.ask(change, id=plan["id"], ops=ops, dry=False))["changePlan"]
    stale = await graph.error(change, id=plan["id"], ops=ops, dry=False)
    assert stale["extensions"]["code"] == "stale_plan"
    undo = "mutation($id: ID!, $c: ID!) { undoPlanChange(id: $id, change: $c) { undoes } }"
    assert (await graph.ask(undo, id=plan["id"], c=made["id"]))["undoPlanChange"]["undoes"] == made["id"]
    note = 'mutation($id: ID!) { writeComment(subject: {kind: "run", id: $id}, body: "Done.") { id } }'
    comment = (await graph.ask(note, id=run["id"]))["writeComment"]
    await graph.ask(
        'mutation($id: ID!) { editComment(id: $id, body: "Well done.") { revision } }', id=comment["id"]
    )
    await graph.ask("mutation($id: ID!) { deleteComment(id: $id) { deletedAt } }", id=comment["id"])
    missing = await graph.error('{ run(id: "run_none") { id } }')
    assert missing["extensions"]["code"] == "not_found"
    assert missing["path"] == ["run"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{ run(id: 1) {" + "parentRun {" * 12 + "id" + "}" * 14, "deep"),
        ("{" + " ".join(f"a{n}: journalHead" for n in range(40)) + "}", "aliases"),
        ("{" + "journalHead " * 1_000 + "me {" + "actor " * 1_200 + "}}", "token"),
        (
            "{ runs(first: 100) { edges { node { steps(first: 100) { edges { node { path status } } } } } } }",
            "much",
        ),
        (
            "query($n: Int = 100) { runs(first: $n) { edges { node { events(first: $n) { edges { node { id } } } } } } }",
            "much",
        ),
        ("{" + "me {" * 600 + "actor" + "}" * 601, "deep"),
        # Two of each, thirty times over: a thousand million aliases in a thousand characters.
        (
            "{ me { ...f0 } } "
            + " ".join(f"fragment f{n} on Me {{ ...f{n + 1} ...f{n + 1} }}" for n in range(30))
            + " fragment f30 on Me { a: actor }",
            "aliases",
        ),
        ("{ me { ...a } } fragment a on Me { ...b } fragment b on Me { ...a }", "deep"),
        (
            "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }",
            "introspection",
        ),
    ],
)
async def test_what_asks_for_too_much_is_refused_before_it_is_done(
    graph: Graph, query: str, words: str
) -> None:
    async with asyncio.timeout(WAIT_S):
        error = await graph.error(query, status=400)
    assert words in error["message"].lower(), error


async def test_only_who_is_known_may_ask_even_what_there_is(site: Site, http: httpx2.AsyncClient) -> None:
    body = {"query": "{ __schema { queryType { name } } }"}
    known = await http.post("/graphql", json=body)
    assert known.json() == {"data": {"__schema": {"queryType": {"name": "Query"}}}}
    async with httpx2.AsyncClient(base_url=f"{site.address}/api/v1", trust_env=False) as nobody:
        refused = await nobody.post("/graphql", json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


async def test_a_foreign_page_can_have_a_browser_do_nothing(
    site: Site, token: str, http: httpx2.AsyncClient
) -> None:
    signed_in = await http.post("/session", json={"token": token}, headers={"Origin": str(site.address)})
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    async with httpx2.AsyncClient(base_url=f"{site.address}/api/v1", trust_env=False) as page:
        headers = {"Cookie": cookie}
        query = {"query": "{ journalHead }"}
        assert (await page.get("/graphql", params=query, headers=headers)).status_code == 403
        deliberate = {**headers, "GraphQL-Require-Preflight": "1"}
        assert (await page.get("/graphql", params=query, headers=deliberate)).status_code == 200
        foreign = {**deliberate, "Sec-Fetch-Site": "cross-site"}
        assert (await page.get("/graphql", params=query, headers=foreign)).status_code == 403
        form = {**headers, "Origin": str(site.address), "Content-Type": "text/plain"}
        assert (await page.post("/graphql", content=json.dumps(query), headers=form)).status_code == 415
        assert (
            await page.post("/graphql", json=query, headers={**headers, "Origin": "null"})
        ).status_code == 403


@pytest.mark.requirement("ENT-79")
async def test_a_batch_is_done_in_order_and_bounded(http: httpx2.AsyncClient) -> None:
    batch = [{"query": "{ journalHead }"}, {"query": "{ nothing }"}, {"query": "{ me { actor } }"}]
    answer = await http.post("/graphql", json=batch)
    assert answer.status_code == 200
    first, second, third = answer.json()
    assert first["data"]["journalHead"] >= 0
    assert "Cannot query field" in second["errors"][0]["message"]
    assert third == {"data": {"me": {"actor": "user:owner"}}}
    for wrong in ([], batch[:1] * 11):
        assert (await http.post("/graphql", json=wrong)).status_code == 400


@pytest.mark.requirement("ENT-78")
async def test_events_are_followed_from_any_place_and_resumed(site: Site, token: str) -> None:
    run = await site.finish((await site.start("followed", SET))["id"])
    journal = await site.events(run["id"])
    query = 'subscription($run: String, $after: Long) { events(topic: "run", subject: $run, after: $after) { seq type run { status } } }'

    async def follow(after: int, count: int) -> list[JsonObject]:
        async with connect(
            address(site, "/api/v1/graphql"),
            subprotocols=["graphql-transport-ws"],
            proxy=None,
            close_timeout=0.05,  # type: ignore[list-item]
        ) as socket:
            talk = Talk(socket)
            await talk.say(type="connection_init", payload={"Authorization": f"Bearer {token}"})
            assert (await talk.hear())["type"] == "connection_ack"
            variables = {"run": run["id"], "after": after}
            await talk.say(type="subscribe", id="1", payload={"query": query, "variables": variables})
            heard = [await talk.hear("next") for _ in range(count)]
            await talk.say(type="complete", id="1")
            return [message["payload"]["data"]["events"] for message in heard]

    async with asyncio.timeout(WAIT_S):
        first = await follow(0, 2)
        rest = await follow(first[-1]["seq"], len(journal) - 2)
    assert [event["seq"] for event in first + rest] == [event["seq"] for event in journal]
    assert rest[-1] == {
        "seq": journal[-1]["seq"],
        "type": journal[-1]["type"],
        "run": {"status": "succeeded"},
    }


async def test_what_a_socket_of_the_graph_refuses(site: Site, token: str) -> None:
    async def opened(*messages: Any, protocol: str = "graphql-transport-ws") -> int | None:
        async with connect(
            address(site, "/api/v1/graphql"),
            subprotocols=[protocol],
            proxy=None,
            close_timeout=0.05,  # type: ignore[list-item]
        ) as socket:
            with contextlib.suppress(ConnectionClosed):  # it may be closed before everything is said
                for message in messages:
                    await socket.send(message if isinstance(message, str) else json.dumps(message))
            return await Talk(socket).closed()

    init = {"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}
    subscribe = {"type": "subscribe", "id": "1", "payload": {"query": "{ me { actor } }"}}
    async with asyncio.timeout(WAIT_S):
        assert await opened({"type": "connection_init", "payload": {"Authorization": "Bearer wrong"}}) == 4403
        assert await opened({"type": "connection_init"}) == 4403
        assert await opened(subscribe) == 4401
        assert await opened(init, init) == 4429
        for message in ("no json", "[]", '{"type": 1}', '{"type": "subscribe", "id": "1", "payload": "x"}'):
            assert await opened(init, message) == 4400, message
        assert await opened(init, protocol="mosaic.v1") in (4406, None)
        async with connect(
            address(site, "/api/v1/graphql"), subprotocols=["graphql-transport-ws"], proxy=None, close_timeout=0.05,  # type: ignore[list-item]
            additional_headers={"Authorization": f"Bearer {token}"},
        ) as socket:  # fmt: skip
            talk = Talk(socket)
            await talk.say(type="connection_init")
            await talk.hear("connection_ack")
            await talk.say(**subscribe)
            assert (await talk.hear("next"))["payload"]["data"] == {"me": {"actor": "user:owner"}}
            wrong = {"query": 'subscription { events(topic: "run", subject: "run_none") { seq } }'}
            await talk.say(type="subscribe", id="2", payload=wrong)
            error = await talk.hear("error", "next")
            shown = error["payload"][0] if error["type"] == "error" else error["payload"]["errors"][0]
            assert shown["extensions"]["code"] == "not_found"


async def test_without_the_extra_the_path_says_what_to_install(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "strawberry", None)
    answer = await http.post("/graphql", json={"query": "{ journalHead }"})
    assert (answer.status_code, answer.json()["code"]) == (501, "unsupported")
    assert "mosaicstack[graphql]" in answer.json()["hint"]
