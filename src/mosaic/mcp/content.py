"""What a tool gave back, as MCP says it; and a tool as MCP lists it."""

import json
from typing import Any

import mcp.types as mcp_types
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from mosaic.core.errors import InvalidInput, MosaicError, NotFound
from mosaic.core.values import JsonValue
from mosaic.engine import Safety
from mosaic.tools import RiskClass, ToolEffect, ToolResult, ToolSpec

__all__ = ["error_result", "listed", "protocol_error", "result_of"]

_BLOCKS: TypeAdapter[list[mcp_types.ContentBlock]] = TypeAdapter(list[mcp_types.ContentBlock])
_HARMFUL = frozenset({RiskClass.DESTRUCTIVE, RiskClass.FINANCIAL})


def listed(spec: ToolSpec) -> mcp_types.Tool:
    """Return a tool's entry in a listing. Its name is the one that every model's API accepts."""
    return mcp_types.Tool(
        name=spec.model_name,
        title=spec.name,
        description=spec.description,
        input_schema=spec.input_schema,
        output_schema=spec.output_schema if _is_object(spec.output_schema) else None,
        annotations=mcp_types.ToolAnnotations(
            title=spec.name,
            read_only_hint=spec.risk is RiskClass.READ_ONLY,
            destructive_hint=spec.risk in _HARMFUL,
            idempotent_hint=spec.safety is not Safety.UNSAFE,
            open_world_hint=ToolEffect.NETWORK in spec.effects or spec.risk is RiskClass.EXTERNAL_API,
        ),
        _meta={"mosaic/risk": spec.risk.value, "mosaic/source": spec.source},
    )


def result_of(result: ToolResult, spec: ToolSpec | None = None) -> mcp_types.CallToolResult:
    """Return a result: blocks as they came from another server, structured content where there is an object."""
    content = result.content
    blocks = _foreign_blocks(content)
    structured = content if isinstance(content, dict) and not result.is_error else None
    is_broken = spec is not None and _is_object(spec.output_schema) and structured is None
    return mcp_types.CallToolResult(
        content=blocks if blocks is not None else [_text(content)],
        structured_content=structured,
        # What was cut can no longer be what the tool's schema promises: a client would refuse it as an answer.
        is_error=result.is_error or is_broken,
        _meta=_about(result),
    )


def error_result(error: MosaicError) -> mcp_types.CallToolResult:
    """Return what a model is told of a call that failed: what was wrong, and the next step."""
    lines = [error.message]
    if isinstance(error, InvalidInput):
        lines += [f"- {problem}" for problem in error.problems]
    if error.hint:
        lines.append(error.hint)
    about = {"mosaic/error": error.code}
    if isinstance(call := error.data.get("call_id"), str):
        about["mosaic/call"] = call
    return mcp_types.CallToolResult(content=[_text("\n".join(lines))], is_error=True, _meta=about)


def protocol_error(error: MosaicError) -> MCPError:
    """Return an error as the protocol's own: what a client sent is wrong, or we could not do it."""
    is_theirs = isinstance(error, InvalidInput | NotFound)
    code = mcp_types.INVALID_PARAMS if is_theirs else mcp_types.INTERNAL_ERROR
    return MCPError(code, error.message, error.to_json())


def _foreign_blocks(content: JsonValue) -> list[mcp_types.ContentBlock] | None:
    if not isinstance(content, list) or not content:
        return None
    if not all(isinstance(item, dict) and isinstance(item.get("type"), str) for item in content):
        return None
    try:
        return _BLOCKS.validate_python(content, by_name=False)
    except ValidationError:
        return None


def _text(content: JsonValue) -> mcp_types.TextContent:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    return mcp_types.TextContent(text=text)


def _about(result: ToolResult) -> dict[str, Any] | None:
    about: dict[str, Any] = {}
    if result.truncated:
        about["mosaic/truncated"] = True
    if result.blob is not None:
        about["mosaic/blob"] = result.blob
    return about or None


def _is_object(schema: dict[str, Any] | None) -> bool:
    return schema is not None and schema.get("type") == "object"
