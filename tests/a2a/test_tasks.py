"""Another agent, with the protocol's own client, uses workflows as skills and follows the tasks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from mosaic.app.owner import owner_token
from mosaic.security import NewKey
from tests.app.site import WAIT_S, Site, database, open_site, settings_of

pytestmark = pytest.mark.anyio

ECHO = "inputs: {type: object, required: [goal], properties: {goal: {type: string}}}\ndo:\n  - say: {set: {said: '${inputs.goal}'}}\noutputs: {said: '${say.said}'}\n"
ASKS = "do:\n  - sure: {ask: {question: Ship it?}}\noutputs: {by: '${sure.decided_by}'}\n"
WAITS = "do:\n  - later: {wait: 1h}\n"


@pytest.fixture(params=["sqlite", "postgresql"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    with database(request, request.param, tmp_path) as url:
        settings = settings_of(tmp_path / "home", url, a2a={"wait_s": 20})
        async with open_site(settings, tmp_path, http=True) as site:
            yield site


@pytest.fixture
async def agent(site: Site) -> AsyncIterator[Any]:
    """The protocol's client, with the owner's token."""
    async with connected(site, owner_token(site.application.settings.home)) as client:
        yield client


def connected(site: Site, secret: str, *, streaming: bool = True) -> Any:
    http = httpx.AsyncClient(headers={"authorization": f"Bearer {secret}"}, timeout=WAIT_S)
    return _Client(http, site.address or "", streaming=streaming)


class _Client:
    def __init__(self, http: httpx.AsyncClient, address: str, *, streaming: bool) -> None:
        self._http, self._address, self._streaming = http, address, streaming

    async def __aenter__(self) -> Any:
        factory = ClientFactory(ClientConfig(httpx_client=self._http, streaming=self._streaming))
        return await factory.create_from_url(self._address)

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


def message(
    text: str = "", *, skill: str | None = None, number: int = 1, data: Any = None, **more: Any
) -> Message:
    parts = [Part(text=text)] if text else []
    if data is not None:
        parts.append(Part(data=ParseDict(data, Value())))
    made = Message(message_id=f"msg-{number}", role=Role.ROLE_USER, parts=parts, **more)
    if skill is not None:
        made.metadata["skill"] = skill
    return made


async def told(agent: Any, sent: Message, **configuration: Any) -> list[Any]:
    request = SendMessageRequest(message=sent, configuration=SendMessageConfiguration(**configuration))
    async with asyncio.timeout(WAIT_S):
        return [answer async for answer in agent.send_message(request)]


async def known(site: Site, name: str, text: str) -> None:
    """Have a workflow that the installation knows: one that ran."""
    run = await site.start(name, text, inputs={"goal": "first"} if "inputs:" in text else {})
    if "wait" in text or "ask" in text:
        await site.client.cancel(run["id"])
    await site.finish(run["id"])


async def test_a_message_becomes_a_run_and_its_outputs_come_back(site: Site, agent: Any) -> None:
    await known(site, "echo", ECHO)
    answers = await told(agent, message("hello", skill="echo", context_id="ctx-7"))
    task = answers[0].task
    states = [one.status_update.status.state for one in answers if one.HasField("status_update")]
    assert (
        states[-1:] == [TaskState.TASK_STATE_COMPLETED] or task.status.state == TaskState.TASK_STATE_COMPLETED
    )
    found = await agent.get_task(GetTaskRequest(id=task.id))
    assert found.status.state == TaskState.TASK_STATE_COMPLETED
    assert found.context_id == "ctx-7"
    assert (found.artifacts[0].name, found.artifacts[0].parts[0].text) == ("said", "hello")
    assert "report.md" in {kept.name for kept in found.artifacts}
    assert [said.parts[0].text for said in found.history] == ["hello"]
    assert (await site.client.run(task.id))["outputs"] == {"said": "hello"}


async def test_a_message_with_a_key_is_one_task_however_often_it_is_sent(site: Site, agent: Any) -> None:
    await known(site, "echo", ECHO)
    sent = message("hello", skill="echo")
    plain = [(await told(agent, sent))[0].task.id for _ in range(2)]
    assert plain[0] != plain[1]
    sent.metadata["idempotencyKey"] = "order-7"
    keyed = [(await told(agent, sent))[0].task.id for _ in range(2)]
    assert keyed[0] == keyed[1]


async def test_without_streaming_the_answer_is_the_task_as_it_ended(site: Site) -> None:
    await known(site, "echo", ECHO)
    async with connected(site, owner_token(site.application.settings.home), streaming=False) as agent:
        [answer] = await told(agent, message("hi"))
        assert answer.task.status.state == TaskState.TASK_STATE_COMPLETED


async def test_a_task_that_waits_for_a_person_is_answered_through_its_task(site: Site, agent: Any) -> None:
    await known(site, "asks", ASKS)
    task = (await told(agent, message(skill="asks", data={"inputs": {}})))[0].task
    await site.asked(task.id)
    found = await agent.get_task(GetTaskRequest(id=task.id))
    assert found.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    yes = message(task_id=task.id, number=2, data={"approve": True})
    answers = await told(agent, yes)
    final = await agent.get_task(GetTaskRequest(id=task.id))
    assert final.status.state == TaskState.TASK_STATE_COMPLETED, answers
    assert final.artifacts[0].parts[0].text == "user:owner"
    with pytest.raises(A2AError):
        await told(agent, message("more", task_id=task.id, number=3))


async def test_a_task_is_followed_cancelled_and_listed(site: Site, agent: Any) -> None:
    await known(site, "waits", WAITS)
    begun = await _first(agent, message(skill="waits", data={"inputs": {}}))
    task = begun.task
    following = asyncio.ensure_future(_all(agent.subscribe(SubscribeToTaskRequest(id=task.id))))
    cancelled = await agent.cancel_task(CancelTaskRequest(id=task.id))
    assert cancelled.id == task.id
    async with asyncio.timeout(WAIT_S):
        seen = await following
    assert seen[0].task.id == task.id
    assert seen[-1].status_update.status.state == TaskState.TASK_STATE_CANCELED or len(seen) == 1
    with pytest.raises(A2AError):
        await agent.cancel_task(CancelTaskRequest(id=task.id))
    page = await agent.list_tasks(ListTasksRequest(status=TaskState.TASK_STATE_CANCELED))
    assert task.id in {listed.id for listed in page.tasks}


async def _first(agent: Any, sent: Message) -> Any:
    stream = agent.send_message(SendMessageRequest(message=sent))
    try:
        return await anext(stream)
    finally:
        await stream.aclose()


async def _all(stream: Any) -> list[Any]:
    return [answer async for answer in stream]


async def test_the_card_is_public_and_names_no_workflow_the_extended_one_does(site: Site, agent: Any) -> None:
    await known(site, "echo", ECHO)
    async with httpx.AsyncClient() as stranger:
        card = await stranger.get(f"{site.address}/.well-known/agent-card.json")
        assert card.status_code == 200
        assert "max-age" in card.headers["cache-control"]
        assert [skill["id"] for skill in card.json()["skills"]] == ["delivery"]
        assert card.json()["supportedInterfaces"][0]["url"] == f"{site.address}/a2a"
        refused = await stranger.post(f"{site.address}/a2a", json={})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    extended = await agent.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert [skill.id for skill in extended.skills] == ["echo"]


async def test_a_key_needs_its_scope_and_sees_its_own_project_only(site: Site) -> None:
    await known(site, "echo", ECHO)
    keys = site.application.model.keys
    _, chat_only = await keys.create(site.ctx, NewKey("chat", scopes=("chat",)))
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {chat_only}"}) as client:
        assert (await client.post(f"{site.address}/a2a", json={})).status_code == 403
    _, tools = await keys.create(site.ctx, NewKey("agent", scopes=("tools",)))
    async with connected(site, tools) as agent:
        assert (await told(agent, message("hello", skill="echo")))[0].task.id


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (message("hello", skill="nothing"), "There is no skill"),
        (message("hello", task_id="run_00000000000000000000000009"), "There is no task"),
        (
            Message(message_id="m", role=Role.ROLE_USER, parts=[Part(url="https://example.com/x")]),
            "text and data",
        ),
    ],
    ids=["skill", "task", "file"],
)
async def test_what_cannot_be_done_is_said(site: Site, agent: Any, sent: Message, says: str) -> None:
    await known(site, "echo", ECHO)
    with pytest.raises(A2AError, match=says):
        await told(agent, sent)
