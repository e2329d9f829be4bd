"""CEL programs: compiled once, run over JSON values, bounded in work and size.

The evaluator holds the interpreter lock while it runs and cannot be stopped, so the work is estimated before each
run, from the lengths of the lists that an expression's macros walk, and refused when it would take long.
"""

import base64
import contextlib
import datetime
import importlib.machinery
import importlib.util
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, TypeAlias, cast

from mosaic.core.values import JsonValue
from mosaic.expressions.functions import FAMILIAR, FUNCTIONS, NATIVE_FUNCTIONS
from mosaic.expressions.references import Macro, Reference, Scan, scan

__all__ = ["MAX_EXPRESSION", "CelError", "Program", "compile_program", "json_kind"]

MAX_EXPRESSION = 4000
"""Characters in one expression."""
MAX_LOOPS = 3
"""Macros inside macros."""
MAX_WORK = 10_000_000
"""Estimated steps of one evaluation: about half a second at worst."""
MAX_NODES = 1_000_000
"""Values that one evaluation may take in or give out."""

_WIDENING = frozenset({"split", "lines", "flatten", "parseJson"})  # give a longer list than they take
_ORDERED = frozenset({"map", "filter"})  # whose result has the order of what they walk
_OBJECTS = frozenset({"{", "merge", "parseJson", "first", "last"})  # may give an object, which has no order
_SYNTAX_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


