"""JSON bytes and server-sent events. What a provider sent may hold half a surrogate pair; what we write never does."""

import json
import math
from typing import Any

import msgspec

__all__ = ["as_json", "event", "mended", "named_event"]

_encode = msgspec.json.Encoder().encode


def as_json(value: Any) -> bytes:
    """Return `value` as compact JSON; half a surrogate pair becomes the replacement character."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return as_json(mended(value))
    except OverflowError:  # a whole number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def event(value: Any) -> bytes:
    """Return one event without a name, as OpenAI's chat streams them."""
    return b"data: " + as_json(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """Return one event named by its `type`, as Anthropic and OpenAI's responses stream them."""
    return b"event: " + str(value["type"]).encode() + b"\ndata: " + as_json(value) + b"\n\n"


def mended(value: Any) -> Any:
    """Return `value` with texts that are valid Unicode and numbers that are finite."""
    if isinstance(value, str):
        # A pair that was decoded in two halves is one character again.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {mended(key): mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mended(item) for item in value]
    return value
