"""The values of the MCP server: who calls, and its bounds."""

from dataclasses import dataclass

from mosaic.core.context import Context

__all__ = ["Caller", "McpSettings", "OAuthSettings"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone who may call.

    Attributes:
        ctx: the tenant, the project and the actor that its calls act as.
        principal: tells this credential's holder from every other; a session and a sealed state belong to it.
    """

    ctx: Context
    principal: str

    @property
    def is_person(self) -> bool:
        """Whether a person stands behind the credential, who may answer approvals."""
        return self.ctx.actor.kind == "user"


@dataclass(frozen=True, slots=True)
class OAuthSettings:
    """An authorization server whose tokens are taken; this server is the resource.

    Attributes:
        issuer: the authorization server, exactly as its tokens name it.
        audience: this resource, exactly as tokens name it: the public address of `/mcp`.
        jwks_url: where its public keys are.
        scope: what a token must have been granted.
    """

    issuer: str
    audience: str
    jwks_url: str
    scope: str = "tools"


@dataclass(frozen=True, slots=True)
class McpSettings:
    """How the server is reached.

    Attributes:
        hosts: names by which it may be called, in lower case, without a port.
        origins: web pages that may call it, such as ``https://chat.example``.
        max_body_bytes: the largest request.
        body_timeout_s: how long a request may take to arrive.
        session_idle_s: how long a session of the 2025 wire may be silent.
        max_sessions: how many of those there may be on this node.
        wait_s: how long a call waits for a person, when its client can neither be asked nor take a task.
        oauth: an authorization server; None takes the owner's token and virtual keys only.
        instructions: what a client's model is told about this server.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()
    max_body_bytes: int = 8_000_000
    body_timeout_s: float = 60.0
    session_idle_s: float = 1800.0
    max_sessions: int = 10_000
    wait_s: float = 50.0
    oauth: OAuthSettings | None = None
    instructions: str = ""
