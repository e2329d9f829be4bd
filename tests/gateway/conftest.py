"""A gateway on loopback in front of scripted vendors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from mosaic.app.build import Application
from mosaic.app.home import make_home
from mosaic.app.settings import load_settings
from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject
from mosaic.observability import Telemetry
from mosaic.providers.testing.endpoint import Endpoint, Reply, event_reply, json_reply, running_endpoint
from mosaic.security import NewKey
from tests.app.site import WAIT_S, serving

__all__ = [
    "GatewaySite",
    "chat_chunk",
    "chat_reply",
    "chat_stream",
    "message_reply",
    "message_stream",
    "open_gateway",
]

TARGETS = {
    "openai.chat": "openai:gpt-4o",
    "openai.responses": "openai:gpt-4o",
    "openai.embeddings": "openai:text-embedding-3-small",
    "anthropic.messages": "anthropic:claude-sonnet-4-5",
    "anthropic.count_tokens": "anthropic:claude-sonnet-4-5",
}
PRICES = {
    "*:*": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 10.0},
}


@dataclass
class GatewaySite:
    """A gateway and the vendors behind it.

    Attributes:
        url: of the server, without `/v1`.
        key: a virtual key that may use everything.
        openai, anthropic: the scripted vendors.
    """

    application: Application
    url: str
    key: str
    openai: Endpoint
    anthropic: Endpoint
    client: httpx2.AsyncClient
    routes: dict[str, Any] = field(default_factory=dict)

    @property
    def ctx(self) -> Context:
        settings = self.application.settings
        return Context(settings.tenant, settings.project, Actor("user", "owner"))

    def route(self, name: str, *targets: str, **more: Any) -> None:
        """Have a route: to targets, or to the vendor of a wire."""
        self.routes[name] = {"targets": [TARGETS.get(target, target) for target in targets], **more}
        self.write({"routes": self.routes})

    def write(self, routes: JsonObject) -> None:
        """Decide by these routes from now on."""
        path = self.application.settings.home / "routes.yaml"
        path.write_bytes(msgspec.json.encode(routes))  # JSON is YAML
        self.application.model.load_routes()

    async def new_key(self, name: str = "test", **more: Any) -> tuple[str, str]:
        """Return the id and the secret of a new key."""
        key, secret = await self.application.model.keys.create(self.ctx, NewKey(name, **more))
        return key.id, secret

    async def post(
        self, path: str, body: Any, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        """Send a request as a client does."""
        shown = {"authorization": f"Bearer {key or self.key}", **(headers or {})}
        return await self.client.post(self.url + path, json=body, headers=shown)

    async def chat(self, model: str = "fast", *, key: str | None = None, **more: Any) -> httpx2.Response:
        """Ask for a chat completion."""
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
        return await self.post("/v1/chat/completions", body, key=key)

    async def ledger(self) -> list[JsonObject]:
        """What the journal says of the calls so far, oldest first."""
        await self.application.model.ledger.flush()
        events = await self.application.journal.read(
            self.ctx, types=["model.called", "model.failed"], limit=10_000
        )
        return [event.data | {"type": event.type} for event in events]

    async def recorded(self, count: int) -> list[JsonObject]:
        """Wait until so many calls have ended; return what the journal says of them."""
        async with asyncio.timeout(WAIT_S), aclosing(self.application.journal.tail(self.ctx)) as events:
            seen = 0
            async for event in events:
                seen += event.type in ("model.called", "model.failed")
                if seen == count:
                    break
        return await self.ledger()


def chat_reply(text: str = "Hello there", *, usage: JsonObject | None = None, **message: Any) -> Reply:
    """An answer of OpenAI's chat completions."""
    used = usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json_reply(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None, **message},
                    "logprobs": None,
                    "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
                }
            ],
            "usage": used,
        }
    )


def chat_chunk(
    delta: JsonObject | None, *, finish: str | None = None, usage: JsonObject | None = None
) -> JsonObject:
    """One event of a streamed chat completion."""
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    )
    chunk: JsonObject = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-2024-08-06",
        "choices": choices,
    }
    return chunk | ({"usage": usage} if usage else {})


def chat_stream(*texts: str, then: Any = "end", usage: bool = True, done: bool = True) -> Reply:
    """A streamed answer of OpenAI's chat completions."""
    events: list[Any] = [chat_chunk({"role": "assistant", "content": ""})]
    events += [chat_chunk({"content": text}) for text in texts]
    if done:
        events.append(chat_chunk({}, finish="stop"))
        if usage:
            used = {"prompt_tokens": 10, "completion_tokens": len(texts), "total_tokens": 10 + len(texts)}
            events.append(chat_chunk(None, usage=used))
        events.append("[DONE]")
    return event_reply(events, then=then)


def message_reply(text: str = "Hello there") -> Reply:
    """An answer of Anthropic's messages."""
    return json_reply(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 10, "output_tokens": 5},
        }
    )


def message_stream(*texts: str, then: Any = "end") -> Reply:
    """A streamed answer of Anthropic's messages."""
    started = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1},
    }  # fmt: skip
    events: list[Any] = [
        ("message_start", {"type": "message_start", "message": started}),
        (
            "content_block_start",
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        ),
    ]
    for text in texts:
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        events.append(("content_block_delta", delta))
    events.append(("content_block_stop", {"type": "content_block_stop", "index": 0}))
    ended = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 5},
    }
    events += [("message_delta", ended), ("message_stop", {"type": "message_stop"})]
    return event_reply(events, then=then)


@asynccontextmanager
async def open_gateway(
    home: Path, url: str, *, telemetry: Telemetry | None = None, **settings: Any
) -> AsyncIterator[GatewaySite]:
    """Open an installation that answers on `/v1`, with both vendors scripted."""
    async with AsyncExitStack() as stack:
        openai = await stack.enter_async_context(running_endpoint())
        anthropic = await stack.enter_async_context(running_endpoint())
        openai.will(chat_reply())
        anthropic.will(message_reply())
        environ = {"OPENAI_API_KEY": "sk-upstream-openai", "ANTHROPIC_API_KEY": "sk-ant-upstream"}
        providers = {"openai": {"base_url": openai.url + "/v1"}, "anthropic": {"base_url": anthropic.url}}
        overrides = {"cost": {"prices": PRICES}, **settings}
        overrides["providers"] = providers | settings.get("providers", {})
        loaded = load_settings(home, environ={"MOSAIC_DATABASE_URL": url}, overrides=overrides)
        make_home(home)
        application = Application(loaded, environ=environ, telemetry=telemetry)
        stack.push_async_callback(application.close)
        await application.open(execute=False, address=None)
        await application.model.start()
        address = await stack.enter_async_context(serving(application))
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=WAIT_S))
        site = GatewaySite(application, address, "", openai, anthropic, client)
        _, site.key = await site.new_key()
        site.route("fast", "openai.chat")
        yield site


@pytest.fixture
async def gateway(database_url: str, tmp_path: Path) -> AsyncIterator[GatewaySite]:
    """A gateway with the route `fast` to a scripted OpenAI, on each database."""
    async with asyncio.timeout(2 * WAIT_S), open_gateway(tmp_path / "home", database_url) as site:
        yield site
