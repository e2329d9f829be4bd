"""What a workflow or the settings say about tools: which ones to bring, which ones to narrow."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mosaic.tools.schemas import ApprovalRule, RiskClass, ToolEffect

__all__ = ["McpServer", "ToolDeclaration"]


@dataclass(frozen=True, slots=True)
class McpServer:
    """How to reach an MCP server: a command to start, or an address.

    Attributes:
        command: program and arguments of a stdio server.
        url: the endpoint of a streamable HTTP server.
        headers: sent with each request; never shown.
        environment: further variables of a stdio server, which inherits nothing of ours; never shown.
        trust_annotations: take the server's own word for which of its tools only read.
        confined: keep a stdio server from changing files outside the worktree, where the system can.
        start_timeout_s: how long it may take to answer at first.
    """

    command: tuple[str, ...] = ()
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust_annotations: bool = False
    confined: bool = False
    start_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """One entry of a `tools:` section.

    At most one of `mcp`, `python` and `source` says where the tool comes from; with none of them the entry narrows
    a tool that exists. An entry may raise the risk of a built-in or installed tool, never lower it. A tool of an MCP
    server has the risk that its entry declares; without one it is destructive, unless the server's annotations are
    trusted.

    Attributes:
        name: what agents and steps call it. With `mcp` and no `tool`: the tools are ``<name>.<tool>``.
        mcp: a server, or the name of one in the settings.
        tool: the one tool of that server that is meant; None means all. Without a source: the tool that is
            narrowed, when it has another name.
        known_as: the server's name in the settings, where `mcp` was looked up there.
        python: ``module:function``, offered by an installed package or registered by the application.
        source: a Python file's content; its function runs in a process of its own.
        file: that file's name, for messages.
        function: the function in it; `name` when None.
        risk: the risk class; None leaves it as it is.
        effects: what it touches; None leaves it as it is.
        approval: who is asked; None leaves it as it is.
        timeout_s: seconds per call; None leaves it as it is.
        description: what models read; None leaves it as it is.
        retries: whether a retryable failure is tried again; None leaves it as it is.
    """

    name: str
    mcp: McpServer | str | None = None
    tool: str | None = None
    python: str | None = None
    source: bytes | None = None
    file: str | None = None
    function: str | None = None
    risk: RiskClass | None = None
    effects: frozenset[ToolEffect] | None = None
    approval: ApprovalRule | None = None
    timeout_s: float | None = None
    description: str | None = None
    retries: bool | None = None
    known_as: str | None = None
