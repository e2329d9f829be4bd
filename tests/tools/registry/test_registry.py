"""Servers that a tenant registers: kept on both databases, without secrets, apart from other tenants."""

from dataclasses import replace
from typing import Any

import mcp.types as mcp_types
import pytest

from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.events import Bus
from mosaic.tools import NewServer, PinState, ToolRegistry
from tests.tools.conftest import Bench
from tests.tools.registry.conftest import SECRETS

pytestmark = pytest.mark.anyio

DOCS = NewServer(
    "docs",
    url="https://docs.example.com/mcp",
    headers={"Authorization": "Bearer env:DOCS_TOKEN", "X-Team": "core"},
    tools=("read_*",),
)


def tool(name: str, description: str = "Does it.") -> mcp_types.Tool:
    return mcp_types.Tool(name=name, description=description, input_schema={"type": "object"})


async def test_a_server_is_kept_with_the_names_of_its_secrets_only(
    bench: Bench, registry: ToolRegistry
) -> None:
    record = await registry.add(bench.ctx, DOCS)
    assert registry.server(bench.ctx, "docs") == record
    assert record.to_json()["headers"] == {"Authorization": "Bearer env:DOCS_TOKEN", "X-Team": "core"}
    assert registry.reach(record).headers == {
        "Authorization": f"Bearer {SECRETS['DOCS_TOKEN']}",
        "X-Team": "core",
    }
    (event,) = await bench.events("server.added")
    assert SECRETS["DOCS_TOKEN"] not in str(event.data)
    with pytest.raises(Conflict, match="docs already"):
        await registry.add(bench.ctx, DOCS)
    await registry.remove(bench.ctx, "docs")
    with pytest.raises(NotFound):
        registry.server(bench.ctx, "docs")
    with pytest.raises(NotFound):
        await registry.remove(bench.ctx, "docs")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": "Docs Server"}, "name"),
        ({"name": "files"}, "name"),
        ({"url": None}, "command"),
        ({"command": ("x",)}, "command"),
        ({"url": "ftp://docs.example.com"}, "url"),
        ({"url": "https://user:pass@docs.example.com"}, "url"),
        ({"url": "https://[docs"}, "url"),
        ({"headers": {"Authorization": "Bearer abc"}}, "headers.Authorization"),
        ({"headers": {"X-Note": "sk-ant-" + "a" * 20}}, "headers.X-Note"),
        ({"headers": {"X-A": "env:MOSAIC_OWNER_TOKEN"}}, "headers.X-A"),
        ({"headers": {"X A": "b"}}, "headers.X A"),
        ({"headers": {"X-A": "b\r\nX-B: c"}}, "headers.X-A"),
        ({"start_timeout_s": 0}, "start_timeout_s"),
        ({"url": None, "command": ("x", "--key", "ghp_" + "a" * 30)}, "command[2]"),
    ],
)
async def test_what_is_wrong_with_a_server_is_said_and_no_secret_is_shown(
    bench: Bench, registry: ToolRegistry, changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await registry.add(bench.ctx, replace(DOCS, **changes))
    assert place in [problem.path for problem in caught.value.problems]
    shown = f"{caught.value.message} {caught.value.problems} {caught.value.hint}"
    assert not any(secret in shown for secret in ("sk-ant", "abc", "user:pass", "ghp_"))


async def test_a_name_of_the_settings_cannot_be_registered(bench: Bench, registry: ToolRegistry) -> None:
    with pytest.raises(Conflict, match="ops already"):
        await registry.add(bench.ctx, replace(DOCS, name="ops"))


async def test_a_secret_that_is_not_set_is_named(bench: Bench, registry: ToolRegistry) -> None:
    record = await registry.add(bench.ctx, replace(DOCS, headers={"Authorization": "env:OTHER"}))
    with pytest.raises(NotFound, match="OTHER is not set"):
        registry.reach(record)


async def test_tenants_do_not_see_each_others_servers_and_tools(bench: Bench, registry: ToolRegistry) -> None:
    other = replace(bench.ctx, tenant="t2")
    await registry.add(bench.ctx, DOCS)
    await registry.screen(bench.ctx, "docs", [tool("read_a")], first=True)
    assert registry.servers(other) == {}
    assert await registry.pins(other) == []
    with pytest.raises(NotFound):
        await registry.approve(other, "docs.read_a")
    with pytest.raises(NotFound):
        await registry.remove(other, "docs")
    await registry.add(other, DOCS)
    await registry.quarantine(bench.ctx, "docs.read_a")
    assert registry.blocked("t1", "docs", "read_a") is not None
    assert registry.blocked("t2", "docs", "read_a") is None


async def test_another_process_hears_of_a_decision(bench: Bench, registry: ToolRegistry, bus: Bus) -> None:
    beside = ToolRegistry(bench.database, bench.journal, bus, secret=lambda name: SECRETS[name])
    await beside.start()
    try:
        await registry.add(bench.ctx, DOCS)
        await registry.screen(bench.ctx, "docs", [tool("read_a")], first=True)
        await registry.quarantine(bench.ctx, "docs.read_a", reason="no")
        await beside.refresh()
        assert beside.blocked("t1", "docs", "read_a") == "no"
        await beside.approve(bench.ctx, "docs.read_a")
        await registry.refresh()
        assert registry.blocked("t1", "docs", "read_a") is None
    finally:
        await beside.close()


async def test_a_server_of_the_settings_is_approved_at_the_first_look_and_watched_then(
    bench: Bench, registry: ToolRegistry
) -> None:
    await registry.screen(bench.ctx, "ops", [tool("a")])
    await registry.screen(bench.ctx, "ops", [tool("a", "Other."), tool("b")])
    states = {pin.tool: pin.state for pin in await registry.pins(bench.ctx)}
    assert states == {"a": PinState.QUARANTINED, "b": PinState.NEW}


async def test_names_that_cannot_be_tools_are_passed_over_and_hostile_texts_can_be_kept(
    bench: Bench, registry: ToolRegistry
) -> None:
    hostile = "nul \0 half \ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    await registry.screen(bench.ctx, "ops", [tool("a", hostile), tool("b\0c"), tool("x" * 5_000)])
    (pin,) = await registry.pins(bench.ctx)
    assert "\\u{0}" in pin.definition["description"]


async def test_looking_again_at_what_has_not_changed_writes_nothing(
    bench: Bench, registry: ToolRegistry
) -> None:
    await registry.screen(bench.ctx, "ops", [tool("a")])
    head = await bench.journal.head(bench.ctx)
    revision = registry._revision
    for _ in range(3):
        await registry.screen(bench.ctx, "ops", [tool("a")])
    assert await bench.journal.head(bench.ctx) == head
    assert registry._revision == revision
