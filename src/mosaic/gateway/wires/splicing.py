"""Small changes to a body that passes through: another model's name, a request for usage."""

import re
from collections.abc import Mapping

import msgspec

from mosaic.gateway.wires.encoding import as_json
from mosaic.gateway.wires.members import invalid, members

__all__ = ["ensure_usage", "replace_members", "splice_model"]

_MODEL = re.compile(rb'"model"[ \t\n\r]*:[ \t\n\r]*("(?:[^"\\]|\\.)*")', re.DOTALL)
# The beginning of every escape for a letter from a to o, with which a key could hide.
_HIDDEN = b"\\u006"
_ASKED = b'{"stream_options":{"include_usage":true},'


def splice_model(body: bytes, model: str) -> bytes:
    """Return `body` with `model` as its model and all else as it was. `peek` must have accepted it.

    Raises:
        InvalidInput: if it names no model, or names a member twice.
    """
    written = as_json(model)
    if body.count(b'"model"') == 1 and _HIDDEN not in body:
        match = _MODEL.search(body)
        if match is not None:
            start, end = match.span(1)
            return body[:start] + written + body[end:]
    # A tool has an argument of that name, or more: only the top member counts.
    return replace_members(body, {"model": written})


def ensure_usage(body: bytes) -> tuple[bytes, bool]:
    """Return the body of a streamed chat request so that usage is sent, and whether that was added.

    When it was, the client has not asked for the extra chunk: let the scanner strip it. `peek` must have accepted
    the body.

    Raises:
        InvalidInput: if `stream_options` is not an object.
    """
    if b"stream_options" not in body and b"\\u00" not in body:
        return _ASKED + body[body.index(b"{") + 1 :], True
    raw = members(body).get("stream_options")
    if raw is None:
        return _ASKED + body[body.index(b"{") + 1 :], True
    options = msgspec.json.decode(raw)
    if options is not None and not isinstance(options, dict):
        raise invalid("stream_options", "Expected an object.")
    if options and options.get("include_usage") is True:
        return body, False
    written = as_json({**(options or {}), "include_usage": True})
    return replace_members(body, {"stream_options": written}), True


def replace_members(body: bytes, written: Mapping[str, bytes]) -> bytes:
    """Return `body` with these top members, as they are written here, in place of its own.

    Raises:
        InvalidInput: if it has not all of them, or names a member twice.
    """
    found: dict[str, bytes | msgspec.Raw] = {**members(body)}
    for name, value in written.items():
        if name not in found:
            raise invalid(name, "This member is missing.")
        found[name] = value
    return b"{" + b",".join([as_json(key) + b":" + bytes(value) for key, value in found.items()]) + b"}"
