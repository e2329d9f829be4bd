"""The MCP server of an application: its callers, its offer and its bounds, from the settings."""

import hashlib
from typing import TYPE_CHECKING

from mosaic.app.build import Application
from mosaic.core.context import Actor, Context
from mosaic.mcp.callers import McpCallers
from mosaic.mcp.door import McpDoor
from mosaic.mcp.schemas import McpSettings, OAuthSettings

if TYPE_CHECKING:
    from mosaic.mcp.tokens import AccessTokens
    from mosaic.mcp.wire import Wire

__all__ = ["open_callers", "open_mcp"]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_INSTRUCTIONS = (
    "MosAIc plans and runs software-delivery work with teams of agents. Tools named workflow__* start a run and return "
    "what came of it; runs__* show runs. A call that a person must approve waits for them: when the answer says so, "
    "fetch the result later with calls__result, and do not call again."
)


def open_mcp(application: Application, *, owner_token: str) -> McpDoor:
    """Return the door of an application's MCP server. Close it after the server has stopped."""
    settings, outside = _settings(application), application.outside

    def make_wire() -> "Wire":
        # Here, where the SDK has been imported beside the loop already.
        from mosaic.mcp.changes import TenantChanges  # noqa: PLC0415
        from mosaic.mcp.following import RunFollower  # noqa: PLC0415
        from mosaic.mcp.offer import MosaicOffer  # noqa: PLC0415
        from mosaic.mcp.prompts import Prompts  # noqa: PLC0415
        from mosaic.mcp.resources import Resources  # noqa: PLC0415
        from mosaic.mcp.wire import Wire  # noqa: PLC0415

        operations, key = application.operations, _sealing_key(owner_token)
        resources = Resources(operations, application.runs, outside.operation_tools)
        offer = MosaicOffer(
            outside,
            outside.calls,
            application.approvals,
            follower=RunFollower(operations, application.approvals, key=key),
            resources=resources,
            prompts=Prompts(operations, application.definitions),
            changes=lambda ctx: TenantChanges(application.journal, ctx),
            wait_s=settings.wait_s,
            stopping=application.stopping,
        )
        return Wire(offer, settings, sealing_key=key)

    callers = open_callers(application, owner_token=owner_token)
    return McpDoor(callers, make_wire, settings, stopping=application.stopping)


def open_callers(application: Application, *, owner_token: str) -> McpCallers:
    """Return who may call tools from outside: the same at every door for them."""
    section = application.settings
    owner = Context(section.tenant, section.project, Actor("user", "owner"))
    return McpCallers(
        application.model.keys,
        owner=owner,
        owner_token=owner_token,
        tokens=_tokens(_settings(application), owner),
    )


def _tokens(settings: McpSettings, owner: Context) -> "AccessTokens | None":
    if settings.oauth is None:
        return None
    from mosaic.mcp.tokens import AccessTokens  # noqa: PLC0415  # the cryptography behind it takes long to import

    return AccessTokens(settings.oauth, owner)


def _settings(application: Application) -> McpSettings:
    section, server = application.settings.mcp, application.settings.server
    oauth = section.oauth
    return McpSettings(
        hosts=_LOOPBACK | {name.lower() for name in (*server.allowed_hosts, server.host)},
        origins=frozenset(origin.lower().rstrip("/") for origin in section.allowed_origins),
        max_body_bytes=server.max_body_bytes,
        session_idle_s=section.session_idle_s,
        max_sessions=section.max_sessions,
        wait_s=section.wait_s,
        oauth=OAuthSettings(oauth.issuer, oauth.audience, oauth.jwks_url, oauth.scope) if oauth else None,
        instructions=_INSTRUCTIONS,
    )


def _sealing_key(owner_token: str) -> bytes:
    """Return the key of what clients carry between two requests: all replicas of an installation share its token."""
    return hashlib.sha256(b"mosaic/mcp/state\0" + owner_token.encode()).digest()
