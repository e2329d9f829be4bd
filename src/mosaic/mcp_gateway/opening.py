"""The MCP gateway of an application, from its settings."""

from mosaic.app.build import Application
from mosaic.core.errors import PolicyDenied
from mosaic.mcp_gateway.door import Identify, McpGateway
from mosaic.mcp_gateway.judging import CallJudge
from mosaic.mcp_gateway.records import CallRecords
from mosaic.mcp_gateway.schemas import McpGatewaySettings
from mosaic.mcp_gateway.sessions import SessionSeal
from mosaic.mcp_gateway.upstreams import Upstreams
from mosaic.providers.upstream import UpstreamPool
from mosaic.providers.upstream.origin import resolved
from mosaic.tools.mcp.reach import may_reach

__all__ = ["open_mcp_gateway"]


def open_mcp_gateway(application: Application, *, identify: Identify, owner_token: str) -> McpGateway:
    """Return the gateway of an application. Close it after the server has stopped.

    Args:
        application: whose servers, policy and journal.
        identify: finds who calls.
        owner_token: what sessions are sealed with: all replicas of an installation share it.
    """
    settings = McpGatewaySettings(
        max_body_bytes=application.settings.server.max_body_bytes, wait_s=application.settings.mcp.wait_s
    )
    outside = application.outside
    judge = CallJudge(
        application.registry,
        application.judge,
        outside,
        outside.calls,
        records=CallRecords(application.database, application.journal),
        wait_s=settings.wait_s,
    )
    upstreams = Upstreams(
        application.registry,
        application.tools.boxes,
        shown=application.catalogue.shown,
        listed_s=settings.listed_s,
    )
    return McpGateway(
        identify,
        upstreams,
        judge,
        pool=UpstreamPool(resolve=_reachable),
        seal=SessionSeal(owner_token.encode()),
        masked=application.redactor.text,
        settings=settings,
    )


async def _reachable(host: str, port: int) -> list[str]:
    """Return the addresses of a host.

    Raises:
        PolicyDenied: if one of them is none that a server may have.
    """
    found = await resolved(host, port)
    for address in found:
        if not may_reach(address):
            raise PolicyDenied(f"{host} is {address}, where no MCP server may be.", host=host)
    return found
