"""A routes file as plain values that know their places, and its check against the published JSON Schema."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["Path", "Source", "read_source", "routes_schema", "schema_problems"]

Path = tuple[str | int, ...]
MAX_BYTES = 2_000_000
"""Bytes in one file."""
MAX_VALUES = 200_000
"""Values in one file, aliases followed."""
MAX_DEPTH = 40
_TAG = "tag:yaml.org,2002:"
_CONSTANTS = {"true": True, "false": False}


@dataclass(slots=True)
class Source:
    """What a file holds.

    Attributes:
        value: the section that was asked for; an empty object when the file has none.
        places: line and column of each value, and of each key (under the path of the value with ``"#key"`` behind).
    """

    file: str
    value: JsonObject = field(default_factory=dict)
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    quoted: set[Path] = field(default_factory=set)

    def problem(
        self,
        path: Path,
        message: str,
        suggestion: str | None = None,
        *,
        key: bool = False,
        offset: int | None = None,
    ) -> Problem:
        """Return a problem at a place, or at the nearest one around it that is in the file."""
        known: Path = (*path, "#key") if key else path
        while known and known not in self.places:
            known = known[:-1]
        line, column = self.places.get(known, (1, 1))
        if offset is not None and known == path:
            column += offset + (path in self.quoted)
        return Problem(message, shown(path), self.file, line, column, suggestion)


def shown(path: Path) -> str:
    """Return a path as people write it: ``rules[2].match``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def read_source(text: str, file: str, *, section: str | None = None) -> Source:
    """Return what a YAML or JSON text holds; with `section`, only what stands under that key.

    Raises:
        InvalidInput: if it is not YAML, or no mapping.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415  # 60 ms, and many installations have no routes
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    source = Source(file)
    name = file or "The text"
    if len(text) > MAX_BYTES:
        raise InvalidInput(f"{name} is larger than {MAX_BYTES} bytes.")
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = re.sub(r"\s+", " ", str(error.problem or error.context or "not YAML"))[:200]
        problem = Problem(reason, "", file, *at)
        raise InvalidInput(f"{name} is not valid YAML.", problems=[problem]) from None
    except (YAMLError, RecursionError, ValueError, IndexError, TypeError, AttributeError):
        raise InvalidInput(f"{name} is not valid YAML.") from None
    value = None if root is None else _Composer(source).value(root, (), 0)
    if value is not None and not isinstance(value, dict):
        raise InvalidInput(f"{name} must hold a mapping.", problems=[source.problem((), "not a mapping")])
    if section is not None and value:
        _narrow(source, section)
        value = value.get(section) or {}
        if not isinstance(value, dict):
            raise InvalidInput(
                f"`{section}` must be a mapping.", problems=[source.problem((), "not a mapping")]
            )
    source.value = value or {}
    return source


def _narrow(source: Source, section: str) -> None:
    source.places = {path[1:]: at for path, at in source.places.items() if path[:1] == (section,)}
    source.quoted = {path[1:] for path in source.quoted if path[:1] == (section,)}


class _Composer:
    """Makes plain values of YAML nodes, bounded."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0

    def value(self, node: Any, path: Path, depth: int) -> JsonValue:
        self.source.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.count += 1
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            problem = self.source.problem(path, "the file holds too much, or nests too deeply")
            raise InvalidInput(f"{self.source.file or 'The text'} is too large.", problems=[problem])
        kind = type(node).__name__
        if kind == "MappingNode":
            return {
                name: self.value(item, (*path, name), depth + 1) for name, item in self.entries(node, path)
            }
        if kind == "SequenceNode":
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self.scalar(node, path)

    def entries(self, node: Any, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, item in node.value:
            name = str(key.value) if type(key).__name__ == "ScalarNode" else ""
            self.source.places[*path, name, "#key"] = (key.start_mark.line + 1, key.start_mark.column + 1)
            if not name or name in seen:
                what = f"the key `{name[:60]}` is given twice" if name else "a key is text"
                raise InvalidInput(
                    f"{self.source.file or 'The text'} cannot be read.",
                    problems=[self.source.problem((*path, name), what, key=True)],
                )
            seen.add(name)
            yield name, item

    def scalar(self, node: Any, path: Path) -> JsonValue:
        text, kind = str(node.value), str(node.tag or "").removeprefix(_TAG)
        if node.style in ("'", '"'):
            self.source.quoted.add(path)
        if kind == "null":
            return None
        if kind == "bool":
            return _CONSTANTS.get(text.lower(), text)
        try:
            if kind == "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            if kind == "float" and text.strip("+-").lower() not in (".inf", ".nan"):
                return float(text)
        except ValueError:
            return text
        return text


@cache
def routes_schema() -> JsonObject:
    """Return the published JSON Schema of a routes file."""
    text = files("mosaic.routing").joinpath("routes.schema.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]  # an object, as the tests see to


def schema_problems(source: Source, schema: JsonObject | None = None) -> list[Problem]:
    """Return everything in which a file differs from a schema (that of routes), each at its place."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # 50 ms, and many installations have no routes

    found: dict[tuple[int, int, str], Problem] = {}
    for error in Draft202012Validator(schema or routes_schema()).iter_errors(source.value):
        for problem in _told(source, error):
            found.setdefault((problem.line, problem.column, problem.message), problem)
    secrets = _secrets(source, source.value, ())
    return [*sorted(found.values(), key=lambda problem: (problem.line, problem.column)), *secrets]


def _secrets(source: Source, value: JsonValue, path: Path) -> list[Problem]:
    if isinstance(value, dict):
        return [item for name, inner in value.items() for item in _secrets(source, inner, (*path, name))]
    if isinstance(value, list):
        return [item for at, inner in enumerate(value) for item in _secrets(source, inner, (*path, at))]
    if isinstance(value, str) and looks_secret(value):
        return [source.problem(path, "this value looks like a secret", "use the environment")]
    return []


def _told(source: Source, error: Any) -> Iterator[Problem]:
    path: Path = tuple(error.absolute_path)
    kind = error.validator
    if kind in ("oneOf", "anyOf") and error.context:
        branches = _branch(error)
        if branches:
            for inner in branches:
                yield from _told(source, inner)
            return
    if kind == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        for name in error.instance:
            if name not in known:
                yield source.problem(
                    (*path, name), f"unknown key `{name[:60]}`", _near(name, known), key=True
                )
        return
    if kind == "required":
        yield source.problem(path, f"`{_missing(error)}` is missing here")
        return
    yield source.problem(path, *_words(error))


def _missing(error: Any) -> str:
    return str(next((name for name in error.validator_value if name not in error.instance), ""))


def _branch(error: Any) -> list[Any]:
    """Return the errors of the alternative that was meant: the one whose kind of value fits."""
    if error.validator == "anyOf" and all(inner.validator == "required" for inner in error.context):
        return []
    fitting = [group for group in _groups(error) if not any(map(_is_of_another_kind, group))]
    return min(fitting, key=len) if fitting else []


def _groups(error: Any) -> list[list[Any]]:
    grouped: dict[int, list[Any]] = {}
    for inner in error.context:
        grouped.setdefault(inner.schema_path[0], []).append(inner)
    return list(grouped.values())


def _is_of_another_kind(error: Any) -> bool:
    if error.path:
        return False
    if error.validator in ("oneOf", "anyOf"):
        return all(any(map(_is_of_another_kind, group)) for group in _groups(error))
    return error.validator in ("type", "enum", "const")


def _words(error: Any) -> tuple[str, str | None]:
    kind, value = error.validator, error.validator_value
    got = _kind(error.instance)
    if kind == "enum":
        near = get_close_matches(str(error.instance), [str(item) for item in value], n=1)
        known = ", ".join(str(item) for item in value)
        return f"expected one of {known}, not {got}", f"did you mean `{near[0]}`?" if near else None
    if kind == "type":
        names = [value] if isinstance(value, str) else value
        return f"expected {' or '.join(_TYPES.get(name, name) for name in names)}, not {got}", None
    if kind == "anyOf":
        names = " or ".join(f"`{item['required'][0]}`" for item in value if "required" in item)
        return f"one of these is missing here: {names}", None
    if kind in ("oneOf", "pattern", "const"):
        around = error.parent.schema if error.parent is not None else {}
        meaning = error.schema.get("description") or around.get("description")
        meaning = meaning or _alternatives(value if kind == "oneOf" else ())
        return f"{got} does not fit here: {meaning}", None
    if kind in ("minimum", "maximum"):
        return f"at {'least' if kind == 'minimum' else 'most'} {value}, not {error.instance}", None
    if kind in ("minItems", "minLength", "minProperties"):
        return "this is empty", None
    return str(error.message)[:200], None


_TYPES = {"object": "a mapping", "array": "a list", "string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false"}  # fmt: skip


def _alternatives(schemas: Iterable[Mapping[str, Any]]) -> str:
    names: list[str] = []
    for schema in schemas:
        resolved = routes_schema()["$defs"].get(str(schema.get("$ref", "")).rpartition("/")[2], schema)
        if "enum" in resolved:
            names += map(str, resolved["enum"])
        elif "description" in resolved:
            names.append(str(resolved["description"]).rstrip("."))
        elif isinstance(resolved.get("type"), str):
            names.append(_TYPES.get(resolved["type"], resolved["type"]))
    return "expected " + (" or ".join(dict.fromkeys(names)) or "another value")


def _kind(value: JsonValue) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"`{value[:40]}`"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(names)}"
