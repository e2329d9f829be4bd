"""POST /v1/chat/completions: a client's body in our own words."""

from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.chat_messages import read_messages
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.reading import (
    choice,
    effort,
    flag,
    new_name,
    number,
    object_at,
    optional_text,
    read_body,
    seconds,
    sequence,
    text_at,
    texts,
    whole_number,
)
from mosaic.gateway.wires.schemas import Asked
from mosaic.gateway.wires.tools import custom_tool, no_parameters
from mosaic.providers import ModelRequest, ToolDefinition

__all__ = ["json_form", "labels", "read_chat_request"]

# What changes how an answer is sampled or billed, and has no counterpart with other providers.
_IGNORED = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "moderation",
    "prediction",
    "presence_penalty",
    "service_tier",
    "store",
    "top_logprobs",
    "verbosity",
    "web_search_options",
)


def read_chat_request(body: bytes) -> Asked:
    """Return what a client asks for.

    Raises:
        InvalidInput: if it is not a chat completion request, with the path of what is wrong.
        Unsupported: if no other provider could be asked for it (several answers, audio, stored files).
    """
    shown = read_body(body)
    _refuse(shown)
    model = text_at(shown.get("model"), "model")
    tools, custom = _tools(shown.get("tools"))
    tools, tool_choice = _tool_choice(shown.get("tool_choice"), tools)
    limit = shown.get("max_completion_tokens")
    limit = shown.get("max_tokens") if limit is None else limit
    options = object_at(shown.get("stream_options") or {}, "stream_options")
    request = ModelRequest(
        model=model,
        messages=read_messages(shown.get("messages")),
        tools=tools,
        tool_choice=tool_choice,
        output_schema=json_form(shown.get("response_format"), "response_format"),
        max_output_tokens=whole_number(limit, "max_completion_tokens", low=1),
        temperature=number(shown.get("temperature"), "temperature", low=0, high=2),
        stop=texts(shown.get("stop"), "stop"),
        metadata=labels(shown.get("metadata")),
        top_p=number(shown.get("top_p"), "top_p", low=0, high=1),
        seed=whole_number(shown.get("seed"), "seed"),
        reasoning_effort=effort(shown.get("reasoning_effort"), "reasoning_effort"),
        parallel_tool_calls=flag(shown.get("parallel_tool_calls"), "parallel_tool_calls"),
        prompt_cache=shown.get("prompt_cache_key") is not None,
    )
    return Asked(
        wire="openai.chat",
        model=model,
        stream=flag(shown.get("stream"), "stream") or False,
        request=request,
        id=new_name(),
        created=seconds(),
        extras={
            "include_usage": flag(options.get("include_usage"), "stream_options.include_usage") or False,
            "custom_tools": custom,
        },
        ignored=tuple(name for name in _IGNORED if shown.get(name) not in (None, False)),
    )


def labels(value: Any) -> dict[str, str]:
    """Return the client's own labels; those that are not text are left out."""
    shown = object_at(value or {}, "metadata")
    return {name: label for name, label in shown.items() if isinstance(label, str)}


def json_form(value: Any, path: str) -> JsonObject | None:
    """Return the schema that an answer must fit; None when any text will do.

    Takes the form of chat completions, where the schema stands in `json_schema`, and the one of responses.
    """
    if value is None:
        return None
    form = object_at(value, path)
    kind = choice(form.get("type"), f"{path}.type", ("text", "json_object", "json_schema"))
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    inner, where = (form["json_schema"], f"{path}.json_schema") if "json_schema" in form else (form, path)
    schema = object_at(inner, where).get("schema")
    return {"type": "object"} if schema is None else object_at(schema, f"{where}.schema")


def _refuse(shown: JsonObject) -> None:
    if shown.get("functions") is not None or shown.get("function_call") is not None:
        raise invalid(
            "functions", "This form is too old to translate.", hint="Send `tools` and `tool_choice`."
        )
    if shown.get("n") not in (None, 1):
        whole_number(shown.get("n"), "n", low=1, high=128)
        raise Unsupported(
            "n: Several answers to one request can be had only from a provider of the same protocol.",
            hint="Send the request several times.",
        )
    if "audio" in texts(shown.get("modalities"), "modalities"):
        raise Unsupported("modalities: Spoken answers can be had only from a provider of the same protocol.")


def _tools(value: Any) -> tuple[tuple[ToolDefinition, ...], list[str]]:
    tools: list[ToolDefinition] = []
    custom: list[str] = []
    for index, item in enumerate(sequence(value, "tools")):
        path = f"tools[{index}]"
        tool = object_at(item, path)
        kind = choice(tool.get("type"), f"{path}.type", ("function", "custom"))
        inner = object_at(tool.get(kind), f"{path}.{kind}")
        name = text_at(inner.get("name"), f"{path}.{kind}.name")
        told = optional_text(inner.get("description"), f"{path}.{kind}.description") or ""
        if kind == "custom":
            custom.append(name)
            tools.append(custom_tool(name, told, _grammar(inner.get("format"), f"{path}.custom.format")))
            continue
        schema = inner.get("parameters")
        schema = no_parameters() if schema is None else object_at(schema, f"{path}.function.parameters")
        tools.append(ToolDefinition(name, told, schema))
    return tuple(tools), custom


def _grammar(value: Any, path: str) -> str | None:
    if value is None:
        return None
    form = object_at(value, path)
    inner = object_at(form.get("grammar") or {}, f"{path}.grammar")
    return optional_text(inner.get("definition"), f"{path}.grammar.definition")


def _tool_choice(value: Any, tools: tuple[ToolDefinition, ...]) -> tuple[tuple[ToolDefinition, ...], str]:
    """Return the tools that may be called and the canonical choice among them."""
    if value is None or not tools:
        return tools, "auto"
    if isinstance(value, str):
        return tools, choice(value, "tool_choice", ("auto", "required", "none"))
    shown = object_at(value, "tool_choice")
    kind = choice(shown.get("type"), "tool_choice.type", ("function", "custom", "allowed_tools"))
    inner = object_at(shown.get(kind), f"tool_choice.{kind}")
    if kind != "allowed_tools":
        name = text_at(inner.get("name"), f"tool_choice.{kind}.name")
        if name not in {tool.name for tool in tools}:
            raise invalid(f"tool_choice.{kind}.name", "This tool is not among `tools`.")
        return tools, name
    mode = choice(inner.get("mode"), "tool_choice.allowed_tools.mode", ("auto", "required"))
    allowed = set()
    for index, item in enumerate(sequence(inner.get("tools"), "tool_choice.allowed_tools.tools")):
        path = f"tool_choice.allowed_tools.tools[{index}]"
        tool = object_at(item, path)
        named = object_at(tool.get(str(tool.get("type"))), path)
        allowed.add(text_at(named.get("name"), f"{path}.name"))
    return tuple(tool for tool in tools if tool.name in allowed), mode
