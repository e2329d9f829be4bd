"""The agent-to-agent door of an application, from the settings."""

import importlib.util
from typing import Any

from mosaic.a2a.door import CARD_PATH, PATH, A2aDoor
from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.mcp.opening import open_callers

__all__ = ["answering", "open_a2a"]


def open_a2a(application: Application, *, owner_token: str) -> A2aDoor | None:
    """Return the door; None when it is switched off, or the extra `a2a` is not installed."""
    settings = application.settings
    if not settings.a2a.enabled or importlib.util.find_spec("a2a") is None:
        return None
    callers = open_callers(application, owner_token=owner_token)

    async def identify(headers: list[tuple[bytes, bytes]]) -> Context:
        return (await callers(headers)).ctx

    return A2aDoor(identify, lambda: answering(application), max_body_bytes=settings.server.max_body_bytes)


def answering(application: Application, *, choose: Any = None) -> Any:
    """Return the ASGI application behind the door. The SDK takes a second to import: with the first request, not before.

    Args:
        application: the open application.
        choose: finds the workflow that a message is for, in place of `mosaic.a2a.skills.chosen`.
    """
    from a2a.server.context import ServerCallContext  # noqa: PLC0415
    from a2a.server.routes import ServerCallContextBuilder, create_agent_card_routes, create_jsonrpc_routes  # noqa: PLC0415
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.routing import Router  # noqa: PLC0415

    from mosaic.a2a.card import card_of  # noqa: PLC0415
    from mosaic.a2a.conversations import Conversations  # noqa: PLC0415
    from mosaic.a2a.handler import CALLER, RunsAsTasks  # noqa: PLC0415
    from mosaic.a2a.skills import chosen  # noqa: PLC0415

    section = application.settings.a2a
    address = (section.public_url or application.address or "http://127.0.0.1").rstrip("/")

    class WithCaller(ServerCallContextBuilder):
        """Carries who calls from the door to the handler."""

        def build(self, request: Request) -> ServerCallContext:
            """Return the context of a call."""
            return ServerCallContext(
                state={CALLER: request.scope["mosaic.caller"], "headers": dict(request.headers)}
            )

    handler = RunsAsTasks(
        application.operations,
        application.outside,
        application.definitions,
        Conversations(application.database, application.journal),
        notices=application.task_notices,
        card=lambda definitions: card_of(address, definitions),
        skill=section.skill,
        wait_s=section.wait_s,
        choose=choose or chosen,
    )
    return Router(
        routes=[
            *create_jsonrpc_routes(handler, PATH, context_builder=WithCaller()),
            *create_agent_card_routes(
                card_of(address), card_url=CARD_PATH, cache_control="public, max-age=300"
            ),
        ],
        redirect_slashes=False,
    )
