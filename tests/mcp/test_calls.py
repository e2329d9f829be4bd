"""Calls that ask, wait, repeat or fail, by real clients over HTTP on both wires and both databases."""

import asyncio
from collections.abc import Callable
from typing import Any

import mcp.types as mcp_types
import pytest
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError

from mosaic.tools import Approval, Invocation, tool
from tests.app.site import WAIT_S
from tests.mcp.conftest import McpSite

pytestmark = pytest.mark.anyio

ASKED = "mosaic/call"


class Wiped:
    """What a destructive tool has done."""

    def __init__(self, site: McpSite) -> None:
        self.disks: list[str] = []
        self._site = site

        @tool(risk="destructive", name="disk.wipe")
        async def wipe(disk: str, invocation: Invocation) -> str:
            """Wipe a disk."""
            invocation.progress(f"wiping {disk}")
            self.disks.append(disk)
            return f"{disk} is empty"

        @tool(risk="read_only", name="disk.size")
        async def size(disk: str) -> int:
            """Say how large a disk is."""
            self.disks.append(disk)
            return 42

        site.offer(wipe, size)

    async def pending(self) -> Approval:
        """Wait until a call asks; return what."""
        async with asyncio.timeout(WAIT_S):
            async for event in self._site.application.journal.tail(self._site.ctx):
                if event.type == "approval.requested":
                    return await self._site.application.approvals.get(self._site.ctx, event.data["approval"])
        raise AssertionError("unreachable")

    async def decide(self, *, approve: bool) -> None:
        approval = await self.pending()
        await self._site.application.approvals.decide(self._site.ctx, approval.id, approve=approve)


@pytest.fixture
def wiped(mcp_site: McpSite) -> Wiped:
    return Wiped(mcp_site)


def person(action: str, asked: list[str], **content: str) -> Callable[..., Any]:
    """A client's user, who answers every form the same way."""

    async def answer(
        _: ClientRequestContext, params: mcp_types.ElicitRequestParams
    ) -> mcp_types.ElicitResult:
        asked.append(params.message)
        return mcp_types.ElicitResult(action=action, content=content or None)

    return answer


async def wipe(client: Client, disk: str = "sda", **more: Any) -> mcp_types.CallToolResult:
    async with asyncio.timeout(WAIT_S):
        return await client.call_tool("disk__wipe", {"disk": disk}, **more)


async def test_a_call_that_asks_runs_once_the_clients_own_user_approves(
    mcp_site: McpSite, wiped: Wiped, mode: str
):
    asked: list[str] = []
    callback = person("accept", asked, decision="approve", note="go ahead")
    async with mcp_site.client(mode=mode, elicitation_callback=callback) as client:
        result = await wipe(client)

    assert not result.is_error
    assert result.content[0].text == "sda is empty"
    assert wiped.disks == ["sda"]
    (form,) = asked
    assert "disk.wipe" in form
    assert '"disk": "sda"' in form
    (approval,) = await mcp_site.application.approvals.list(mcp_site.ctx)
    assert approval.status.value == "approved"
    assert approval.decided_by == "user:owner"
    assert approval.note == "go ahead"


async def test_a_call_that_the_clients_user_declines_does_not_run(mcp_site: McpSite, wiped: Wiped, mode: str):
    async with mcp_site.client(mode=mode, elicitation_callback=person("decline", [])) as client:
        result = await wipe(client)

    assert result.is_error
    assert "not approved" in result.content[0].text
    assert wiped.disks == []


async def test_an_approval_that_a_client_leaves_open_is_answered_elsewhere(
    mcp_site: McpSite, wiped: Wiped, mode: str
):
    async with mcp_site.client(mode=mode, elicitation_callback=person("cancel", [])) as client:
        elsewhere = asyncio.create_task(wiped.decide(approve=True))
        result = await wipe(client)
        await elsewhere

    assert result.content[0].text == "sda is empty"
    assert wiped.disks == ["sda"]


async def test_a_client_that_shows_no_forms_waits_for_an_answer_from_elsewhere(
    mcp_site: McpSite, wiped: Wiped, mode: str
):
    async with mcp_site.client(mode=mode) as client:
        elsewhere = asyncio.create_task(wiped.decide(approve=True))
        result = await wipe(client)
        await elsewhere

    assert result.content[0].text == "sda is empty"


async def test_nobody_behind_a_key_is_asked(mcp_site: McpSite, wiped: Wiped, mode: str):
    asked: list[str] = []
    callback = person("accept", asked, decision="approve")
    key = await mcp_site.key("tools")
    async with mcp_site.client(mode=mode, token=key, elicitation_callback=callback) as client:
        elsewhere = asyncio.create_task(wiped.decide(approve=False))
        result = await wipe(client)
        await elsewhere

    assert asked == []
    assert result.is_error
    assert wiped.disks == []


async def test_a_repeated_idempotency_key_returns_the_first_result_and_runs_nothing(
    mcp_site: McpSite, wiped: Wiped, mode: str
):
    meta: Any = {"mosaic/idempotency-key": "k1"}
    async with mcp_site.client(mode=mode) as client:

        async def ask() -> str:
            result = await client.call_tool("disk__size", {"disk": "sda"}, meta=meta)
            return result.content[0].text

        answers = await asyncio.gather(*(ask() for _ in range(4)))
        answers.append(await ask())
        other = await client.call_tool("disk__size", {"disk": "sdb"}, meta=meta)

    assert answers == ["42"] * 5
    assert wiped.disks == ["sda"]
    assert other.is_error
    assert other.meta["mosaic/error"] == "conflict"


async def test_a_key_of_one_caller_says_nothing_to_another(mcp_site: McpSite, wiped: Wiped):
    meta: Any = {"mosaic/idempotency-key": "k1"}
    for token in (None, await mcp_site.key("tools")):
        async with mcp_site.client(token=token) as client:
            await client.call_tool("disk__size", {"disk": "sda"}, meta=meta)

    assert wiped.disks == ["sda", "sda"]


async def test_what_is_wrong_with_a_call_is_told_in_words_a_model_can_act_on(
    mcp_site: McpSite, wiped: Wiped, mode: str
):
    async with mcp_site.client(mode=mode) as client:
        wrong = await client.call_tool("disk__size", {"disc": "sda"})
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("disk__sizes", {"disk": "sda"})

    assert wrong.is_error
    assert "did you mean disk?" in wrong.content[0].text
    assert unknown.value.code == mcp_types.INVALID_PARAMS
    assert "disk.size" in str(unknown.value.data)
    assert wiped.disks == []


async def test_the_journal_says_who_called_by_which_client(mcp_site: McpSite, wiped: Wiped, mode: str):
    lines: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        lines.append(message or "")

    callback = person("accept", [], decision="approve")
    info = mcp_types.Implementation(name="editor", version="7")
    async with mcp_site.client(mode=mode, client_info=info, elicitation_callback=callback) as client:
        assert client.session.protocol_version == {"legacy": "2025-11-25", "auto": "2026-07-28"}[mode]
        await wipe(client, progress_callback=progress)

    (event,) = await mcp_site.application.journal.read(mcp_site.ctx, types=["tool.called"])
    assert event.data["agent"] == "mcp:editor 7"
    assert event.data["approved_by"] == "user:owner"
    assert event.actor == "user:owner"
    assert "wiping sda" in lines
