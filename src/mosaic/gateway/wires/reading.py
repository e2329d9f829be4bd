"""Reading a client's JSON value by value; whatever is not what it should be is named with its path.

A path is written as people write it, such as ``messages[0].content[1].type``.
"""

import re
import secrets
import time
from typing import Any

import msgspec

from mosaic.core.values import JsonObject
from mosaic.gateway.wires.encoding import mended
from mosaic.gateway.wires.members import BODY_DEPTH, invalid, members, syntax_error
from mosaic.providers import BlobPart, ReasoningEffort, UriPart, tool_arguments

__all__ = [
    "arguments",
    "choice",
    "effort",
    "flag",
    "media",
    "new_name",
    "number",
    "object_at",
    "optional_text",
    "read_body",
    "seconds",
    "sequence",
    "text_at",
    "texts",
    "whole_number",
]

_EFFORTS: tuple[ReasoningEffort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_DATA_URL = re.compile(r"data:([\w.+/-]*)((?:;[\w.+=-]+)*),", re.ASCII)
_SCHEMES = ("https://", "http://")
_COUNT_LIMIT = 2**53
_SHOWN = 80


def new_name() -> str:
    """Return the name of a new request, without a prefix."""
    return secrets.token_hex(12)


def seconds() -> int:
    """Return the seconds since 1970."""
    return int(time.time())


def read_body(body: bytes) -> JsonObject:
    """Return the object in `body`.

    Raises:
        InvalidInput: if it is not a JSON object, names a top member twice or is nested too deeply.
    """
    members(body)
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise syntax_error(error) from None
    check_depth(value, "")
    return object_at(value, "")


def check_depth(value: Any, path: str) -> None:
    """Refuse what is nested so deeply that whoever writes it again would run out of stack.

    Raises:
        InvalidInput: if it is.
    """
    level = [value]
    for _ in range(BODY_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                deeper += [child for child in item.values() if isinstance(child, dict | list)]
            elif isinstance(item, list):
                deeper += [child for child in item if isinstance(child, dict | list)]
        if not deeper:
            return
        level = deeper
    raise invalid(path, f"This is nested more than {BODY_DEPTH} levels deep.")


def object_at(value: Any, path: str) -> JsonObject:
    """Return `value`, which must be an object."""
    if not isinstance(value, dict):
        raise invalid(path, f"Expected an object, got {_kind(value)}.")
    return value


def sequence(value: Any, path: str) -> list[Any]:
    """Return `value`, which must be a list; nothing for null."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid(path, f"Expected a list, got {_kind(value)}.")
    return value


def text_at(value: Any, path: str) -> str:
    """Return `value`, which must be text."""
    if not isinstance(value, str):
        raise invalid(path, f"Expected text, got {_kind(value)}.")
    return value


def optional_text(value: Any, path: str) -> str | None:
    """Return `value`, which must be text or null."""
    return None if value is None else text_at(value, path)


def texts(value: Any, path: str) -> tuple[str, ...]:
    """Return the texts of one text, a list of texts or null."""
    if isinstance(value, str):
        return (value,)
    return tuple(text_at(item, f"{path}[{index}]") for index, item in enumerate(sequence(value, path)))


def flag(value: Any, path: str) -> bool | None:
    """Return `value`, which must be true, false or null."""
    if value is not None and not isinstance(value, bool):
        raise invalid(path, f"Expected true or false, got {_kind(value)}.")
    return value


def number(value: Any, path: str, *, low: float, high: float) -> float | None:
    """Return `value`, which must be a number from `low` to `high`, or null."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(path, f"Expected a number, got {_kind(value)}.")
    if not low <= value <= high:
        raise invalid(path, f"Expected a number from {low:g} to {high:g}.")
    return float(value)


def whole_number(value: Any, path: str, *, low: int = -_COUNT_LIMIT, high: int = _COUNT_LIMIT) -> int | None:
    """Return `value`, which must be a whole number from `low` to `high`, or null."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(path, f"Expected a whole number, got {_kind(value)}.")
    if not low <= value <= high:
        raise invalid(path, f"Expected a whole number from {low} to {high}.")
    return value


def choice(value: Any, path: str, known: tuple[str, ...]) -> str:
    """Return `value`, which must be one of the `known` words."""
    if not isinstance(value, str) or value not in known:
        shown = repr(value[:_SHOWN]) if isinstance(value, str) else _kind(value)
        raise invalid(path, f"Expected one of {', '.join(known)}; got {shown}.")
    return value


def effort(value: Any, path: str) -> ReasoningEffort | None:
    """Return the reasoning effort that `value` names; None for null."""
    if value is None:
        return None
    return _EFFORTS[_EFFORTS.index(choice(value, path, _EFFORTS))]


def arguments(value: Any, path: str) -> JsonObject:
    """Return a call's arguments from the text a model once wrote; what is not JSON comes marked, as it did then."""
    written = text_at(value, path) if value is not None else ""
    try:
        found = msgspec.json.decode(written)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        found = mended(tool_arguments(written))
    check_depth(found, path)
    return object_at(found, path)


def media(modality: Any, address: str, path: str, *, mime_type: str | None = None) -> BlobPart | UriPart:
    """Return the content at `address`: a ``data:`` URL holds it, anything else says where it is.

    Raises:
        InvalidInput: if the address is neither a ``data:`` URL with base64 nor an http or https address.
    """
    if address.startswith("data:"):
        found = _DATA_URL.match(address)
        if found is None or not found[2].endswith(";base64"):
            raise invalid(path, "Expected a data: URL with base64.")
        return BlobPart(modality, found[1] or mime_type or "application/octet-stream", address[found.end() :])
    if not address.lower().startswith(_SCHEMES):
        raise invalid(path, "Expected an http or https address, or a data: URL.")
    return UriPart(modality, mime_type, address)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    names = {bool: "a truth value", int: "a number", float: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object")
