"""POST /v1/messages and /v1/messages/count_tokens: a client's body in our own words."""

from typing import Any

from mosaic.core.errors import Unsupported
from mosaic.core.values import JsonObject
from mosaic.gateway.wires.members import invalid
from mosaic.gateway.wires.messages_content import read_conversation, read_system
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
from mosaic.gateway.wires.tools import no_parameters
from mosaic.providers import ModelRequest, ReasoningEffort, ToolDefinition

__all__ = ["read_count_request", "read_messages_request"]

_IGNORED = (
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "service_tier",
    "speed",
    "top_k",
)
# Run by Anthropic itself; the others that Anthropic names are run by the client and known to its models alone.
_SERVER_TOOLS = ("web_search_", "web_fetch_", "code_execution_", "tool_search_tool_", "mcp_toolset")
_THINKING = ("enabled", "adaptive", "between_tools", "disabled")
# Thinking budgets in tokens, up to which an effort is meant.
_BUDGETS: tuple[tuple[int, ReasoningEffort], ...] = ((4_096, "low"), (16_384, "medium"))


def read_messages_request(body: bytes) -> Asked:
    """Return what a client asks for.

    Raises:
        InvalidInput: if it is not a request for a message, with the path of what is wrong.
        Unsupported: if no other provider could be asked for it (Anthropic's own tools, stored files).
    """
    shown = read_body(body)
    limit = whole_number(shown.get("max_tokens"), "max_tokens", low=1)
    if limit is None:
        raise invalid("max_tokens", "This member is missing.")
    return _read(shown, body, limit=limit)


def read_count_request(body: bytes) -> Asked:
    """Return the request whose input tokens a client wants to know.

    Raises:
        InvalidInput, Unsupported: as `read_messages_request`.
    """
    return _read(read_body(body), body, limit=None)


def _read(shown: JsonObject, body: bytes, *, limit: int | None) -> Asked:
    model = text_at(shown.get("model"), "model")
    tools, ignored_tools = _tools(shown.get("tools"))
    tool_choice, parallel = _tool_choice(shown.get("tool_choice"), tools)
    config = object_at(shown.get("output_config") or {}, "output_config")
    thinks, thinking = _thinking(shown.get("thinking"), config)
    dropped: list[str] = []
    request = ModelRequest(
        model=model,
        messages=(*read_system(shown.get("system")), *read_conversation(shown.get("messages"), dropped)),
        tools=tools,
        tool_choice=tool_choice,
        output_schema=_schema(shown, config),
        max_output_tokens=limit,
        temperature=number(shown.get("temperature"), "temperature", low=0, high=1),
        stop=texts(shown.get("stop_sequences"), "stop_sequences"),
        metadata=_labels(shown.get("metadata")),
        top_p=number(shown.get("top_p"), "top_p", low=0, high=1),
        reasoning_effort=thinking,
        parallel_tool_calls=parallel,
        prompt_cache=b'"cache_control"' in body,
    )
    fields = [name for name in _IGNORED if shown.get(name) is not None]
    return Asked(
        wire="anthropic.messages" if limit is not None else "anthropic.count_tokens",
        model=model,
        stream=flag(shown.get("stream"), "stream") or False,
        request=request,
        id=new_name(),
        created=seconds(),
        extras={"thinking": thinks},
        ignored=(*fields, *ignored_tools, *dict.fromkeys(dropped)),
    )


def _labels(value: Any) -> dict[str, str]:
    user = optional_text(object_at(value or {}, "metadata").get("user_id"), "metadata.user_id")
    return {"user_id": user} if user else {}


def _schema(shown: JsonObject, config: JsonObject) -> JsonObject | None:
    path = "output_config.format" if config.get("format") is not None else "output_format"
    value = config.get("format") if path == "output_config.format" else shown.get("output_format")
    if value is None:
        return None
    form = object_at(value, path)
    choice(form.get("type"), f"{path}.type", ("json_schema",))
    return object_at(form.get("schema"), f"{path}.schema")


def _thinking(value: Any, config: JsonObject) -> tuple[bool, ReasoningEffort | None]:
    """Return whether thoughts are wanted in the answer, and how much thinking."""
    asked = effort(config.get("effort"), "output_config.effort")
    if value is None:
        return False, asked
    shown = object_at(value, "thinking")
    kind = choice(shown.get("type"), "thinking.type", _THINKING)
    if kind == "disabled":
        return False, "none"
    if kind != "enabled" or asked is not None:
        return True, asked
    budget = whole_number(shown.get("budget_tokens"), "thinking.budget_tokens", low=1)
    if budget is None:
        raise invalid("thinking.budget_tokens", "This member is missing.")
    return True, next((name for most, name in _BUDGETS if budget <= most), "high")


def _tools(value: Any) -> tuple[tuple[ToolDefinition, ...], list[str]]:
    """Return the tools, and the names of those that only Anthropic can run.

    Raises:
        Unsupported: if nothing would be left, or a tool is known to Anthropic's models alone.
    """
    tools: list[ToolDefinition] = []
    ignored: list[str] = []
    for index, item in enumerate(sequence(value, "tools")):
        path = f"tools[{index}]"
        tool = object_at(item, path)
        kind = optional_text(tool.get("type"), f"{path}.type") or "custom"
        if kind == "custom":
            name = text_at(tool.get("name"), f"{path}.name")
            told = optional_text(tool.get("description"), f"{path}.description") or ""
            schema = tool.get("input_schema")
            schema = no_parameters() if schema is None else object_at(schema, f"{path}.input_schema")
            tools.append(ToolDefinition(name, told, schema))
        elif kind.startswith(_SERVER_TOOLS):
            ignored.append(kind)
        else:
            raise _foreign(path, kind)
    if ignored and not tools:
        raise _foreign("tools", ignored[0])
    return tuple(tools), ignored


def _foreign(path: str, kind: str) -> Unsupported:
    return Unsupported(
        f"{path}: The tool {kind[:80]!r} is known to Anthropic's own models only.",
        hint="Use a route that leads to Anthropic, or describe the tool with an `input_schema`.",
    )


def _tool_choice(value: Any, tools: tuple[ToolDefinition, ...]) -> tuple[str, bool | None]:
    """Return the canonical choice, and whether several calls at once are allowed."""
    if value is None or not tools:
        return "auto", None
    shown = object_at(value, "tool_choice")
    kind = choice(shown.get("type"), "tool_choice.type", ("auto", "any", "tool", "none"))
    single = flag(shown.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    parallel = None if single is None else not single
    if kind == "tool":
        name = text_at(shown.get("name"), "tool_choice.name")
        if name not in {tool.name for tool in tools}:
            raise invalid(
                "tool_choice.name",
                "This tool is not among those of `tools` that any provider can be given.",
                hint="A tool that Anthropic runs itself needs a route that leads to Anthropic.",
            )
        return name, parallel
    return {"auto": "auto", "any": "required", "none": "none"}[kind], parallel
