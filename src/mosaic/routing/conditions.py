"""Conditions of rules: CEL over `request`, its simple parts answered without the evaluator.

An evaluation takes about 15 microseconds, so a condition is taken apart at its outermost ``&&``: parts such as
``request.project == 'web'``, ``request.input_tokens > 100000`` or ``'vision' in request.needs`` are answered here,
and the evaluator sees only what is left, and only when they hold. What fails to evaluate does not hold; in a
conjunction that makes the order irrelevant. What the rest came to is remembered for the values that it looks at.
"""

import operator
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from mosaic.core.values import JsonObject, JsonValue
from mosaic.expressions import CelError, Program, compile_program
from mosaic.routing.schemas import RouteRequest

__all__ = ["FIELDS", "Condition", "compile_condition"]

_FIELD: Mapping[str, Callable[[RouteRequest], JsonValue]] = {
    "kind": lambda request: request.kind,
    "model": lambda request: request.name,
    "name": lambda request: request.name,
    "tenant": lambda request: request.tenant,
    "project": lambda request: request.project,
    "operation": lambda request: request.operation,
    "key": lambda request: request.key_id or "",
    "agent": lambda request: request.agent or "",
    "needs": lambda request: sorted(request.needs),
    "input_tokens": lambda request: request.input_tokens,
    "max_output_tokens": lambda request: request.max_output_tokens,
    "privacy": lambda request: request.privacy,
    "residency": lambda request: sorted(request.residency),
    "compliance": lambda request: sorted(request.compliance),
    "attributes": lambda request: dict(request.attributes),
    "session": lambda request: request.session or "",
    "region": lambda request: request.region or "",
}
FIELDS = frozenset(_FIELD)
"""What ``request.`` has in an expression."""

_CHAIN = r"request\.(?P<path>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)"
_TEXT = r"'[^'\\\n]*'|\"[^\"\\\n]*\""
_LITERAL = rf"(?P<literal>{_TEXT}|-?\d{{1,15}}|true|false)"
_COMPARISON = re.compile(rf"{_CHAIN}\s*(?P<sign>==|!=|<=|>=|<|>)\s*{_LITERAL}")
_STARTS = re.compile(rf"{_CHAIN}\.startsWith\((?P<literal>{_TEXT})\)")
_WITHIN = re.compile(rf"(?P<literal>{_TEXT})\s+in\s+{_CHAIN}")
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_AS_SET: Mapping[str, Callable[[RouteRequest], frozenset[str]]] = {
    "needs": lambda request: request.needs,
    "residency": lambda request: request.residency,
    "compliance": lambda request: request.compliance,
}
_Atom = Callable[[RouteRequest], bool]
_MEMORY = 1024
_MISSING = object()


class Condition:
    """One compiled condition.

    Attributes:
        source: the expression.
        exact: field and value for parts of the form ``request.field == 'text'``, for an index.
        is_simple: the evaluator is never asked.
    """

    __slots__ = ("_atoms", "_fields", "_keys", "_known", "_rest", "exact", "is_simple", "source")

    def __init__(self, source: str, program: Program) -> None:
        self.source = source
        self._fields = _fields(program)
        parts = _conjuncts(source)
        atoms = [_atom(part) for part in parts]
        self._atoms = tuple(atom for atom in atoms if atom is not None)
        rest = [f"({part})" for part, atom in zip(parts, atoms, strict=True) if atom is None]
        self._rest = compile_program(" && ".join(rest)) if rest else None
        self._keys = _keys(self._rest) if self._rest is not None else None
        self._known: dict[Hashable, bool] = {}
        self.is_simple = self._rest is None
        self.exact = tuple(found for part in parts if (found := _exact(part)) is not None)

    def holds(self, request: RouteRequest) -> bool:
        """Say whether the condition gives true; one that fails does not hold."""
        for atom in self._atoms:
            if not atom(request):
                return False
        if self._rest is None:
            return True
        if self._keys is None:
            return self._evaluated(request)
        try:
            key = tuple([(type(value), value) for value in [look(request) for look in self._keys]])
            found = self._known.get(key)
        except TypeError:  # a list or an object among them
            return self._evaluated(request)
        if found is None:
            found = self._evaluated(request)
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[key] = found
        return found

    def _evaluated(self, request: RouteRequest) -> bool:
        try:
            return self._rest is not None and self._rest.run(self._scope(request)) is True
        except CelError:
            return False

    def failure(self, request: RouteRequest) -> str | None:
        """Return why the condition cannot be evaluated for a request; None when it can."""
        try:
            made = compile_program(self.source).run(self._scope(request))
        except CelError as error:
            return error.message
        return None if isinstance(made, bool) else "it does not give true or false"

    def _scope(self, request: RouteRequest) -> JsonObject:
        return {"request": {name: _FIELD[name](request) for name in self._fields}}


