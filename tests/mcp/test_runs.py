"""Runs through `/mcp`: started as tools, followed, read as resources, taken into prompts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import mcp.types as mcp_types
import pytest
from mcp.shared.exceptions import MCPError

from mosaic.core.values import JsonObject
from tests.app.site import WAIT_S
from tests.mcp.conftest import McpSite, open_mcp_site

pytestmark = pytest.mark.anyio

TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
GREET = """
mosaic: v1
kind: Workflow
metadata: {name: greet, description: Greets somebody.}
inputs:
  type: object
  required: [name]
  properties: {name: {type: string}}
do:
  - hello:
      set: {text: "Hello ${inputs.name}"}
outputs: {greeting: "${hello.text}"}
"""
ASKS = """
mosaic: v1
kind: Workflow
metadata: {name: asks}
do:
  - sure:
      ask: {question: "Go on?"}
outputs: {answer: "${sure.approved}"}
"""


async def first_run(site: McpSite, name: str, text: str, /, **inputs: str) -> JsonObject:
    """Run a workflow once, so that it is known."""
    run = await site.site.start(name, text, inputs=dict(inputs))
    return await site.site.finish(run["id"]) if name == "greet" else run


async def test_a_workflow_is_a_tool_that_returns_what_came_of_its_run(mcp_site: McpSite, mode: str):
    await first_run(mcp_site, "greet", GREET, name="you")
    told: list[str] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async with mcp_site.client(mode=mode) as client:
        listed = {entry.name: entry for entry in (await client.list_tools()).tools}
        result = await client.call_tool("workflow__greet", {"name": "world"}, progress_callback=progress)
        wrong = await client.call_tool("workflow__greet", {"nam": "world"})

    assert listed["workflow__greet"].description.startswith("Greets somebody.")
    assert listed["workflow__greet"].input_schema["required"] == ["name"]
    assert result.structured_content["outputs"] == {"greeting": "Hello world"}
    assert result.structured_content["status"] == "succeeded"
    assert "hello is done." in told
    assert wrong.is_error


async def test_a_run_is_a_task_for_a_client_that_takes_tasks(mcp_site: McpSite):
    await first_run(mcp_site, "greet", GREET, name="you")
    await first_run(mcp_site, "asks", ASKS)
    call = {"name": "workflow__asks", "arguments": {}}
    capabilities = {**TASKS, "elicitation": {}}
    created = (await mcp_site.ask("tools/call", call, **capabilities))["result"]
    task_id = created["taskId"]
    run_id = task_id.rpartition("-")[0]
    await mcp_site.site.asked(run_id)
    waiting = (await mcp_site.ask("tasks/get", {"taskId": task_id}, **capabilities))["result"]
    (approval_id,) = waiting["inputRequests"]
    answer = {approval_id: {"action": "accept", "content": {"decision": "approve"}}}
    stranger = await mcp_site.key("tools")
    stolen = [
        await mcp_site.ask("tasks/cancel", {"taskId": name}, token=stranger, **capabilities)
        for name in (task_id, run_id)
    ]
    await mcp_site.ask("tasks/update", {"taskId": task_id, "inputResponses": answer}, **capabilities)
    await mcp_site.site.finish(run_id)
    done = (await mcp_site.ask("tasks/get", {"taskId": task_id}, **capabilities))["result"]

    assert created["resultType"] == "task"
    assert waiting["status"] == "input_required"
    assert [told["error"]["code"] for told in stolen] == [-32602, -32602]
    assert done["status"] == "completed"
    assert done["result"]["structuredContent"]["outputs"] == {"answer": True}


async def test_an_open_approval_is_answered_by_the_person_at_the_client_never_by_its_model(
    mcp_site: McpSite, mode: str
):
    run = await first_run(mcp_site, "asks", ASKS)
    approval = await mcp_site.site.asked(run["id"])

    async def say_yes(_: object, params: mcp_types.ElicitRequestParams) -> mcp_types.ElicitResult:
        return mcp_types.ElicitResult(action="accept", content={"decision": "approve"})

    async with mcp_site.client(mode=mode) as client:
        without = {entry.name for entry in (await client.list_tools()).tools}
        refused = await client.call_tool("approvals__answer", {"approval": approval["id"]})
    async with mcp_site.client(mode=mode, elicitation_callback=say_yes) as client:
        listed = {entry.name for entry in (await client.list_tools()).tools}
        answered = await client.call_tool("approvals__answer", {"approval": approval["id"]})
    ended = await mcp_site.site.finish(run["id"])

    assert "approvals__answer" not in without
    assert refused.is_error
    assert "approvals__answer" in listed
    assert answered.content[0].text == f"{approval['id']} is approved."
    assert ended["outputs"] == {"answer": True}


async def test_runs_their_plans_reports_and_events_can_be_read(mcp_site: McpSite, mode: str):
    run = await first_run(mcp_site, "greet", GREET, name="you")
    uri = f"mosaic://runs/{run['id']}"
    async with mcp_site.client(mode=mode) as client:
        listed = [str(entry.uri) for entry in (await client.list_resources()).resources]
        patterns = {entry.name for entry in (await client.list_resource_templates()).resource_templates}
        texts = {
            part: (await client.read_resource(f"{uri}{part}")).contents[0].text
            for part in ("", "/plan", "/report", "/events", "/artifacts/report.md")
        }
        with pytest.raises(MCPError) as nothing:
            await client.read_resource("mosaic://runs/run_other")

    assert listed == [uri, f"{uri}/report"]
    assert patterns == {"run", "plan", "report", "events", "artifact", "approval"}
    assert json.loads(texts[""])["outputs"] == {"greeting": "Hello you"}
    assert "name: greet" in texts["/plan"]
    assert texts["/report"] == texts["/artifacts/report.md"] != ""
    assert "run.succeeded" in texts["/events"]
    assert nothing.value.code == mcp_types.INVALID_PARAMS


async def test_who_may_not_see_runs_as_tools_cannot_read_them_either(tmp_path: Path, database_url: str):
    denied: Any = {"runs.show": "deny", "runs.list": "deny"}
    async with open_mcp_site(tmp_path / "home" / ".mosaic", database_url, policies=denied) as site:
        run = await first_run(site, "greet", GREET, name="you")
        uri = f"mosaic://runs/{run['id']}"
        listed = await site.ask("resources/list", {})
        shown = await site.ask("resources/read", {"uri": uri})
        events = await site.ask("resources/read", {"uri": f"{uri}/events"})
        prompt = await site.ask("prompts/get", {"name": "review_run", "arguments": {"run": run["id"]}})

    assert listed["result"]["resources"] == []
    assert shown["error"]["code"] == prompt["error"]["code"] == -32602
    assert "run.succeeded" in events["result"]["contents"][0]["text"]


async def test_prompts_bring_a_run_along_and_names_are_completed(mcp_site: McpSite, mode: str):
    run = await first_run(mcp_site, "greet", GREET, name="you")
    ref = mcp_types.PromptReference(name="explain_failure")
    async with mcp_site.client(mode=mode) as client:
        prompts = {entry.name for entry in (await client.list_prompts()).prompts}
        filled = await client.get_prompt("review_run", {"run": run["id"]})
        start = await client.get_prompt("start_workflow", {"workflow": "greet", "goal": "Be nice."})
        runs = await client.complete(ref, {"name": "run", "value": "run_"})
        workflows = await client.complete(
            mcp_types.PromptReference(name="start_workflow"), {"name": "workflow", "value": "gr"}
        )
        with pytest.raises(MCPError) as missing:
            await client.get_prompt("review_run", {})

    assert prompts == {"review_run", "explain_failure", "start_workflow"}
    assert filled.messages[1].content.resource.uri == f"mosaic://runs/{run['id']}"
    assert "workflow__greet" in start.messages[0].content.text
    assert runs.completion.values == [run["id"]]
    assert workflows.completion.values == ["greet"]
    assert missing.value.code == mcp_types.INVALID_PARAMS


@pytest.mark.filterwarnings(
    "ignore::mcp.shared.exceptions.MCPDeprecationWarning"
)  # the older wire, on purpose
async def test_a_client_is_told_when_a_run_it_watches_moves_on(mcp_site: McpSite, mode: str):
    run = await first_run(mcp_site, "asks", ASKS)
    approval = await mcp_site.site.asked(run["id"])
    uri = f"mosaic://runs/{run['id']}"
    changed = asyncio.Event()

    async def heard(message: object) -> None:
        if isinstance(message, mcp_types.ResourceUpdatedNotification) and message.params.uri == uri:
            changed.set()

    async def go_on() -> None:
        await mcp_site.application.approvals.decide(mcp_site.ctx, approval["id"], approve=True)

    async with asyncio.timeout(WAIT_S), mcp_site.client(mode=mode, message_handler=heard) as client:
        if mode == "legacy":
            with pytest.raises(MCPError):
                await client.subscribe_resource("mosaic://runs/run_other")
            await client.subscribe_resource(uri)
            await go_on()
            await changed.wait()
        else:
            async with client.listen(resource_subscriptions=[uri]) as events:
                await go_on()
                async for event in events:
                    assert event.uri == uri
                    break
