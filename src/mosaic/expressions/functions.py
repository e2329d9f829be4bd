"""The functions that expressions have beyond CEL's own, each with a bound on what it may make.

CEL itself brings ``size``, ``has``, ``type``, the conversions, ``contains``, ``startsWith``, ``endsWith``,
``matches`` and the macros. The names here follow cel-go's extension libraries; ``x.f(a)`` and ``f(x, a)`` are one.
"""

import base64
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["FAMILIAR", "FUNCTIONS", "NATIVE_FUNCTIONS"]

_MAX_TEXT = 1_000_000
_MAX_ITEMS = 100_000

NATIVE_FUNCTIONS = frozenset(
    {
        "bool", "bytes", "contains", "double", "duration", "dyn", "endsWith", "getDate", "getDayOfMonth",
        "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth",
        "getSeconds", "has", "int", "matches", "size", "startsWith", "string", "timestamp", "type", "uint",
    }
)  # fmt: skip


FAMILIAR = {
    "any": "exists", "concat": "join", "count": "size", "find": "indexOf", "float": "double", "fromJson": "parseJson",
    "len": "size", "length": "size", "lower": "lowerAscii", "regex": "matches", "sorted": "sort", "str": "string",
    "strip": "trim", "substr": "substring", "toJson": "json", "toLowerCase": "lowerAscii", "toString": "string",
    "toUpperCase": "upperAscii", "unique": "distinct", "upper": "upperAscii",
}  # fmt: skip
"""What other languages call some of them, for suggestions."""


def _bounded(text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"the text would be longer than {_MAX_TEXT} characters")
    return text


def _replace(text: str, old: str, new: str) -> str:
    if len(text) + text.count(old) * max(0, len(new) - len(old)) > _MAX_TEXT:
        raise ValueError(f"the text would be longer than {_MAX_TEXT} characters")
    return text.replace(old, new)


def _join(items: Sequence[Any], separator: str = "") -> str:
    texts = [item if isinstance(item, str) else _json(item) for item in items]
    if sum(map(len, texts)) + len(separator) * len(texts) > _MAX_TEXT:
        raise ValueError(f"the text would be longer than {_MAX_TEXT} characters")
    return separator.join(texts)


def _split(text: str, separator: str) -> list[str]:
    if not separator:
        raise ValueError("split needs a separator")
    return text.split(separator, _MAX_ITEMS)


def _lines(text: str) -> list[str]:
    return text.splitlines()


def _json(value: Any) -> str:
    return _bounded(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def _parse_json(text: str) -> Any:
    try:
        return json.loads(_bounded(text))
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _flatten(items: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        flat.extend(item if isinstance(item, list) else [item])
        if len(flat) > _MAX_ITEMS:
            raise ValueError(f"the list would hold more than {_MAX_ITEMS} items")
    return flat


def _distinct(items: Sequence[Any]) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in items:
        seen.setdefault(json.dumps(item, sort_keys=True, default=str), item)
    return list(seen.values())


def _sort(items: Sequence[Any]) -> list[Any]:
    return sorted(items)


def _numbers(values: tuple[Any, ...]) -> Sequence[Any]:
    return values[0] if len(values) == 1 and isinstance(values[0], list) else values


def _first(items: Sequence[Any]) -> Any:
    return items[0] if items else None


def _last(items: Sequence[Any]) -> Any:
    return items[-1] if items else None


def _slice(items: Any, start: int, end: int) -> Any:
    if start < 0 or end < start:
        raise ValueError("slice takes 0 <= start <= end")
    return items[start:end]


def _merge(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {**first, **second}


FUNCTIONS: dict[str, Callable[..., Any]] = {
    # text
    "join": _join,
    "split": _split,
    "lines": _lines,
    "replace": _replace,
    "trim": lambda text: text.strip(),
    "lowerAscii": lambda text: text.lower() if text.isascii() else _ascii(text, str.lower),
    "upperAscii": lambda text: text.upper() if text.isascii() else _ascii(text, str.upper),
    "substring": lambda text, start, end=None: _slice(text, start, len(text) if end is None else end),
    "indexOf": lambda text, part: text.find(part),
    "json": _json,
    "parseJson": _parse_json,
    # lists and maps
    "flatten": _flatten,
    "distinct": _distinct,
    "sort": _sort,
    "reverse": lambda items: items[::-1],
    "slice": _slice,
    "first": _first,
    "last": _last,
    "keys": sorted,
    "values": lambda value: [value[key] for key in sorted(value)],
    "merge": _merge,
    # numbers
    "min": lambda *values: min(_numbers(values)),
    "max": lambda *values: max(_numbers(values)),
    "sum": lambda *values: sum(_numbers(values)),
    "math.abs": abs,
    "math.ceil": lambda number: float(math.ceil(number)),
    "math.floor": lambda number: float(math.floor(number)),
    "math.round": lambda number: float(math.floor(number + 0.5)),
    # bytes
    "base64.encode": lambda data: base64.b64encode(data).decode(),
    "base64.decode": lambda text: base64.b64decode(text, validate=True),
}


def _ascii(text: str, change: Callable[[str], str]) -> str:
    return "".join(change(char) if char.isascii() else char for char in text)
