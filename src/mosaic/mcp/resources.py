"""What can be read: runs, what happened in them, their plans, reports and artifacts, under ``mosaic://``."""

import base64
import json
from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote, urlsplit

import mcp.types as mcp_types

from mosaic.app.operation_tools import OperationTools
from mosaic.app.operations import Operations
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject, JsonValue
from mosaic.runs.service import RunService

__all__ = ["Resources", "run_uri"]

_SCHEME = "mosaic"
_JSON, _YAML, _MARKDOWN = "application/json", "application/yaml", "text/markdown"
_PAGE = 50
_MOST_EVENTS = 500
_REPORT = "report.md"

Read = Callable[[Context, str], Awaitable[tuple[str, str | bytes]]]


def run_uri(run_id: str, *parts: str) -> str:
    """Return the address of a run, or of something of it."""
    return "/".join([f"{_SCHEME}://runs", quote(run_id, safe=""), *(quote(part, safe="") for part in parts)])


class Resources:
    """Reads them.

    Args:
        operations: what every door can ask for.
        runs: has the plans.
        tools: finds artifacts by name.
    """

    def __init__(self, operations: Operations, runs: RunService, tools: OperationTools) -> None:
        self._operations = operations
        self._runs = runs
        self._tools = tools
        self._parts: dict[str, Read] = {"plan": self._plan, "report": self._report, "events": self._events}

    async def page(self, ctx: Context, cursor: str | None) -> mcp_types.ListResourcesResult:
        """Return a page of the tenant's runs, newest first, and the reports of those that have ended."""
        page = await self._operations.runs(ctx, status=None, workflow=None, limit=_PAGE, cursor=cursor)
        found: list[mcp_types.Resource] = []
        for run in page["items"]:
            found.append(
                mcp_types.Resource(
                    uri=run_uri(run["id"]),
                    name=run["id"],
                    title=f"{run['workflow']} ({run['status']})",
                    description=f"A run of {run['workflow']}, begun {run['created_at']}.",
                    mime_type=_JSON,
                )
            )
            if run["status"] == "succeeded":
                found.append(
                    mcp_types.Resource(
                        uri=run_uri(run["id"], "report"),
                        name=f"{run['id']}/report",
                        title=f"Report: {run['workflow']}",
                        mime_type=_MARKDOWN,
                    )
                )
        return mcp_types.ListResourcesResult(resources=found, next_cursor=page["next_cursor"])

    def templates(self) -> list[mcp_types.ResourceTemplate]:
        """Return the patterns of addresses."""
        kinds = (
            ("run", "{run}", "A run: status, outputs, error, cost.", _JSON),
            ("plan", "{run}/plan", "The workflow that a run follows, as it was when the run started.", _YAML),
            ("report", "{run}/report", "What a run says it did.", _MARKDOWN),
            ("events", "{run}/events", "What happened in a run, in order.", _JSON),
            ("artifact", "{run}/artifacts/{name}", "Something that a run kept.", None),
        )
        found = [
            mcp_types.ResourceTemplate(
                uri_template=f"{_SCHEME}://runs/{pattern}", name=name, description=about, mime_type=kind
            )
            for name, pattern, about, kind in kinds
        ]
        found.append(
            mcp_types.ResourceTemplate(
                uri_template=f"{_SCHEME}://approvals/{{approval}}",
                name="approval",
                description="What is asked, by whom and why.",
                mime_type=_JSON,
            )
        )
        return found

    def as_tool(self, uri: str) -> tuple[str, JsonObject]:
        """Return the tool that shows the same as an address, with its arguments: who may call that may read this.

        Raises:
            NotFound: if there can be nothing at that address.
        """
        kind, parts = _parts(uri)
        match kind, parts:
            case "approvals", [approval_id]:
                return "approvals.show", {"approval": approval_id}
            case "runs", [run_id] | [run_id, "plan"]:
                return "runs.show", {"run": run_id}
            case "runs", [run_id, "events"]:
                return "runs.events", {"run": run_id}
            case "runs", [run_id, "report"]:
                return "runs.artifact", {"run": run_id, "name": _REPORT}
            case "runs", [run_id, "artifacts", name]:
                return "runs.artifact", {"run": run_id, "name": name}
        raise _nothing(uri)

    async def read(self, ctx: Context, uri: str) -> mcp_types.ReadResourceResult:
        """Return what is at an address.

        Raises:
            NotFound: if nothing is.
        """
        kind, data = await self._found(ctx, uri)
        contents: mcp_types.TextResourceContents | mcp_types.BlobResourceContents
        if isinstance(data, str):
            contents = mcp_types.TextResourceContents(uri=uri, mime_type=kind, text=data)
        else:
            contents = mcp_types.BlobResourceContents(
                uri=uri, mime_type=kind, blob=base64.b64encode(data).decode()
            )
        return mcp_types.ReadResourceResult(contents=[contents])

    async def _found(self, ctx: Context, uri: str) -> tuple[str, str | bytes]:
        kind, parts = _parts(uri)
        match kind, parts:
            case "approvals", [approval_id]:
                return _JSON, _text(await self._operations.approval(ctx, approval_id))
            case "runs", [run_id]:
                return _JSON, _text(await self._operations.run(ctx, run_id))
            case "runs", [run_id, part] if part in self._parts:
                return await self._parts[part](ctx, run_id)
            case "runs", [run_id, "artifacts", name]:
                return await self._artifact(ctx, run_id, name)
        raise _nothing(uri)

    async def _plan(self, ctx: Context, run_id: str) -> tuple[str, str | bytes]:
        bundle = (await self._runs.definition(ctx, run_id)).bundle
        return _YAML, bundle.files[bundle.entry].decode("utf-8", "replace")

    async def _report(self, ctx: Context, run_id: str) -> tuple[str, str | bytes]:
        return await self._artifact(ctx, run_id, _REPORT)

    async def _events(self, ctx: Context, run_id: str) -> tuple[str, str | bytes]:
        page: JsonObject = await self._operations.event_page(ctx, run_id=run_id, after=0, limit=_MOST_EVENTS)
        return _JSON, _text(page)

    async def _artifact(self, ctx: Context, run_id: str, name: str) -> tuple[str, str | bytes]:
        artifact, data = await self._tools.artifact(ctx, run_id, name)
        kind = str(artifact["media_type"])
        if kind.startswith("text/") or kind.partition(";")[0] == _JSON:
            return kind, data.decode("utf-8", "replace")
        return kind, data


def _parts(uri: str) -> tuple[str, list[str]]:
    """Return what an address is about, and the parts of its path."""
    try:
        address = urlsplit(uri)
    except ValueError:
        raise _nothing(uri) from None
    if address.scheme != _SCHEME:
        raise _nothing(uri)
    return address.netloc, [unquote(part) for part in address.path.split("/")[1:]]


def _text(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)


def _nothing(uri: str) -> NotFound:
    return NotFound(
        f"There is nothing at {uri[:200]!r}.", hint="resources/templates/list says what can be read."
    )
