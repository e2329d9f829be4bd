"""What goes on between agents over MCP: who there is, their life from start to end, messages, one asking another."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp.types as mcp_types
import pytest

from mosaic.core.values import JsonObject
from tests.acceptance.installation import of, offered
from tests.agents.script import ScriptedModel, call, says
from tests.app.site import WAIT_S
from tests.mcp.conftest import McpSite, open_mcp_site

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

WORKER = """
mosaic: v1
kind: Workflow
metadata: {name: worker}
inputs: {type: object, properties: {task: {type: string}}}
agents: {helper: {model: "openai:test-model", instructions: You help., tools: [hold], capabilities: [code.write]}}
tools: {hold: {python: "acceptance:hold"}}
do: [{work: {agent: helper, with: "${inputs.task}"}}]
outputs: {said: "${work}"}
"""
LISTENER = """
mosaic: v1
kind: Workflow
metadata: {name: listener}
do: [{heard: {listen: news}}]
outputs: {news: "${heard}"}
"""
ASKER = """
mosaic: v1
kind: Workflow
metadata: {name: asker}
tools:
  ours: {mcp: {url: URL, headers: {Authorization: {secret: KEY_OF_THE_LEAD, prefix: "Bearer "}}}, tool: "*"}
policies: {destructive: allow}
agents: {lead: {model: "openai:test-model", instructions: You lead., tools: ["ours.*"]}}
do: [{ask: {agent: lead, with: "Have it done."}}]
outputs: {said: "${ask}"}
"""


@pytest.fixture
async def site(tmp_path: Path, database_url: str, model: ScriptedModel) -> AsyncIterator[McpSite]:
    """An installation whose agents may use MCP servers of this machine: its own, for one."""
    home = tmp_path / "home" / ".mosaic"
    settings: dict[str, Any] = {
        "providers": {"openai": {"base_url": f"{model.endpoint.url}/v1"}},
        "limits": {"usd": None},
        "tools": {"allow_private_hosts": ["127.0.0.1"]},
    }
    async with open_mcp_site(home, database_url, **settings) as site:
        yield site


async def ended(site: McpSite, name: str, text: str, /, **inputs: str) -> JsonObject:
    """Run a workflow to its end."""
    run = await site.site.finish((await site.site.start(name, text, inputs=dict(inputs)))["id"])
    assert run["status"] == "succeeded", run["error"]
    return run


async def say_yes(_: object, __: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:
    return mcp_types.ElicitResult(action="accept", content={"decision": "approve"})


@pytest.mark.requirement("STK-22", "STK-19", "STK-01", "MAOS-07")
async def test_an_agents_life_is_seen_and_ended_and_messages_are_routed_over_mcp(
    site: McpSite, model: ScriptedModel
):
    held = asyncio.Event()

    @offered("hold")
    async def hold() -> str:
        """Work for long."""
        held.set()
        await asyncio.Event().wait()
        return "never"

    site.offer(hold)
    model.will(says("Done."))
    await ended(site, "worker", WORKER, task="nothing")
    listening = await site.site.start("listener", LISTENER)
    model.will(says(None, call("hold")), says("Done."))

    async with site.client(elicitation_callback=say_yes) as client, asyncio.timeout(WAIT_S):

        async def asked(name: str, /, **arguments: Any) -> Any:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result
            return json.loads(result.content[0].text)

        async def turns(run_id: str) -> list[str]:
            page = await asked("runs__events", run=run_id, limit=100)
            return [data["to"] for data in of(page["items"], "agent.turn")]

        # Spawned by a client: starting a run is a call of a tool, and the call waits for what comes of it.
        working = asyncio.create_task(client.call_tool("workflow__worker", {"task": "something"}))
        await held.wait()
        shown = await asked("agents__list")
        (run,) = (await asked("runs__list", workflow="worker", status="running"))["items"]
        at_work = await turns(run["id"])
        able = await asked("agents__list", capabilities=["code.write"], task="Write it.")
        unable = await asked("agents__list", capabilities=["code.write", "fly"])
        # Ended by a client, after the person at its side said yes.
        await asked("runs__cancel", run=run["id"])
        await working
        free = await asked("agents__list")
        moves = await turns(run["id"])
        await asked("runs__signal", run=listening["id"], name="news", data={"from": "another agent"})
        forged = await client.call_tool("runs__signal", {"run": listening["id"], "name": "apr_1"})
    heard = await site.site.finish(listening["id"])

    (agent,) = shown["items"]
    assert (agent["name"], agent["active"], agent["capabilities"]) == ("helper", 1, ["code.write"])
    assert [one["name"] for one in able["items"]] == ["helper"]
    assert unable["items"] == []
    assert at_work == ["ready", "running", "awaiting_tool"]
    assert moves[-1] == "cancelled"
    assert free["items"][0]["active"] == 0
    assert heard["outputs"] == {"news": {"from": "another agent"}}
    assert forged.is_error


@pytest.mark.requirement("STK-34", "STK-01", "STK-02")
async def test_an_agent_asks_another_through_an_mcp_server_and_the_journal_holds_both(
    site: McpSite, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch
):
    model.will(says("I helped."))
    await ended(
        site,
        "worker",
        WORKER.replace("tools: [hold], ", "").replace('tools: {hold: {python: "acceptance:hold"}}\n', ""),
        task="nothing",
    )
    monkeypatch.setenv("KEY_OF_THE_LEAD", await site.key("tools"))

    def lead(body: Any) -> JsonObject:
        if "You lead." not in json.dumps(body["messages"]):
            return says("I helped.")
        if any(message["role"] == "tool" for message in body["messages"]):
            return says("It is done.")
        (name,) = [
            one["function"]["name"]
            for one in body["tools"]
            if one["function"]["name"].endswith("workflow__worker")
        ]
        return says(
            None,
            {"id": None, "type": "function", "function": {"name": name, "arguments": '{"task": "Help."}'}},
        )

    model.will(lead)
    run = await ended(site, "asker", ASKER.replace("URL", site.url))
    assert run["outputs"] == {"said": "It is done."}
    (called,) = of(await site.site.events(run["id"]), "tool.called")
    helped = json.loads(called["result"]) if isinstance(called["result"], str) else called["result"]
    other = await site.site.client.run(helped["run"])
    assert (other["workflow"], other["outputs"]) == ("worker", {"said": "I helped."})
    turns = of(await site.site.events(other["id"]), "agent.turn")
    assert [(turn["agent"], turn["to"]) for turn in turns][-1] == ("helper", "complete")
