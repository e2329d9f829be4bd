"""The `http` step: one request through the tool door, whose secrets exist only inside the call."""

from collections.abc import Mapping
from typing import Any

from mosaic.core.errors import ToolFailed, Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools import BaseTool, Invocation, Tool, Toolbox, ToolResult, ToolSpec
from mosaic.workflows.interfaces import Secrets
from mosaic.workflows.interpreter.calls import call_tool, failed
from mosaic.workflows.interpreter.frame import Here
from mosaic.workflows.interpreter.paths import numbered, tag
from mosaic.workflows.steps import HttpStep, SecretRef

__all__ = ["run_http"]

_TOOL = "http.request"
_RETRYABLE = frozenset({408, 429, *range(500, 600)})


async def run_http(step: HttpStep, here: Here) -> JsonValue:
    """Make the request and return status, headers and body."""
    scope = here.scope
    arguments: JsonObject = {"method": step.method, "url": step.url.evaluate_text(scope)}
    headers = {
        name: value.evaluate_text(scope)
        for name, value in step.headers.items()
        if not isinstance(value, SecretRef)
    }
    if headers:
        arguments["headers"] = headers
    if step.query:
        arguments["query"] = {name: value.evaluate_text(scope) for name, value in step.query.items()}
    if step.body is not None:
        body = step.body.evaluate(scope)
        arguments["body" if isinstance(body, str) else "json"] = body
    request = _Request(here.run.toolbox.get(_TOOL), step, here.run.services.secrets)
    result = await call_tool(
        here,
        numbered("request", tag(here.number)),
        _TOOL,
        arguments,
        timeout_s=step.timeout_s,
        retry=step.retry,
        toolbox=Toolbox([request]),
    )
    content: Any = result.content
    if result.is_error or not isinstance(content, dict):
        raise failed(_TOOL, result)
    return {name: content.get(name) for name in ("status", "headers", "body")}


class _Request(BaseTool):
    """The tool for requests, with a step's secrets and its idea of success.

    The arguments that the door shows, asks about and journals do not hold the secrets; they are put in between the
    door and the network.
    """

    def __init__(self, tool: Tool, step: HttpStep, secrets: Secrets) -> None:
        super().__init__(tool.spec)
        self._tool = tool
        self._step = step
        self._secrets = {name: value for name, value in step.headers.items() if isinstance(value, SecretRef)}
        self._source = secrets

    def spec_for(self, arguments: JsonObject) -> ToolSpec:
        """Return the spec by method."""
        return self._tool.spec_for(arguments)

    async def preview(self, invocation: Invocation, arguments: JsonObject) -> JsonObject:
        """Return the names of the secrets that go with the request."""
        shown = await self._tool.preview(invocation, arguments)
        return {**shown, "secret_headers": _names(self._secrets)} if self._secrets else shown

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Send the request.

        Raises:
            Unavailable: if the status says that a later try may do better.
            ToolFailed: if the status is not one that counts as success.
        """
        secret = {
            name: f"{reference.prefix}{self._source.value(invocation.ctx, reference.name)}"
            for name, reference in self._secrets.items()
        }
        if secret:
            arguments = {**arguments, "headers": {**(arguments.get("headers") or {}), **secret}}
        result = await self._tool.call(invocation, arguments)
        content: Any = result.content
        status = content.get("status") if isinstance(content, dict) else None
        if not isinstance(status, int):
            return result
        if status in self._step.ok or (not self._step.ok and 200 <= status < 300):  # HTTP's own
            return ToolResult(content, truncated=result.truncated, blob=result.blob)
        raise _refused(status, str(arguments["url"]), content)


def _refused(status: int, url: str, content: JsonObject) -> ToolFailed | Unavailable:
    body = content.get("body")
    said = body[:500] if isinstance(body, str) else body
    after = str((content.get("headers") or {}).get("retry-after", ""))
    data: JsonObject = {"status": status, "body": said}
    if after.isdecimal():
        data["retry_after_s"] = int(after)
    kind = Unavailable if status in _RETRYABLE else ToolFailed
    return kind(f"{url} answered with status {status}.", **data)


def _names(secrets: Mapping[str, SecretRef]) -> JsonObject:
    return {header: reference.name for header, reference in secrets.items()}
