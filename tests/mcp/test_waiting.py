"""Calls whose clients do not wait: fetched later, given as tasks, cancelled with the request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.core.values import JsonObject
from mosaic.tools import Approval, tool
from tests.app.site import WAIT_S
from tests.mcp.conftest import McpSite, open_mcp_site

pytestmark = pytest.mark.anyio

TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
FORMS = {**TASKS, "elicitation": {}}
CALL = {"name": "disk__wipe", "arguments": {"disk": "sda"}}


@pytest.fixture
async def hasty(tmp_path: Path, database_url: str) -> AsyncIterator[McpSite]:
    """An installation whose calls wait for nobody."""
    wiped: list[str] = []

    @tool(risk="destructive", name="disk.wipe")
    async def wipe(disk: str) -> str:
        """Wipe a disk."""
        wiped.append(disk)
        return f"{disk} is empty after {len(wiped)}"

    home = tmp_path / "home" / ".mosaic"
    async with open_mcp_site(home, database_url, mcp={"wait_s": 0.2}) as site:
        site.offer(wipe)
        yield site


async def asked(site: McpSite) -> Approval:
    """What waits for a person."""
    (approval,) = await site.application.approvals.list(site.ctx, status="pending")
    return approval


async def decide(site: McpSite, *, approve: bool) -> None:
    await site.application.approvals.decide(site.ctx, (await asked(site)).id, approve=approve)


async def settled(site: McpSite, task_id: str, **capabilities: object) -> JsonObject:
    """Ask about a task until it has ended."""
    async with asyncio.timeout(WAIT_S):
        while True:
            told = (await site.ask("tasks/get", {"taskId": task_id}, **capabilities))["result"]
            if told["status"] not in ("working", "input_required"):
                return dict(told)
            await asyncio.sleep(0.05)


async def test_a_call_that_nobody_has_answered_yet_says_how_to_come_back(hasty: McpSite, mode: str):
    async with hasty.client(mode=mode) as client:
        early = await client.call_tool("disk__wipe", {"disk": "sda"})
        call = early.meta["mosaic/call"]
        again = await client.call_tool("calls__result", {"call": call, "wait_s": 0})
        await decide(hasty, approve=True)
        late = await client.call_tool("calls__result", {"call": call})

    assert early.is_error
    assert call in early.content[0].text
    assert again.is_error
    assert late.content[0].text == "sda is empty after 1"


async def test_a_call_is_its_callers_own(hasty: McpSite):
    async with hasty.client() as client:
        early = await client.call_tool("disk__wipe", {"disk": "sda"})
        call = early.meta["mosaic/call"]
    async with hasty.client(token=await hasty.key("tools")) as other:
        stolen = await other.call_tool("calls__result", {"call": call})
    told = await hasty.ask("tasks/get", {"taskId": call}, token=await hasty.key("tools"), **TASKS)

    assert stolen.is_error
    assert stolen.meta["mosaic/error"] == "not_found"
    assert told["error"]["code"] == -32602


async def test_a_client_that_takes_tasks_gets_one_and_answers_what_it_asks(hasty: McpSite):
    created = (await hasty.ask("tools/call", CALL, **TASKS))["result"]
    task_id = created["taskId"]
    waiting = (await hasty.ask("tasks/get", {"taskId": task_id}, **FORMS))["result"]
    (approval_id,) = waiting["inputRequests"]
    answer = {"action": "accept", "content": {"decision": "approve"}}
    responses = {approval_id: answer, "apr_unknown": answer}
    acknowledged = await hasty.ask("tasks/update", {"taskId": task_id, "inputResponses": responses}, **FORMS)
    done = await settled(hasty, task_id, **FORMS)
    await hasty.ask("tasks/cancel", {"taskId": task_id}, **FORMS)
    after = (await hasty.ask("tasks/get", {"taskId": task_id}, **FORMS))["result"]

    assert created["resultType"] == "task"
    assert waiting["status"] == "input_required"
    assert waiting["inputRequests"][approval_id]["method"] == "elicitation/create"
    assert acknowledged["result"]["resultType"] == "complete"
    assert done["status"] == "completed"
    assert done["result"]["content"][0]["text"] == "sda is empty after 1"
    assert after == {**done, "_meta": after["_meta"]}


async def test_a_task_that_is_cancelled_asks_nobody_any_more_and_does_not_run(hasty: McpSite):
    created = (await hasty.ask("tools/call", CALL, **TASKS))["result"]
    approval = await asked(hasty)
    await hasty.ask("tasks/cancel", {"taskId": created["taskId"]}, **TASKS)
    ended = await settled(hasty, created["taskId"], **TASKS)
    now = await hasty.application.approvals.get(hasty.ctx, approval.id)

    assert ended["status"] == "cancelled"
    assert now.status.value == "expired"
    assert await hasty.application.journal.read(hasty.ctx, types=["tool.called"]) == []


async def test_tasks_are_for_clients_that_take_part_in_the_extension(hasty: McpSite):
    refused = await hasty.ask("tasks/get", {"taskId": "call_1"})
    unknown = await hasty.ask("tasks/get", {"taskId": "call_1"}, **TASKS)
    plain = await hasty.ask("tools/call", CALL)

    assert refused["error"]["code"] == -32021
    assert unknown["error"]["code"] == -32602
    assert plain["result"]["resultType"] == "complete"


async def test_a_client_that_cancels_its_request_takes_the_question_back(tmp_path: Path, database_url: str):
    @tool(risk="destructive", name="disk.wipe")
    async def wipe(disk: str) -> str:
        """Wipe a disk."""
        return f"{disk} is empty"

    async with open_mcp_site(tmp_path / "home" / ".mosaic", database_url) as site:
        site.offer(wipe)
        gone = asyncio.create_task(site.ask("tools/call", CALL))
        async with asyncio.timeout(WAIT_S):
            async for event in site.application.journal.tail(site.ctx):
                if event.type == "approval.requested":
                    gone.cancel()
                if event.type == "approval.expired":
                    break
        await asyncio.gather(gone, return_exceptions=True)

        assert await site.application.approvals.list(site.ctx, status="pending") == []


async def test_a_state_that_was_changed_or_belongs_to_another_is_refused(hasty: McpSite):
    forms = {"elicitation": {}}
    question = (await hasty.ask("tools/call", CALL, **forms))["result"]
    (approval_id,) = question["inputRequests"]
    answer = {approval_id: {"action": "accept", "content": {"decision": "approve"}}}
    state = question["requestState"]

    def again(sealed: str) -> JsonObject:
        return {**CALL, "inputResponses": answer, "requestState": sealed}

    changed = await hasty.ask("tools/call", again(state[:-4] + "AAAA"), **forms)
    stolen = await hasty.ask("tools/call", again(state), token=await hasty.key("tools"), **forms)
    before = await asked(hasty)
    own = await hasty.ask("tools/call", again(state), **forms)

    assert changed["error"]["code"] == stolen["error"]["code"] == -32602
    assert before.pending
    assert own["result"]["content"][0]["text"] == "sda is empty after 1"
