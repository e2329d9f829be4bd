"""Answers as each vendor gives them, whole and streamed, from one description: text, thoughts, tool calls, usage."""

import json
from importlib import import_module
from typing import Any

from mosaic.core.redaction import Redactor
from mosaic.providers import ProviderRegistry
from tests.plugins import newer_vendors
from tests.plugins.said import Said, Then, halves
from tests.providers.endpoint import Reply, event_reply, json_reply, line_reply

__all__ = ["KEY", "MODELS", "MODEL_OF", "VENDORS", "Said", "error_body", "make_provider", "reply", "stream"]

VENDORS = ("openai", "anthropic", "ollama", "responses", "gemini", "cohere")
"""`responses` is the openai plugin, asked in its second way and configured under that name."""

MODELS = {
    "openai": "gpt-6.1-sol",
    "anthropic": "claude-sonnet-5-5",
    "ollama": "qwen3:8b",
}
"""A model of every vendor in its usual way of being asked, by the provider's id."""

MODEL_OF = {
    **MODELS,
    "responses": "gpt-6.1-sol",
    "gemini": "gemini-4-argon",
    "cohere": "command-a-reasoning-08-2025",
}
KEY = "sk-test-vendor-key-0123456789"

_PLUGINS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "ollama": "ollama",
    "responses": "openai",
    "gemini": "gemini",
    "cohere": "cohere",
}
_PATHS = {"openai": "/v1", "responses": "/v1", "gemini": "/v1beta"}


def make_provider(vendor: str, url: str, **config: Any) -> Any:
    """The vendor's adapter, configured as in the product, pointed at a scripted endpoint."""
    name = _PLUGINS[vendor]
    secret = {} if vendor == "ollama" else {"api_key": KEY}
    way = {"api": "responses"} if vendor == "responses" else {}
    given = {"base_url": url + _PATHS.get(vendor, ""), **secret, **way, **config}
    registry = ProviderRegistry(redactor=Redactor(), environment={}, settings={name: given})
    registry.register(import_module(f"mosaic.plugins.{name}").provider)
    provider = registry.ai(name)
    provider.name = vendor
    return provider


def reply(vendor: str, said: Said) -> Reply:
    return json_reply(BODIES[vendor](said))


def stream(vendor: str, said: Said, *, then: Then = "end", keep: int | None = None) -> Reply:
    """A streamed answer; `keep` cuts it after that many events."""
    events = EVENTS[vendor](said)[:keep]
    return line_reply(events, then=then) if vendor == "ollama" else event_reply(events, then=then)


def error_body(vendor: str, message: str, kind: str = "some_error") -> Any:
    if vendor == "ollama":
        return {"error": message}
    if vendor == "cohere":
        return {"message": message}
    if vendor == "gemini":
        return {"error": {"message": message, "status": kind}}
    if vendor == "anthropic":
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


# OpenAI


def openai_body(said: Said) -> dict[str, Any]:
    calls = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in said.calls
    ]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": said.text or None,
        "refusal": None,
        **said.extra,
    }
    if calls:
        message["tool_calls"] = calls
    if said.thought:
        message["reasoning_content"] = said.thought
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": said.finish or ("tool_calls" if calls else "stop"),
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-6.1-sol-2026-10-01",
        "choices": [choice],
        "usage": openai_usage(said),
    }


def openai_usage(said: Said) -> dict[str, Any]:
    read, written = said.usage
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


def openai_events(said: Said) -> list[Any]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if said.thought:
        deltas.append({"reasoning_content": said.thought})
    deltas += [{"content": word} for word in said.text.splitlines(keepends=True)]
    if said.extra.get("refusal"):
        deltas.append({"refusal": said.extra["refusal"]})
    for index, (id_, name, arguments) in enumerate(said.calls):
        deltas.append(
            {
                "tool_calls": [
                    {
                        "index": index,
                        "id": id_,
                        "type": "function",
                        "function": {"name": name, "arguments": ""},
                    }
                ]
            }
        )
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": c}}]} for c in halves(arguments)
        ]
    finish = said.finish or ("tool_calls" if said.calls else "stop")
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-6.1-sol-2026-10-01",
    }
    chunks = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**base, "choices": [], "usage": openai_usage(said)})
    return [*chunks, "[DONE]"]


