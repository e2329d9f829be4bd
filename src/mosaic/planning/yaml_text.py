"""A value as YAML that people read and `read_plan` reads back: plain where that is safe, quoted where it is not."""

import re
from collections.abc import Iterator

from mosaic.core.values import JsonValue

__all__ = ["to_yaml"]

_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./()+%$€'-]|,(?=\S)| (?=[^ #]))*")
_CONSTANTS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]')
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# Lines that a block keeps as they are: nothing that must be escaped, no blank at an end.
_BLOCK = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff](?:[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff])*"
)
_LONG = 300
_EXACT = 2**53


def to_yaml(value: JsonValue) -> str:
    """Return a mapping as a YAML document."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: JsonValue, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{indent}{_scalar(key)}:", item, indent + "  ")
    elif isinstance(value, list):
        for item in value:
            inner = list(_entry(f"{indent}-", item, indent + "  "))
            if isinstance(item, dict) and len(inner) > 1:
                # The first key stands beside the dash.
                inner = [f"{indent}- {inner[1].lstrip()}", *inner[2:]]
            yield from inner


def _entry(head: str, item: JsonValue, indent: str) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        if _is_short(item):
            yield f"{head} {_flow(item)}"
            return
        yield head
        yield from _lines(item, indent)
    elif isinstance(item, str) and _is_block(item):
        yield f"{head} |-"
        for line in item.split("\n"):
            yield f"{indent}{line}" if line else ""
    else:
        yield f"{head} {_flow(item)}"


def _is_block(text: str) -> bool:
    lines = text.split("\n")
    return (
        len(lines) > 1
        and _BLOCK.fullmatch(text) is not None
        and bool(lines[-1].strip())
        and not any(line != line.rstrip() for line in lines)
    )


def _is_short(value: JsonValue) -> bool:
    """Say whether a value reads well on one line: scalars only, and few."""
    if isinstance(value, dict):
        return bool(value) and len(value) <= 3 and all(_is_number(item) for item in value.values())
    return (
        isinstance(value, list)
        and all(isinstance(item, str) and len(item) <= 40 for item in value)
        and (sum(len(item) + 2 for item in value) <= 90)
    )


def _is_number(item: JsonValue) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _flow(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_in_list(item) for item in value) + "]"
    return _scalar(value)


def _in_list(value: JsonValue) -> str:
    text = _flow(value)
    return _quoted(value) if isinstance(value, str) and "," in text and not text.startswith('"') else text


def _scalar(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT
        return repr(int(value) if is_whole else value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _CONSTANTS and len(text) <= _LONG:
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
