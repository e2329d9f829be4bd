"""What the settings say reaches the rooms: prices, default models, MCP servers, policies, approvals."""

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from mosaic.core.errors import InvalidInput
from tests.agents.script import ScriptedModel, says
from tests.app.site import Site, database, open_site, settings_of
from tests.providers.endpoint import running_endpoint

pytestmark = pytest.mark.anyio

TALK = "agents:\n  one: {}\ndo:\n  - talk: {agent: one, with: hello}\noutputs: {said: '${talk}'}\n"
SERVER = """
import os
from mcp.server import MCPServer

server = MCPServer("ops")


@server.tool()
def look() -> str:
    "Say what this server was given."
    return os.environ.get("OPS_TOKEN", "nothing") + " in " + os.path.basename(os.getcwd())


server.run()
"""


class Open(Protocol):
    def __call__(self, **sections: Any) -> AbstractAsyncContextManager[Site]: ...


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Open an installation with these sections of its settings."""
    with database(request, "sqlite", tmp_path) as url:
        yield lambda **sections: open_site(settings_of(tmp_path / "home", url, **sections), tmp_path)  # type: ignore[misc]


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedModel]:
    """A server that speaks OpenAI's protocol; each answer uses 100 tokens in and 10 out."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OLLAMA_HOST", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "test-key-of-no-value")
    async with running_endpoint() as endpoint:
        model = ScriptedModel(endpoint)
        model.will(says("hello yourself"))
        yield model


def on(model: ScriptedModel, **more: Any) -> dict[str, Any]:
    return {
        "providers": {"openai": {"base_url": model.endpoint.url}, "ollama": {"enabled": False}},
        "inference": {"defaults": ["openai:test-model"]},
        **more,
    }


async def test_a_price_of_ones_own_is_charged(opened: Open, model: ScriptedModel) -> None:
    prices = {"openai:test-*": {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 2000}}
    async with opened(**on(model, cost={"prices": prices})) as site:
        done = await site.finish((await site.start("priced", TALK))["id"])
    assert done["status"] == "succeeded", done["error"]
    assert done["outputs"] == {"said": "hello yourself"}
    assert done["cost"]["usd"] == pytest.approx(0.12)
    assert model.asked[0]["model"] == "test-model"


@pytest.mark.parametrize("unpriced", ["refuse", "allow"])
async def test_a_model_without_a_known_price_is_refused_or_allowed(
    opened: Open, model: ScriptedModel, unpriced: str
) -> None:
    async with opened(**on(model, cost={"unpriced": unpriced})) as site:
        done = await site.finish((await site.start("unpriced", TALK))["id"])
    if unpriced == "allow":
        assert (done["status"], done["cost"]["unpriced_calls"]) == ("succeeded", 1)
    else:
        assert done["error"]["data"]["reason"]["code"] == "budget_exceeded"
        assert not model.asked


async def test_a_server_of_the_settings_gets_its_secret_and_the_runs_folder(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    monkeypatch.setenv("OPS_SECRET", "value-of-the-secret")
    server = {
        "command": [sys.executable, str(script)],
        "env": {"OPS_TOKEN": {"secret": "OPS_SECRET", "prefix": "x-"}},
    }
    text = (
        "policies: {exec: allow}\ntools:\n  ops: {mcp: ops, tool: '*', risk: read_only}\n"
        "do:\n  - here: {run: pwd}\n  - look: {tool: ops.look}\noutputs: {seen: '${look}'}\n"
    )
    async with opened(tools={"mcp_servers": {"ops": server}}) as site:
        done = await site.finish((await site.start("served", text))["id"])
        assert done["status"] == "succeeded", done["error"]
        shown = str(done["outputs"]) + str(await site.events(done["id"]))
    assert "value-of-the-secret" not in shown
    assert f"[redacted] in {done['id']}" in shown


async def test_a_server_that_the_settings_do_not_know_fails_the_run_and_says_so(opened: Open) -> None:
    text = "tools:\n  ops: {mcp: opps, tool: look}\ndo:\n  - look: {tool: ops}\n"
    known = {"command": ["true"]}
    async with opened(tools={"mcp_servers": {"ops": known}}) as site:
        done = await site.finish((await site.start("unserved", text))["id"])
    assert done["status"] == "failed"
    assert "ops" in str(done["error"])


async def test_a_secret_that_is_not_set_fails_the_run_and_names_the_variable(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPS_SECRET", raising=False)
    server = {"command": ["true"], "env": {"OPS_TOKEN": {"secret": "OPS_SECRET"}}}
    text = "tools:\n  ops: {mcp: ops, tool: look}\ndo:\n  - look: {tool: ops}\n"
    async with opened(tools={"mcp_servers": {"ops": server}}) as site:
        done = await site.finish((await site.start("unset", text))["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "not_found")
    assert "OPS_SECRET" in done["error"]["hint"]


async def test_what_the_installation_denies_no_workflow_allows(opened: Open) -> None:
    text = "policies: {exec: allow}\ndo:\n  - act: {run: 'true'}\n"
    async with opened(policies={"exec": "deny"}) as site:
        done = await site.finish((await site.start("denied", text))["id"])
    assert done["error"]["data"]["reason"]["code"] == "policy_denied"


async def test_silence_decides_as_the_settings_say(opened: Open) -> None:
    text = "policies: {exec: ask}\ndo:\n  - act: {run: 'true'}\n"
    async with opened(approvals={"timeout_s": 0.2, "on_timeout": "approve", "roles": "owner"}) as site:
        run = await site.start("silent", text)
        done = await site.finish(run["id"])
        assert done["status"] == "succeeded", done["error"]
        approval = (await site.client.approvals(status=None, run_id=run["id"]))["items"][0]
    assert (approval["decided_by"], approval["roles"]) == ("system:timeout", ["owner"])


async def test_a_policy_that_is_none_is_refused_when_the_installation_opens(opened: Open) -> None:
    with pytest.raises(InvalidInput, match="policies"):
        async with opened(policies={"exce": "deny"}):
            pass
