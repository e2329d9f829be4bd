"""POST /v1/responses: a client's body in our own words."""

from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.chat_request import json_form, labels
from mosaic.gateway.wires.reading import (
    effort,
    flag,
    new_name,
    number,
    object_at,
    optional_text,
    read_body,
    seconds,
    text_at,
    texts,
    whole_number,
)
from mosaic.gateway.wires.responses_input import read_input
from mosaic.gateway.wires.responses_tools import Toolbox
from mosaic.gateway.wires.schemas import Asked
from mosaic.providers import Message, ModelRequest

__all__ = ["read_responses_request"]

_IGNORED = (
    "context_management",
    "max_tool_calls",
    "moderation",
    "service_tier",
    "top_logprobs",
    "truncation",
)
# What is kept at OpenAI, by the name of the member that asks for it.
_STORED = {
    "previous_response_id": "Send the whole conversation in `input`.",
    "conversation": "Send the whole conversation in `input`.",
    "prompt": "Send the prompt itself in `instructions`.",
    "background": "Leave `background` out and wait for the answer.",
}
_ECHOED = (
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "top_p",
    "truncation",
    "user",
)
_ENCRYPTED = "reasoning.encrypted_content"


def read_responses_request(body: bytes) -> Asked:
    """Return what a client asks for.

    Raises:
        InvalidInput: if it is not a request for a response, with the path of what is wrong.
        Unsupported: if no other provider could be asked for it (stored conversations, OpenAI's own tools).
    """
    shown = read_body(body)
    for name, hint in _STORED.items():
        if shown.get(name) not in (None, False):
            raise Unsupported(f"{name}: Only the provider that keeps this can use it.", hint=hint)
    model = text_at(shown.get("model"), "model")
    tools = Toolbox()
    tools.read(shown.get("tools"), "tools")
    dropped: list[str] = []
    messages = read_input(shown.get("input"), tools, dropped)
    instructions = optional_text(shown.get("instructions"), "instructions")
    if instructions:
        messages = (Message.of("system", instructions), *messages)
    tool_choice = tools.choose(shown.get("tool_choice"))
    request = ModelRequest(
        model=model,
        messages=messages,
        tools=tools.offered(),
        tool_choice=tool_choice,
        output_schema=_schema(shown.get("text")),
        max_output_tokens=whole_number(shown.get("max_output_tokens"), "max_output_tokens", low=1),
        temperature=number(shown.get("temperature"), "temperature", low=0, high=2),
        metadata=labels(shown.get("metadata")),
        top_p=number(shown.get("top_p"), "top_p", low=0, high=1),
        reasoning_effort=_effort(shown.get("reasoning")),
        parallel_tool_calls=flag(shown.get("parallel_tool_calls"), "parallel_tool_calls"),
        prompt_cache=shown.get("prompt_cache_key") is not None,
    )
    fields = [name for name in _IGNORED if shown.get(name) not in (None, "auto", "disabled", 0)]
    return Asked(
        wire="openai.responses",
        model=model,
        stream=flag(shown.get("stream"), "stream") or False,
        request=request,
        id=new_name(),
        created=seconds(),
        extras={
            "custom_tools": sorted(tools.custom),
            "namespaces": tools.namespaces,
            "encrypted": _ENCRYPTED in texts(shown.get("include"), "include"),
            "echo": _echo(shown),
        },
        ignored=(*fields, *tools.ignored, *dict.fromkeys(dropped)),
    )


def _schema(value: Any) -> JsonObject | None:
    return None if value is None else json_form(object_at(value, "text").get("format"), "text.format")


def _effort(value: Any) -> Any:
    return None if value is None else effort(object_at(value, "reasoning").get("effort"), "reasoning.effort")


def _echo(shown: JsonObject) -> JsonObject:
    """Return what a response repeats of its request."""
    echo = {name: shown[name] for name in _ECHOED if shown.get(name) is not None}
    echo["tools"] = [
        {"strict": False, "parameters": None, **tool} if tool.get("type") == "function" else tool
        for tool in shown.get("tools") or ()
    ]
    return echo
