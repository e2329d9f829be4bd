"""JSON values, their canonical bytes and their content hash."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["JsonObject", "JsonValue", "canonical_json", "content_hash", "to_json"]

# `Any` in the containers on purpose: a recursive alias makes every reader of a nested value cast it.
JsonValue: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
JsonObject: TypeAlias = dict[str, Any]


def canonical_json(value: JsonValue) -> bytes:
    """Return the one byte form of `value`: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: if the value holds NaN or an infinity, which JSON has no form for.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def content_hash(content: bytes | JsonValue) -> str:
    """Return ``sha256:<hex>`` of bytes, or of the canonical form of a JSON value."""
    data = content if isinstance(content, bytes) else canonical_json(content)
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value: object) -> JsonValue:
    """Return `value` as a plain JSON value; tuples become lists, unknown objects their text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [to_json(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    return str(value)
