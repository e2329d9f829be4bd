"""The SDK's server over an offer: both wires, sessions for the older one, sealed states for the newer one."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, MutableMapping
from typing import Any

import mcp.types as mcp_types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from mosaic import __version__
from mosaic.core.errors import MosaicError, NotFound
from mosaic.mcp.content import error_result, protocol_error
from mosaic.mcp.exchange import Exchange, InputNeeded
from mosaic.mcp.interfaces import Offer
from mosaic.mcp.schemas import Caller, McpSettings
from mosaic.mcp.sessions import SessionNames
from mosaic.mcp.subscriptions import Subscriptions
from mosaic.mcp.tasks import TASKS, TaskMethods
from mosaic.tools import UnknownTool

__all__ = ["Wire"]

Context = ServerRequestContext[Any, Any]
Message = MutableMapping[str, Any]

_NAME = "mosaic"
_CALLER = "mosaic.caller"
_VIEW = "mosaic.view"
_LISTED_MS = 10_000
_MOST_LEVELS = 10_000
_LEVELS: tuple[mcp_types.LoggingLevel, ...] = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip

log = logging.getLogger(__name__)


class Wire:
    """Answers MCP requests of callers that are known already.

    Args:
        offer: what there is.
        settings: bounds.
        sealing_key: seals what clients carry between two requests; the same for all replicas.
    """

    def __init__(self, offer: Offer, settings: McpSettings, *, sealing_key: bytes) -> None:
        self._offer = offer
        self._levels: OrderedDict[str, int] = OrderedDict()
        self._names = SessionNames()
        self._subscriptions = Subscriptions(offer, self._exchange)
        self._server = self._make_server(settings, sealing_key)
        self._sessions = StreamableHTTPSessionManager(
            self._server,
            session_idle_timeout=settings.session_idle_s,
            max_sessions=settings.max_sessions,
            max_request_body_size=settings.max_body_bytes,
        )
        self._sessionless = StreamableHTTPSessionManager(
            self._server, stateless=True, max_request_body_size=settings.max_body_bytes
        )
        self._stop = asyncio.Event()
        self._holding: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._holding = asyncio.create_task(self._hold(ready), name="mcp")
        await ready

    async def close(self) -> None:
        """End every session."""
        self._subscriptions.close()
        self._stop.set()
        if self._holding is not None:
            await asyncio.gather(self._holding, return_exceptions=True)

    async def _hold(self, ready: "asyncio.Future[None]") -> None:
        # The SDK wants its task groups opened and closed in one task.
        try:
            async with self._sessions.run(), self._sessionless.run():
                ready.set_result(None)
                await self._stop.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    async def __call__(
        self, caller: Caller, view: str | None, scope: dict[str, Any], receive: Any, send: Any
    ) -> None:
        """Answer one request of `caller`."""
        # The SDK lets a session be used only by the credential that began it.
        user = AuthenticatedUser(AccessToken(token="", client_id=caller.principal, scopes=[]))
        # White space around a value is no part of it; the SDK compares values as they came.
        headers = [(name, value.strip(b" \t")) for name, value in scope["headers"]]
        scope = {**scope, "headers": headers, "user": user, _CALLER: caller, _VIEW: view}
        session = self._names.named(scope["headers"])
        if session is None or self._names.is_ours(session):

            async def named(message: Message) -> None:
                await send(self._names.outward(message))

            inward = self._names.inward(scope)
            await self._sessions.handle_request(inward, receive, named)
            if scope["method"] == "DELETE" and (ended := self._names.named(inward["headers"])) is not None:
                self._subscriptions.forget(ended.decode("latin-1"))
        elif scope["method"] == "POST":
            await self._sessionless.handle_request(self._names.without(scope), receive, send)
        else:
            # A stream, or the end, of a session that another replica holds: there is none here.
            await send({"type": "http.response.start", "status": 405, "headers": [(b"allow", b"POST")]})
            await send({"type": "http.response.body", "body": b""})

    # -- the server ---------------------------------------------------------------------------------------------

    def _make_server(self, settings: McpSettings, sealing_key: bytes) -> "Server[Any]":
        # Lists depend on the caller, so they are never to be shared between callers.
        hint = CacheHint(ttl_ms=_LISTED_MS, scope="private")
        server: Server[Any] = Server(
            _NAME,
            version=__version__,
            title="MosAIc",
            instructions=settings.instructions or None,
            cache_hints={
                "tools/list": hint,
                "prompts/list": hint,
                "resources/list": CacheHint(scope="private"),
                "resources/templates/list": hint,
                "resources/read": CacheHint(scope="private"),
                "server/discover": hint,
            },
            # Only what declares headers of its own needs a look before each call.
            get_tool_input_schema=self._offer.header_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._prompt,
            on_completion=self._complete,
            on_subscribe_resource=self._subscribe,
            on_unsubscribe_resource=self._subscriptions.unsubscribe,
            on_subscriptions_listen=self._listen,
        )
        server.add_request_handler("logging/setLevel", mcp_types.SetLevelRequestParams, self._set_level)
        TaskMethods(self._offer, self._exchange).install(server)
        server.extensions = {TASKS: {}}
        security = RequestStateSecurity(keys=[sealing_key], bind_principal=_principal)
        server.middleware.append(RequestStateBoundary(security, default_audience=_NAME))
        return server

    def _exchange(self, ctx: Context, params: object = None) -> Exchange:
        request = _request(ctx)
        scope = request.scope
        again = params if isinstance(params, mcp_types.InputResponseRequestParams) else None
        headers = dict(request.headers)
        return Exchange(
            caller=scope[_CALLER],
            view=scope[_VIEW],
            session=ctx.session,
            request_id=ctx.request_id,
            meta=dict(ctx.meta or {}),
            responses=dict(again.input_responses or {}) if again is not None else {},
            state=again.request_state if again is not None else None,
            headers=headers,
            shown_levels=self._shown_levels(headers.get("mcp-session-id")),
        )

    def _shown_levels(self, session: str | None) -> "frozenset[mcp_types.LoggingLevel]":
        return frozenset(_LEVELS[self._levels.get(session or "", 0) :])

    async def _subscribe(
        self, ctx: Context, params: mcp_types.SubscribeRequestParams
    ) -> mcp_types.EmptyResult:
        done: mcp_types.EmptyResult = await _explained(self._subscriptions.subscribe(ctx, params))
        return done

    async def _listen(
        self, ctx: Context, params: mcp_types.SubscriptionsListenRequestParams
    ) -> mcp_types.SubscriptionsListenResult:
        ended: mcp_types.SubscriptionsListenResult = await _explained(self._subscriptions.listen(ctx, params))
        return ended

    async def _set_level(
        self, ctx: Context, params: mcp_types.SetLevelRequestParams
    ) -> mcp_types.EmptyResult:
        if (session := _request(ctx).headers.get("mcp-session-id")) is not None:
            self._levels[session] = _LEVELS.index(params.level)
            self._levels.move_to_end(session)
            while len(self._levels) > _MOST_LEVELS:
                self._levels.popitem(last=False)
        return mcp_types.EmptyResult()

    async def _list_tools(self, ctx: Context, _params: Any) -> mcp_types.ListToolsResult:
        return mcp_types.ListToolsResult(tools=await _explained(self._offer.tools(self._exchange(ctx))))

    async def _call_tool(self, ctx: Context, params: mcp_types.CallToolRequestParams) -> Any:
        return await _explained(self._called(self._exchange(ctx, params), params))

    async def _called(self, exchange: Exchange, params: mcp_types.CallToolRequestParams) -> Any:
        try:
            return await self._offer.call(exchange, params.name, params.arguments or {})
        except UnknownTool:
            raise
        except MosaicError as error:  # a tool that fails is an answer, which a model can read
            return error_result(error)

    async def _list_resources(
        self, ctx: Context, params: mcp_types.PaginatedRequestParams | None
    ) -> mcp_types.ListResourcesResult:
        cursor = params.cursor if params is not None else None
        page: mcp_types.ListResourcesResult = await _explained(
            self._offer.resources(self._exchange(ctx), cursor)
        )
        return page

    async def _list_templates(self, ctx: Context, _params: Any) -> mcp_types.ListResourceTemplatesResult:
        found = await _explained(self._offer.templates(self._exchange(ctx)))
        return mcp_types.ListResourceTemplatesResult(resource_templates=found)

    async def _read(self, ctx: Context, params: mcp_types.ReadResourceRequestParams) -> Any:
        return await _explained(self._read_at(self._exchange(ctx, params), params.uri))

    async def _read_at(self, exchange: Exchange, uri: str) -> Any:
        try:
            return await self._offer.read(exchange, uri)
        except NotFound as error:
            raise MCPError(
                mcp_types.INVALID_PARAMS, error.message, {**error.to_json(), "uri": uri}
            ) from error

    async def _list_prompts(self, ctx: Context, _params: Any) -> mcp_types.ListPromptsResult:
        return mcp_types.ListPromptsResult(prompts=await _explained(self._offer.prompts(self._exchange(ctx))))

    async def _prompt(self, ctx: Context, params: mcp_types.GetPromptRequestParams) -> Any:
        exchange = self._exchange(ctx, params)
        return await _explained(self._offer.prompt(exchange, params.name, params.arguments or {}))

    async def _complete(
        self, ctx: Context, params: mcp_types.CompleteRequestParams
    ) -> mcp_types.CompleteResult:
        ref = params.ref
        what = ref.name if isinstance(ref, mcp_types.PromptReference) else ref.uri
        argument = params.argument
        found = await _explained(
            self._offer.complete(self._exchange(ctx), what, argument.name, argument.value)
        )
        values = mcp_types.Completion(values=found[:100], total=len(found), has_more=len(found) > 100)
        return mcp_types.CompleteResult(completion=values)


def _request(ctx: Context) -> Any:
    """Return the HTTP request; there is always one here."""
    return ctx.request


def _principal(ctx: Context) -> str:
    caller: Caller = _request(ctx).scope[_CALLER]
    return caller.principal


async def _explained(work: Awaitable[Any]) -> Any:
    """Await an answer; what goes wrong becomes an error of the protocol."""
    try:
        return await work
    except InputNeeded as needed:
        return needed.result
    except MosaicError as error:
        raise protocol_error(error) from error
    except MCPError:
        raise
    except Exception as error:
        log.exception("an MCP request failed")
        raise MCPError(
            mcp_types.INTERNAL_ERROR, "Something failed inside MosAIc; its log says what."
        ) from error
