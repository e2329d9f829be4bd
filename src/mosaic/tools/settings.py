"""The settings of the tool door."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mosaic.tools.declarations import McpServer
from mosaic.tools.sandbox import SandboxSettings

__all__ = ["ToolSettings"]


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """The tools section of the settings.

    Attributes:
        result_bytes: how much of a result a model gets and the journal keeps; the rest goes to a blob.
        arguments_bytes: the largest arguments a call may have.
        kept_bytes: the largest output that is stored whole.
        event_characters: how much of arguments and results an event shows.
        mcp_servers: servers that workflows may name, by name.
        allow_private_hosts: host names or networks (``10.0.0.0/8``) that ``http.request`` and MCP over HTTP may
            reach although they are private; loopback for instance.
        http_body_bytes: the largest body ``http.request`` reads.
        sandbox: where commands run, and what it must hold.
    """

    result_bytes: int = 100_000
    arguments_bytes: int = 8_000_000
    kept_bytes: int = 4_000_000
    event_characters: int = 4_000
    mcp_servers: Mapping[str, McpServer] = field(default_factory=dict)
    allow_private_hosts: tuple[str, ...] = ()
    http_body_bytes: int = 2_000_000
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
