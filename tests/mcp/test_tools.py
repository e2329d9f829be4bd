"""Tools through `/mcp`, called by the SDK's own client over real HTTP."""

import pytest

from mosaic.tools import tool
from tests.mcp.conftest import McpSite

pytestmark = pytest.mark.anyio


@tool(risk="read_only")
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.requirement("STK-18")
async def test_a_client_lists_and_calls_a_tool(mcp_site: McpSite, mode: str):
    mcp_site.offer(add)
    async with mcp_site.client(mode=mode) as client:
        listed = {entry.name: entry for entry in (await client.list_tools()).tools}
        result = await client.call_tool("add", {"a": 2, "b": 3})

    assert listed["add"].description == "Add two numbers."
    assert listed["add"].annotations.read_only_hint
    assert "runs__list" in listed
    assert not result.is_error
    assert result.content[0].text == "5"
