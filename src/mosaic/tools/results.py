"""Bounds results: what a model gets, what an event shows, what is kept whole elsewhere."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonValue
from mosaic.tools.errors import MODEL_READABLE, NEVER_READABLE
from mosaic.tools.schemas import ToolResult
from mosaic.tools.validation import strict_json

__all__ = ["Bounds", "bounded_result", "model_result", "shown_json"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a result is taken.

    Attributes:
        result_bytes: stays in the result.
        kept_bytes: is stored whole; more than four times that is refused.
    """

    result_bytes: int
    kept_bytes: int


async def bounded_result(
    result: ToolResult,
    bounds: Bounds,
    *,
    what: str,
    redactor: Redactor,
    keep: Callable[[bytes], Awaitable[str]],
) -> ToolResult:
    """Return a result as plain JSON, masked and within its bound; what was cut is kept apart.

    Raises:
        ContractViolation: if it is no JSON, or beyond all bounds.
    """
    content, size_bytes = strict_json(result.content, what=what, limit_bytes=4 * bounds.kept_bytes)
    content = redactor.value(content)
    if size_bytes <= bounds.result_bytes:
        return replace(result, content=content)
    whole = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    blob = result.blob
    if blob is None:
        blob = await keep(whole.encode("utf-8", "replace")[: bounds.kept_bytes])
    return replace(result, content=cut_text(whole, bounds.result_bytes), truncated=True, blob=blob)


def cut_text(text: str, limit_bytes: int) -> str:
    """Return head and tail of a text, about `limit_bytes` together, and say how much is missing."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return text
    head, tail = data[: limit_bytes * 3 // 4], data[-(limit_bytes // 4) :]
    missing = len(data) - len(head) - len(tail)
    return f"{head.decode('utf-8', 'ignore')}\n[... {missing} bytes left out ...]\n{tail.decode('utf-8', 'ignore')}"


def shown_json(value: JsonValue, limit_characters: int) -> JsonValue:
    """Return a value for people to look at: long texts in it are cut, and all of it when it is still too long."""
    shown = _shortened(value, max(200, limit_characters // 4))
    text = json.dumps(shown, ensure_ascii=False, default=str)
    return (
        shown if len(text) <= limit_characters else f"{text[:limit_characters]}... ({len(text)} characters)"
    )


def _shortened(value: JsonValue, longest: int) -> JsonValue:
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]}... ({len(value)} characters)"
    if isinstance(value, list):
        return [_shortened(item, longest) for item in value[:100]]
    if isinstance(value, dict):
        return {key: _shortened(item, longest) for key, item in list(value.items())[:100]}
    return value


def model_result(error: MosaicError) -> ToolResult | None:
    """Return the failed tool result that tells a model about `error`; None when a model must not go on."""
    if not isinstance(error, MODEL_READABLE) or isinstance(error, NEVER_READABLE):
        return None
    content: dict[str, Any] = {"error": error.code, "message": error.message}
    if error.hint:
        content["hint"] = error.hint
    if isinstance(error, InvalidInput) and error.problems:
        content["problems"] = [str(problem) for problem in error.problems]
    return ToolResult(content, is_error=True)