def compile_condition(text: str) -> Condition:
    """Return the compiled form of a condition, with or without ``${...}`` around it.

    Raises:
        CelError: if the expression is wrong, or asks for something that a request does not have.
    """
    source, shift = _bare(text)
    try:
        return Condition(source, compile_program(source))
    except CelError as error:
        raise CelError(error.message, error.offset + shift, error.suggestion) from None


def _bare(text: str) -> tuple[str, int]:
    body = text.strip()
    shift = len(text) - len(text.lstrip())
    if body.startswith("${") and body.endswith("}"):
        return body[2:-1], shift + 2
    return body, shift


def _fields(program: Program) -> frozenset[str]:
    """Return the fields that an expression can reach, all when it takes the request as a whole."""
    found: set[str] = set()
    for reference in program.scan.references:
        if reference.name != "request":
            hint = "a rule sees `request` and nothing else"
            raise CelError(f"unknown variable `{reference.name}`", reference.offset, hint)
        first = reference.path[0] if reference.path else None
        if first is None or first.kind != "field" or reference.tested:
            found |= FIELDS
        elif first.key in FIELDS:
            found.add(str(first.key))
        else:
            from difflib import get_close_matches  # noqa: PLC0415  # only needed for an error

            near = get_close_matches(str(first.key), FIELDS, n=1)
            hint = f"did you mean `request.{near[0]}`?" if near else "put it into `request.attributes`"
            raise CelError(f"a request has no field `{first.key}`", first.offset, hint)
    return frozenset(found)


def _keys(program: Program) -> tuple[Callable[[RouteRequest], Any], ...] | None:
    """Return what finds the values that an expression looks at; None when those cannot be told apart cheaply."""
    found: dict[str, Callable[[RouteRequest], Any]] = {}
    for reference in program.scan.references:
        names = [str(member.key) for member in reference.path[:2] if member.kind == "field"]
        if not names or (names[0] == "attributes" and len(names) < 2):
            return None
        path = ".".join(names) if names[0] == "attributes" else names[0]
        found[path] = _AS_SET.get(path) or _look(path)
    return tuple(found.values())


def _conjuncts(source: str) -> list[str]:
    """Return the parts between outermost ``&&``; the whole when anything outermost binds less tightly."""
    if "\\" in source or "'''" in source or '"""' in source:
        return [source.strip()]  # text whose end this walk cannot tell
    parts, depth, quote, start, index = [], 0, "", 0, 0
    while index < len(source):
        char = source[index]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0 and (char == "?" or source.startswith(("||", "//"), index)):
            return [source.strip()]
        elif depth == 0 and source.startswith("&&", index):
            parts.append(source[start:index].strip())
            start = index + 2
            index += 1
        index += 1
    return [*parts, source[start:].strip()]


def _atom(part: str) -> _Atom | None:
    found = _COMPARISON.fullmatch(part)
    if found is not None:
        return _comparison(found["path"], _SIGNS[found["sign"]], _value(found["literal"]))
    found = _STARTS.fullmatch(part)
    if found is not None:
        return _beginning(found["path"], found["literal"][1:-1])
    found = _WITHIN.fullmatch(part)
    return _within(found["path"], found["literal"][1:-1]) if found is not None else None


def _exact(part: str) -> tuple[str, str] | None:
    found = _COMPARISON.fullmatch(part)
    if found is None or found["sign"] != "==" or found["literal"][0] not in "'\"":
        return None
    return found["path"], found["literal"][1:-1]


def _comparison(path: str, compare: Callable[[Any, Any], bool], literal: JsonValue) -> _Atom:
    look = _look(path)
    kinds: tuple[type, ...] = (int, float) if type(literal) is int else (type(literal),)
    unequal = compare is operator.ne

    def holds(request: RouteRequest) -> bool:
        value = look(request)
        if type(value) not in kinds:  # values of two types are unequal, and have no order
            return unequal and value is not _MISSING
        return compare(value, literal)

    return holds


def _beginning(path: str, start: str) -> _Atom:
    look = _look(path)

    def holds(request: RouteRequest) -> bool:
        value = look(request)
        return isinstance(value, str) and value.startswith(start)

    return holds


def _within(path: str, item: str) -> _Atom:
    look = _look(path)

    def holds(request: RouteRequest) -> bool:
        value = look(request)
        return isinstance(value, list | dict) and item in value

    return holds


def _look(path: str) -> Callable[[RouteRequest], Any]:
    """Return what finds a field of a request, or an attribute."""
    name, _, inner = path.partition(".")
    get = _FIELD.get(name)
    if get is None or (inner and name != "attributes"):
        return lambda _: _MISSING
    if inner:
        return lambda request: request.attributes.get(inner, _MISSING)
    return get


def _value(literal: str) -> JsonValue:
    if literal[0] in "'\"":
        return literal[1:-1]
    return {"true": True, "false": False}[literal] if literal in ("true", "false") else int(literal)