# Anthropic


def anthropic_blocks(said: Said) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": "sealed"})
    if said.text:
        blocks.append({"type": "text", "text": said.text, "citations": None})
    for id_, name, arguments in said.calls:
        blocks.append({"type": "tool_use", "id": id_, "name": name, "input": json.loads(arguments)})
    return blocks + said.extra.get("blocks", [])


def anthropic_body(said: Said) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": anthropic_blocks(said),
        "stop_reason": said.finish or ("tool_use" if said.calls else "end_turn"),
        "stop_sequence": None,
        "usage": anthropic_usage(said),
    }


def anthropic_usage(said: Said) -> dict[str, Any]:
    read, written = said.usage
    return {
        "input_tokens": read - 4,
        "output_tokens": written,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 1,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def anthropic_events(said: Said) -> list[Any]:
    usage = anthropic_usage(said)
    start = {
        **anthropic_body(said),
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": 1},
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    raw = dict(enumerate(arguments for _, _, arguments in said.calls))
    call = 0
    for index, block in enumerate(anthropic_blocks(said)):
        kind = block["type"]
        empty = dict(block)
        deltas: list[dict[str, Any]] = []
        if kind == "text":
            empty["text"] = ""
            deltas = [
                {"type": "text_delta", "text": word} for word in block["text"].splitlines(keepends=True)
            ]
        elif kind == "thinking":
            empty |= {"thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        elif kind == "tool_use":
            empty["input"] = {}
            deltas = [
                {"type": "input_json_delta", "partial_json": piece} for piece in ("", *halves(raw[call]))
            ]
            call += 1
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": anthropic_body(said)["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": stop, "usage": usage})
    events.append({"type": "message_stop"})
    return [(event["type"], event) for event in events]


# Ollama


def ollama_body(said: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text}
    if said.thought:
        message["thinking"] = said.thought
    if said.calls:
        message["tool_calls"] = [
            {"function": {"name": name, "arguments": json.loads(arguments)}}
            for _, name, arguments in said.calls
        ]
    return {"model": "qwen3:8b", "created_at": "2026-11-01T00:00:00Z", "message": message, **ollama_end(said)}


def ollama_end(said: Said) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": said.finish or "stop",
        "prompt_eval_count": said.usage[0],
        "eval_count": said.usage[1],
        "total_duration": 5,
    }


def ollama_events(said: Said) -> list[Any]:
    base = {"model": "qwen3:8b", "created_at": "2026-11-01T00:00:00Z"}
    messages: list[dict[str, Any]] = []
    if said.thought:
        messages.append({"role": "assistant", "content": "", "thinking": said.thought})
    messages += [{"role": "assistant", "content": word} for word in said.text.splitlines(keepends=True)]
    if said.calls:
        messages.append({**ollama_body(said)["message"], "content": ""})
    lines = [{**base, "message": message, "done": False} for message in messages]
    return [*lines, {**base, "message": {"role": "assistant", "content": ""}, **ollama_end(said)}]


BODIES = {
    "openai": openai_body,
    "anthropic": anthropic_body,
    "ollama": ollama_body,
    "responses": newer_vendors.responses_body,
    "gemini": newer_vendors.gemini_body,
    "cohere": newer_vendors.cohere_body,
}
EVENTS = {
    "openai": openai_events,
    "anthropic": anthropic_events,
    "ollama": ollama_events,
    "responses": newer_vendors.responses_events,
    "gemini": newer_vendors.gemini_events,
    "cohere": newer_vendors.cohere_events,
}
