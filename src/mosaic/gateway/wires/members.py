r"""The members of a body's top object, found without reading what they hold.

Two readers of one JSON object may disagree about a key that stands in it twice: we would price one model and the
provider would run another. Such a body is refused here.
"""

import re
from collections.abc import Mapping

import msgspec

from mosaic.core.errors import InvalidInput, Problem

__all__ = ["BODY_DEPTH", "invalid", "members", "syntax_error"]

BODY_DEPTH = 200
"""How deeply a body that we read may be nested."""

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SPACE = re.compile(rb"[ \t\n\r]*")
_KEY = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def invalid(path: str, message: str, *, hint: str | None = None) -> InvalidInput:
    """Return the error for a value at `path`, such as ``messages[0].role``; empty means the body itself."""
    where = f"{path}: {message}" if path else message
    return InvalidInput(where, problems=[Problem(message, path=path)], hint=hint)


def syntax_error(error: Exception) -> InvalidInput:
    """Return the error for a body that is not JSON, or not the object it has to be."""
    if isinstance(error, RecursionError):
        return invalid("", "The body is nested too deeply.")
    if isinstance(error, UnicodeError):
        return invalid("", "The body is not UTF-8.")
    said = str(error)
    if said.startswith("Expected `object`"):
        return invalid("", "The body must be a JSON object.")
    return invalid("", f"The body is not JSON: {said.removeprefix('JSON is malformed: ')}.")


def members(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the top members of `body` by name.

    Raises:
        InvalidInput: if it is not a JSON object, or names a member twice.
    """
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise syntax_error(error) from None
    # A compact body without repetition is exactly as long as its members; anything else is looked at closely.
    size = 1 + max(1, sum([len(memoryview(raw)) + len(name) + 4 for name, raw in found.items()]))
    if size != len(body) and _spaced(found, len(body) - size) != body:
        _check_once(body, found)
    return found


def _spaced(found: Mapping[str, msgspec.Raw], spaces: int) -> bytes | None:
    """Return the members as Python writes them, a space after each comma and colon; None when the size is another."""
    if spaces != 2 * len(found) - 1:
        return None
    written = [b'"%b": %b' % (name.encode("utf-8", "replace"), bytes(raw)) for name, raw in found.items()]
    return b"{" + b", ".join(written) + b"}"


def _check_once(body: bytes, found: Mapping[str, msgspec.Raw]) -> None:
    """Walk from member to member and refuse a name that comes again."""
    seen: set[str] = set()
    at = _after_space(body, 0) + 1
    while body[(at := _after_space(body, at)) : at + 1] == b'"':
        key = _KEY.match(body, at)
        assert key is not None, "the decoder has read this key"  # noqa: S101
        name = msgspec.json.decode(key[0], type=str)
        start = _after_space(body, _after_space(body, key.end()) + 1)
        value = memoryview(found[name])
        end = start + len(value)
        at = _after_space(body, end)
        # Only the last of several values is in `found`: an earlier one differs, or comes again.
        if name in seen or body[start:end] != value or body[at : at + 1] not in (b",", b"}"):
            raise invalid(name, "This member stands in the body twice.", hint="Send each member once.")
        seen.add(name)
        at += 1


def _after_space(body: bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at