class CelError(Exception):
    """An expression is wrong or failed: `message` and the `offset` in it where that shows.

    Not a `MosaicError`: it knows no file; who holds the file turns it into an error that does.
    """

    def __init__(self, message: str, offset: int = 0, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.suggestion = suggestion


@cache
def _library() -> Any:
    """Return the CEL extension module without its Python package.

    The package imports a command line with prompt_toolkit, 350 ms; the extension alone takes 8 ms.
    """
    log = logging.getLogger("cel")  # warns with the values of failed calls, which may be private
    log.addHandler(logging.NullHandler())
    log.propagate = False
    package = importlib.util.find_spec("cel")
    spec = package and importlib.machinery.PathFinder.find_spec("cel.cel", package.submodule_search_locations)
    if not spec or not spec.loader:
        raise ImportError("common-expression-language is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class Program:
    """One compiled expression."""

    source: str
    scan: Scan
    compiled: Any
    functions: tuple[str, ...]
    wanted: "Mapping[str, _Wanted]"

    def run(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value of the expression in `scope`; treat it as read-only: a plain chain is not copied.

        Raises:
            CelError: if it fails, would work too long, or gives something that JSON has no form for.
        """
        for reference in self.scan.references:
            if reference.name not in scope:
                raise CelError(f"unknown variable `{reference.name}`", reference.offset)
        if self.scan.is_chain:
            return _follow(self.scan.references[0], scope)
        self._bound(scope)
        values = {name: _pruned(scope[name], wanted) for name, wanted in self.wanted.items()}
        functions = {name: FUNCTIONS[name] for name in self.functions}
        try:
            context = _library().Context(values, functions) if functions else values
            result = self.compiled.execute(context)
        except Exception as error:  # noqa: BLE001  # the library raises whatever fits; each is one failed expression
            raise self._explained(error, scope) from None
        return _Plain().value(result)

    def _bound(self, scope: Mapping[str, JsonValue]) -> None:
        sizes = [_size(reference, scope) for reference in self.scan.references]
        widest = self.scan.length + sum(size.widest for size in sizes)
        if not _WIDENING.isdisjoint(self.functions):
            widest += sum(size.nodes + size.characters for size in sizes)
        ranges: list[int] = []
        work = 0
        for macro in self.scan.macros:
            length = widest if macro.receiver is None else _size(macro.receiver, scope).length
            ranges.append(max(1, length))
            if macro.name in _ORDERED and macro.receiver is not None:
                _refuse_objects(macro, scope)
            # `map` and `filter` copy the list that they build for every item.
            steps = ranges[-1] ** 2 if macro.name in _ORDERED else ranges[-1]
            work += steps * math.prod(ranges[index] for index in macro.loops)
        for reference, size in zip(self.scan.references, sizes, strict=True):
            each = any(member.kind == "each" for member in reference.path)
            loops = reference.loops[:-1] if each else reference.loops
            work += size.nodes * math.prod(ranges[index] for index in loops)
        if work > MAX_WORK:
            raise CelError(
                "this would take too much work over values this large",
                suggestion="loop over fewer items, or compute it in a `run` step",
            )

    def _explained(self, error: Exception, scope: Mapping[str, JsonValue]) -> CelError:
        """Return the first chain that leads nowhere, as the library names neither it nor its place."""
        key = str(error.args[0]) if isinstance(error, KeyError) and error.args else None
        for reference in self.scan.references:
            path = reference.path[:-1] if reference.tested else reference.path
            try:
                _follow(replace(reference, path=path), scope)
            except CelError as found:
                # With a test for null beside it, the chain may be one that was rightly not followed.
                if key is None and "null" in self.source:
                    continue
                if key is None or f"`{key}`" in found.message:
                    return found
        return CelError(_reason(error))


@lru_cache(maxsize=4096)
def compile_program(source: str) -> Program:
    """Return the compiled form of an expression.

    Raises:
        CelError: if the syntax is wrong, a function is unknown or it is too long.
    """
    if len(source) > MAX_EXPRESSION:
        raise CelError(f"an expression has at most {MAX_EXPRESSION} characters; this one has {len(source)}")
    try:
        compiled = _library().compile(source)
    except Exception as error:  # noqa: BLE001  # a syntax error is a ValueError, a nesting limit may not be
        raise _syntax_error(source, str(error)) from None
    found = scan(source)
    for macro in found.macros:
        if len(macro.loops) >= MAX_LOOPS:
            raise CelError(f"macros nest at most {MAX_LOOPS} deep", macro.offset)
        if macro.name in _ORDERED and macro.call in _OBJECTS:
            raise _no_order(macro)
    return Program(source, found, compiled, _functions(found), _wanted(found))


_Wanted: TypeAlias = "dict[str, _Wanted] | None"


def _wanted(found: Scan) -> dict[str, _Wanted]:
    """Return which fields of each variable the expression can reach; None = all of it.

    The library converts whole values, so an expression over one field of a large output must not be given the rest.
    """
    wanted: dict[str, _Wanted] = {}
    for reference in found.references:
        level, key = wanted, reference.name
        for member in reference.path:
            if member.kind != "field" or level.get(key, {}) is None:
                break
            inner = level.setdefault(key, {})
            level, key = cast("dict[str, _Wanted]", inner), str(member.key)
        level[key] = None
    return wanted


def _pruned(value: Any, wanted: _Wanted) -> Any:
    if wanted is None or not isinstance(value, dict):
        return value
    return {key: _pruned(value[key], inner) for key, inner in wanted.items() if key in value}


def _no_order(macro: Macro) -> CelError:
    message = f"`{macro.name}` over an object has no order, so a resumed run could see another one"
    return CelError(message, macro.offset, "walk `keys(x)` or `values(x)`, which are sorted")


def _refuse_objects(macro: Macro, scope: Mapping[str, JsonValue]) -> None:
    if macro.receiver is not None and any(isinstance(item, dict) for item in _targets(macro.receiver, scope)):
        raise _no_order(macro)


def _targets(reference: Reference, scope: Mapping[str, JsonValue]) -> list[JsonValue]:
    """Return every value that a chain stands for, one per item where it goes through the items of a list."""
    values: list[Any] = [scope[reference.name]]
    for member in reference.path:
        if member.kind == "each":
            values = [item for value in values if isinstance(value, list) for item in value]
        elif member.kind == "any":
            values = [
                item
                for value in values
                if isinstance(value, list | dict)
                for item in (value.values() if isinstance(value, dict) else value)
            ]
        else:
            values = [value for value in values if isinstance(value, list | dict)]
            with contextlib.suppress(CelError):
                values = [_step(value, member.key, member.offset, "") for value in values]
    return values


def _functions(found: Scan) -> tuple[str, ...]:
    from difflib import get_close_matches  # noqa: PLC0415  # only needed for an error

    ours: dict[str, None] = {}
    for name, offset in found.functions:
        if name in FUNCTIONS:
            ours[name] = None
        elif name not in NATIVE_FUNCTIONS:
            near = get_close_matches(name, [*FUNCTIONS, *NATIVE_FUNCTIONS, *FAMILIAR], n=1)
            right = FAMILIAR.get(near[0], near[0]) if near else None
            raise CelError(
                f"unknown function `{name}`", offset, f"did you mean `{right}`?" if right else None
            )
    return tuple(ours)


def _syntax_error(source: str, text: str) -> CelError:
    found = _SYNTAX_ERROR.search(text)
    if found is None:
        return CelError("this is not an expression, or it is nested too deeply")
    line, column, reason = int(found[1]), int(found[2]), found[3]
    lines = source.split("\n")
    offset = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
    return CelError(_plain_syntax(reason), min(offset, len(source)))


def _plain_syntax(reason: str) -> str:
    if "'<EOF>'" in reason.partition(" expecting")[0]:
        return "the expression ends too early"
    unexpected = re.search(r"(?:mismatched|extraneous) input '(.+?)'(?: expecting|$)", reason, re.DOTALL)
    unexpected = unexpected or re.search(r"(?:recognition error at|alternative at input):? ?'(.+)'", reason)
    if unexpected:
        return f"did not expect `{unexpected[1][:40]}` here"
    if reason.startswith("reserved identifier"):
        return f"`{reason.rpartition(' ')[2]}` is a reserved word"
    if "NonRecoverable" in reason or "Other" in reason:  # the parser gave up
        return "this is nested too deeply"
    return f"wrong syntax: {reason[:120]}"


def json_kind(value: object) -> str:
    """Return what people call a JSON value of this type."""
    if value is None:
        return "null"
    names: dict[type, str] = {
        bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object",
    }  # fmt: skip
    return names.get(type(value), type(value).__name__)


def _follow(reference: Reference, scope: Mapping[str, JsonValue]) -> JsonValue:
    """Return what a chain leads to in `scope`; for the items of a list, the first that fails is told."""
    return _descend(scope.get(reference.name), reference, 0, reference.name)


def _descend(value: Any, reference: Reference, start: int, shown: str) -> JsonValue:
    for position in range(start, len(reference.path)):
        member = reference.path[position]
        if member.kind == "any":
            return None
        if member.kind == "each":
            for index, item in enumerate(value if isinstance(value, list) else ()):
                _descend(item, reference, position + 1, f"{shown}[{index}]")
            return None
        value = _step(value, member.key, member.offset, shown)
        shown += f".{member.key}" if isinstance(member.key, str) else f"[{member.key}]"
    return value  # type: ignore[no-any-return]  # a JSON value inside a JSON value


def _step(value: Any, key: str | int | None, offset: int, shown: str) -> Any:
    if isinstance(key, str) and isinstance(value, dict):
        if key in value:
            return value[key]
        return _missing(key, value, offset, shown)
    if isinstance(key, int) and isinstance(value, list):
        if key < len(value):
            return value[key]
        raise CelError(f"`{shown}` has {len(value)} items; there is no item {key}", offset)
    what = f"field `{key}`" if isinstance(key, str) else f"item {key}"
    hint = f"test it first: `{shown} != null`" if value is None else None
    raise CelError(f"`{shown}` is {json_kind(value)}: it has no {what}", offset, hint)


def _missing(key: str, value: dict[str, Any], offset: int, shown: str) -> Any:
    from difflib import get_close_matches  # noqa: PLC0415  # only needed for an error

    near = get_close_matches(key, list(value), n=1)
    known = ", ".join(sorted(value)[:20]) or "nothing"
    hint = f"did you mean `{near[0]}`?" if near else f"test it first: `has({shown}.{key})`"
    raise CelError(f"`{shown}` has no field `{key}` (it has: {known})", offset, hint)


def _reason(error: Exception) -> str:
    text = str(error).partition(". Check ")[0]
    if isinstance(error, KeyError):
        return f"there is no key {text}"
    if text.startswith("No such overload"):
        return (
            "the operation does not fit the types of its operands; nothing is converted by itself: use int(x), "
            "double(x) or string(x)"
        )
    mixed = re.match(r"Unsupported operation: (.+?)\. CEL|Cannot mix [\w ]+: (.+?)\. ", text)
    if mixed:
        operation = mixed[1] or mixed[2]
        return f"`{operation}` is not possible; nothing is converted by itself: use int(x), double(x) or string(x)"
    unknown = re.fullmatch(r"Undefined variable or function: '(\w+)'", text)
    if unknown:  # the name was checked, so it is the arguments that do not fit
        return f"`{unknown[1]}` does not take what it is given here"
    failed = re.match(r"Function '(\w+)' error: (?:Python function call failed: \w+: )?(.*)", text)
    return f"`{failed[1]}` failed: {failed[2][:200]}" if failed else text.partition("\n")[0][:200]


@dataclass(frozen=True, slots=True)
class _Size:
    """How large a value is: all it holds, its own length, its longest list or map, the characters of its texts."""

    nodes: int
    length: int
    widest: int
    characters: int


def _size(reference: Reference, scope: Mapping[str, JsonValue]) -> _Size:
    """Return how large the value is that a chain leads to; at a place only the run knows, the whole before it."""
    value: Any = scope[reference.name]
    exact = True
    for member in reference.path:
        if member.kind in ("each", "any"):
            exact = False
            break
        try:
            value = _step(value, member.key, member.offset, "")
        except CelError:
            return _Size(1, 1, 1, 0)
    nodes, widest, characters = _count(value)
    length = len(value) if exact and isinstance(value, list | dict) else widest
    return _Size(nodes, length, widest, characters)


def _count(value: Any) -> tuple[int, int, int]:
    nodes, widest, characters = 0, 1, 0
    stack = [value]
    while stack:
        item = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise CelError(f"the values are too large: more than {MAX_NODES} in all")
        if isinstance(item, str):
            characters += len(item)
        elif isinstance(item, dict | list):
            widest = max(widest, len(item))
            stack.extend(item.values() if isinstance(item, dict) else item)
    return nodes, widest, characters


class _Plain:
    """Turns a result into JSON, counting what it holds."""

    def __init__(self) -> None:
        self.nodes = 0

    def value(self, value: Any) -> JsonValue:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise CelError(f"the result is too large: more than {MAX_NODES} values")
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise CelError("the result is not a finite number")
            return value
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in _sorted(value)}
        return _special(value)


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _special(value: Any) -> JsonValue:
    """Return the JSON form that CEL gives its other types."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise CelError(f"the result is {type(value).__name__}, which JSON has no form for")


def _sorted(value: dict[Any, Any]) -> list[tuple[str, Any]]:
    """Return the entries by key: the library keeps no order, and a resumed run must see the same one."""
    return sorted(((_key(key), item) for key, item in value.items()), key=lambda entry: entry[0])
