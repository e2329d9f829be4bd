"""YAML and Markdown with front matter, read into plain JSON values that know where they stood in the file."""

import datetime
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from mosaic.core.errors import Problem
from mosaic.core.values import JsonValue

__all__ = ["Document", "Keys", "Place", "read_markdown", "read_yaml", "safe_relative"]

Keys: TypeAlias = tuple[str | int, ...]
Locate: TypeAlias = Callable[[Keys], tuple[int, int]]

_MAX_NODES = 20_000
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


def _nowhere(_keys: Keys) -> tuple[int, int]:
    return (0, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: in which file, under which path, and how to find the line of what is in it.

    Attributes:
        file: as the user named it; empty when the value came from no file.
        keys: the path of the value inside the file, for example ``("agents", "planner")``.
        locate: returns line and column, 1-based, of a full path; (0, 0) when unknown.
    """

    file: str = ""
    keys: Keys = ()
    locate: Locate = _nowhere

    def problem(self, message: str, *keys: str | int, suggestion: str | None = None) -> Problem:
        """Return a problem with the value under `keys`."""
        full = (*self.keys, *keys)
        line, column = self.locate(full)
        return Problem(message, shown_path(full), self.file, line, column, suggestion)


def shown_path(keys: Keys) -> str:
    """Return a path as people read it: ``do[2].build.for``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, its body (Markdown) and what was wrong with reading it."""

    value: JsonValue = None
    body: str = ""
    body_line: int = 0
    positions: Mapping[Keys, tuple[int, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def locate(self, keys: Keys) -> tuple[int, int]:
        """Return line and column of a path, or of its nearest known parent."""
        while keys and keys not in self.positions:
            keys = keys[:-1]
        return self.positions.get(keys, (1, 1))


def read_yaml(text: str, *, file: str, first_line: int = 1) -> Document:
    """Return the one YAML document in `text`; `first_line` is where the text starts in its file."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - 80 ms that most commands never need
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    shift = first_line - 1
    try:
        loaded = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1 + shift, mark.column + 1) if mark else (first_line, 1)
        # A duplicate key's message repeats both values; a value may be a secret.
        what = str(error.problem or error.context or "cannot be read").partition(" with value ")[0]
        return Document(problems=(Problem(f"This is not YAML: {what}.", "", file, line, column),))
    except (YAMLError, ValueError, RecursionError) as error:
        what = "too deeply nested" if isinstance(error, RecursionError) else type(error).__name__
        return Document(problems=(Problem(f"This is not YAML: {what}.", "", file, first_line, 1),))
    reader = _Plain(file, shift)
    value = reader.plain(loaded, ())
    return Document(value, positions=reader.positions, problems=tuple(reader.problems))


def read_markdown(text: str, *, file: str) -> Document:
    """Return the front matter of a Markdown file as value, and what follows it as body."""
    found = _FRONT_MATTER.match(text)
    if found is None:
        hint = "put the fields between two lines of ---, then the instructions"
        problem = Problem("A Markdown agent starts with front matter.", "", file, 1, 1, hint)
        return Document(problems=(problem,))
    front = read_yaml(found[1], file=file, first_line=2)
    body_line = text.count("\n", 0, found.end()) + 1
    return Document(front.value, text[found.end() :].strip(), body_line, front.positions, front.problems)


def safe_relative(name: str) -> bool:
    """Say whether a file reference stays beside the file that makes it: relative, without ``..``."""
    path = PurePosixPath(name)
    return (
        bool(name)
        and "\\" not in name
        and "://" not in name
        and not path.is_absolute()
        and ".." not in path.parts
    )


class _Plain:
    """Turns ruamel's round-trip values into plain ones and notes where each stood."""

    def __init__(self, file: str, shift: int) -> None:
        self.file = file
        self.shift = shift
        self.nodes = 0
        self.positions: dict[Keys, tuple[int, int]] = {}
        self.problems: list[Problem] = []

    def plain(self, value: Any, keys: Keys) -> JsonValue:
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            if self.nodes == _MAX_NODES + 1:
                self._complain(f"The file holds more than {_MAX_NODES} values, aliases counted.", keys)
            return None
        if isinstance(value, Mapping | list) and len(keys) > 60:  # an alias may hold itself
            self._complain("The file nests deeper than 60 levels.", keys)
            return None
        if isinstance(value, Mapping):
            return {key: self.plain(item, (*keys, key)) for key, item in self._entries(value, keys)}
        if isinstance(value, list):
            self._note_items(value, keys)
            return [self.plain(item, (*keys, index)) for index, item in enumerate(value)]
        return self._scalar(value, keys)

    def _entries(self, value: Any, keys: Keys) -> Iterator[tuple[str, Any]]:
        for key, item in value.items():
            known = key in (value.lc.data or ())  # a merged key (<<) has no place of its own
            line, column = value.lc.key(key) if known else (value.lc.line, value.lc.col)
            self.positions[*keys, str(key)] = (line + 1 + self.shift, column + 1)
            if not isinstance(key, str):
                self._complain(f"A key is text; {str(key)[:40]!r} is not.", (*keys, str(key)), "quote it")
            yield str(key), item

    def _note_items(self, value: Any, keys: Keys) -> None:
        for index in range(len(value)):
            if value.lc.data and index in value.lc.data:
                line, column = value.lc.item(index)
                self.positions[*keys, index] = (line + 1 + self.shift, column + 1)

    def _scalar(self, value: Any, keys: Keys) -> JsonValue:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                self._complain("A number is finite.", keys)
                return 0.0
            return float(value)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, datetime.date | datetime.datetime):
            return value.isoformat()
        self._complain("A YAML tag (!name) has no meaning here.", keys)
        return None

    def _complain(self, message: str, keys: Keys, suggestion: str | None = None) -> None:
        line, column = Document(positions=self.positions).locate(keys)
        self.problems.append(Problem(message, shown_path(keys), self.file, line, column, suggestion))
