"""Both clients, one suite: servers and tools are answered alike in this process and over HTTP, as the contract says."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.api import tool_schemas as documents
from mosaic.core.errors import Cancelled, Conflict, InvalidInput, NotFound, PolicyDenied, ToolFailed
from mosaic.core.values import JsonObject
from tests.app.site import Site, database, open_site, settings_of
from tests.tools.registry.conftest import SERVER, offered

pytestmark = pytest.mark.anyio

VIEWS = {"views": {"reading": {"tools": ["*.read"]}, "elsewhere": {"tools": ["*"], "projects": ["other"]}}}


@pytest.fixture(scope="module", params=["local-sqlite", "http-sqlite"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One installation for all tests here."""
    door, kind = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, kind, folder) as url:
        settings = settings_of(folder / "home", url, tools=VIEWS)
        async with open_site(settings, folder, http=door == "http") as site:
            yield site


def server(tmp_path: Path, name: str, **more: object) -> JsonObject:
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps([offered("read", "Reads a page of the manual."), offered("write")]))
    return {"name": name, "command": [sys.executable, str(SERVER), str(file)], **more}


async def test_a_server_is_added_listed_pinned_and_removed(site: Site, tmp_path: Path) -> None:
    wanted = server(tmp_path, "docs")
    added = await site.client.add_server(wanted)
    documents.ServerAdded.model_validate(added)
    assert {tool["name"]: (tool["risk"], tool["state"]) for tool in added["tools"]} == {
        "docs.read": ("destructive", "pinned"),
        "docs.write": ("destructive", "pinned"),
    }
    with pytest.raises(Conflict):
        await site.client.add_server(wanted)
    page = await site.client.servers()
    documents.ServerPage.model_validate(page)
    assert page["items"][0]["states"] == {"pinned": 2, "new": 0, "quarantined": 0}
    listed = await site.client.tools(search="page manual")
    documents.ToolPage.model_validate(listed)
    assert [tool["name"] for tool in listed["items"]] == ["docs.read"]
    shown = await site.client.tool("docs.read")
    documents.ToolDocument.model_validate(shown)
    assert shown["input_schema"] == {"type": "object"}
    stopped = await site.client.quarantine_tool("docs.read", reason="later")
    documents.PinDocument.model_validate(stopped)
    assert (await site.client.tool("docs.read"))["reason"] == "later"
    with pytest.raises(PolicyDenied, match="quarantine"):
        await site.client.call_tool("docs.read", {})
    assert [tool["state"] for tool in (await site.client.pin_server("docs"))["items"]] == ["pinned", "pinned"]
    assert (await site.client.approve_tool("docs.read"))["state"] == "pinned"
    await site.client.remove_server("docs")
    with pytest.raises(NotFound):
        await site.client.tool("docs.read")


async def test_what_cannot_be_reached_or_is_wrong_is_not_registered(site: Site) -> None:
    with pytest.raises(InvalidInput):
        await site.client.add_server({"name": "files", "command": ["x"]})
    with pytest.raises(ToolFailed, match="Cannot start no-such-server"):
        await site.client.add_server({"name": "none", "command": ["no-such-server"]})
    assert (await site.client.servers())["items"] == []


async def test_a_call_runs_or_waits_for_a_person_as_the_policy_says(site: Site, tmp_path: Path) -> None:
    await site.client.add_server(server(tmp_path, "wiki"))
    waiting = await site.client.call_tool("wiki.write", {"x": 1}, why="to test")
    documents.ToolCalled.model_validate(waiting)
    assert waiting["status"] == "waiting"
    state = await site.client.tool_call(waiting["call_id"])
    documents.ToolCallDocument.model_validate(state)
    assert (state["state"], state["approval"]) == ("asking", waiting["approval"])
    asked = await site.client.approval(waiting["approval"])
    assert (asked["detail"]["tool"], asked["detail"]["why"]) == ("wiki.write", "to test")
    await site.client.decide(waiting["approval"], {"approve": True, "arguments": {"x": 2}})
    result = await site.application.outside.calls.wait(site.ctx, waiting["call_id"], timeout_s=60)
    assert result.content == '{"x": 2}'
    assert (await site.client.tool_call(waiting["call_id"]))["state"] == "completed"
    refused = await site.client.call_tool("wiki.write", {})
    await site.client.cancel_tool_call(refused["call_id"])
    with pytest.raises(Cancelled):
        await site.application.outside.calls.wait(site.ctx, refused["call_id"], timeout_s=60)
    assert (await site.client.tool_call(refused["call_id"]))["state"] == "cancelled"
    await site.client.remove_server("wiki")


async def test_views_show_a_part_and_only_to_their_projects(site: Site, tmp_path: Path) -> None:
    await site.client.add_server(server(tmp_path, "shelf"))
    shown = await site.client.tools(view="reading")
    assert [tool["name"] for tool in shown["items"]] == ["shelf.read"]
    for view in ("elsewhere", "none"):
        with pytest.raises(NotFound, match="no view"):
            await site.client.tools(view=view)
    await site.client.remove_server("shelf")


@pytest.mark.requirement("ORC-05")
async def test_what_providers_can_do_are_tools_that_pass_the_model_door(site: Site, tmp_path: Path) -> None:
    script = tmp_path / "s.json"
    script.write_text('{"scripted": 1, "agents": {"*": [{"text": "hi"}]}}')
    asked = {"model": str(script), "prompt": "Hello"}
    called = await site.client.call_tool("providers.scripted.complete", asked)
    assert called["status"] == "completed"
    assert called["result"]["content"]["text"] == "hi"
    events = await site.application.journal.read(site.ctx, types=("model.called",))
    assert events, "the call was accounted for"
    models = await site.client.call_tool("providers.scripted.models", {})
    assert isinstance(models["result"]["content"], list)
    risks = {tool["name"]: tool["risk"] for tool in (await site.client.tools(server="providers"))["items"]}
    assert risks["providers.scripted.complete"] == "external_api"
    assert risks["providers.scripted.models"] == "read_only"


FLOW = """
tools:
  manual: {mcp: manual, tool: "*"}
policies: {destructive: allow}
do:
  - look: {tool: manual.read, with: {page: 7}}
outputs: {found: '${look}'}
"""


async def test_a_workflow_names_a_registered_server_and_is_held_to_what_was_approved(
    site: Site, tmp_path: Path
) -> None:
    await site.client.add_server(server(tmp_path, "manual"))
    done = await site.finish((await site.start("manual-one", FLOW))["id"])
    assert done["status"] == "succeeded", done["error"]
    assert "7" in json.dumps(done["outputs"])
    (tmp_path / "manual.json").write_text(json.dumps([offered("read", "Another."), offered("write")]))
    refused = await site.finish((await site.start("manual-two", FLOW))["id"])
    assert refused["status"] == "failed"
    assert "quarantine" in json.dumps(refused["error"])
    await site.client.remove_server("manual")
