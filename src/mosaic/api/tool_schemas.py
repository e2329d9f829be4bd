"""What requests about tools and MCP servers hold, and what answers look like."""

from datetime import datetime
from typing import Any

from pydantic import Field

from mosaic.api.schemas import Body, Document

__all__ = [
    "AddServer",
    "ApproveTool",
    "CallTool",
    "PinDocument",
    "QuarantineTool",
    "ServerAdded",
    "ServerPage",
    "ToolCallDocument",
    "ToolCalled",
    "ToolDocument",
    "ToolPage",
]


class AddServer(Body):
    """An MCP server to register: a command or an address."""

    name: str = Field(min_length=1, max_length=50)
    command: list[str] = Field([], max_length=100, description="program and arguments of a stdio server")
    url: str | None = Field(None, max_length=8_000, description="the address of a streamable HTTP server")
    headers: dict[str, str] = Field({}, max_length=100, description="secrets as env:VARIABLE")
    environment: dict[str, str] = Field({}, max_length=100, description="secrets as env:VARIABLE")
    trust_annotations: bool = False
    confined: bool = False
    accept_new: bool = Field(False, description="approve tools that appear later as they come")
    start_timeout_s: float = Field(30.0, gt=0, le=600, allow_inf_nan=False)
    tools: list[str] = Field(
        [], max_length=100, description="patterns of the tools that are used; empty means all"
    )


class ApproveTool(Body):
    """What the approver has seen."""

    digest: str | None = Field(
        None, max_length=100, description="refuse if the server shows something else now"
    )


class QuarantineTool(Body):
    """Why a tool is stopped."""

    reason: str = Field("", max_length=500)


class CallTool(Body):
    """A call of a tool."""

    arguments: dict[str, Any] = Field(default_factory=dict)
    view: str | None = Field(None, max_length=100)
    why: str | None = Field(None, max_length=4_000, description="for whoever has to approve")
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class ServerDocument(Document):
    """A registered MCP server."""

    name: str
    command: list[str]
    url: str | None
    headers: dict[str, str]
    environment: dict[str, str]
    trust_annotations: bool
    confined: bool
    accept_new: bool
    start_timeout_s: float
    tools: list[str]
    created_at: datetime | None
    created_by: str | None


class ServerWithStates(ServerDocument):
    """A server and how its tools stand."""

    states: dict[str, int]


class ServerPage(Document):
    """Registered servers."""

    items: list[ServerWithStates]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class ToolRow(Document):
    """A tool in a list."""

    name: str
    description: str
    risk: str | None
    effects: list[str]
    source: str
    state: str = Field(description="built-in, pinned, new, quarantined or vanished")
    reason: str | None
    findings: list[str] = Field(description="what is suspicious in its texts")


class ServerAdded(Document):
    """A server that was just registered, and its tools."""

    server: ServerDocument
    tools: list[ToolRow]


class ToolPage(Document):
    """Tools, and servers that could not be asked."""

    items: list[ToolRow]
    unreachable: dict[str, Any]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class PinDocument(Document):
    """What is approved of a tool."""

    name: str
    server: str
    tool: str
    state: str
    digest: str
    offered_digest: str | None
    reason: str | None
    vanished_at: datetime | None
    changed_at: datetime
    decided_by: str | None


class ToolDocument(ToolRow):
    """A tool with its schemas, and how it differs from what is approved."""

    pin: PinDocument | None
    difference: str | None
    timeout_s: float | None = None
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    approved_definition: dict[str, Any] | None = None


class ToolCalled(Document):
    """How a call went: `completed`, or `waiting` for a person."""

    status: str
    result: dict[str, Any] | None
    approval: str | None
    call_id: str | None


class ToolCallDocument(Document):
    """Where a call that had to wait stands."""

    id: str
    state: str
    created_at: datetime
    changed_at: datetime
    approval: str | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
