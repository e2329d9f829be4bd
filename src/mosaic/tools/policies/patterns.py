"""Patterns of rules. None takes more than time in proportion to text and pattern.

A pattern of a deny or an ask is read broadly, one of an allow narrowly: what a writer of rules did not think of is
then asked about or refused, and not let through.
"""

import fnmatch
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from mosaic.core.values import JsonValue
from mosaic.expressions import CelError, Program, compile_program
from mosaic.tools.approving.patterns import like

__all__ = ["ArgumentTest", "RuleFailed", "fits", "is_glob", "path_fits", "regex_problem", "same"]

MAX_PATTERN = 400
"""Characters in one pattern."""
MAX_TEXT = 100_000
"""Characters of an argument that a pattern looks at."""

_WILD = re.compile(r"[*?\[]")
_REMEMBERED = 300


class RuleFailed(Exception):
    """A rule could not be evaluated for a call. Not a `MosaicError`: the judgement turns it into a refusal."""


def is_glob(pattern: str) -> bool:
    """Say whether a pattern has wildcards."""
    return _WILD.search(pattern) is not None


def fits(value: str, patterns: Sequence[str]) -> bool:
    """Say whether a name is one of the patterns or fits one; no pattern at all admits everything."""
    return not patterns or any(
        value == pattern or fnmatch.fnmatchcase(value, pattern) for pattern in patterns
    )


def same(one: JsonValue, other: JsonValue) -> bool:
    """Say whether two values are the same JSON; Python takes True for 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """What one argument is compared with.

    Attributes:
        kind: ``equals`` a value, ``like`` a text with wildcards, or ``regex`` that the whole text fits.
    """

    kind: Literal["equals", "like", "regex"]
    value: JsonValue

    def holds(self, value: JsonValue, *, strictly: bool) -> bool:
        """Say whether a value fulfils it.

        Args:
            value: the argument.
            strictly: for an allow: wildcards stand neither for what makes one command two nor for a step up, and a
                dot of a regular expression for no line break.

        Raises:
            RuleFailed: if the text is too long to be looked at.
        """
        if self.kind == "equals":
            return same(value, self.value)
        if not isinstance(value, str):
            return False
        if len(value) > MAX_TEXT:
            raise RuleFailed(f"an argument has more than {MAX_TEXT} characters")
        pattern = str(self.value)
        if self.kind == "regex":
            return _regex_fits(value, pattern, strictly)
        if pattern in ("*", "**"):
            return True
        return like(value, pattern) if strictly else fnmatch.fnmatchcase(value, pattern)

    def __str__(self) -> str:
        if self.kind == "regex":
            return f"/{self.value}/"
        return str(self.value) if self.kind == "like" else json.dumps(self.value, ensure_ascii=False)[:100]


def regex_problem(pattern: str) -> str | None:
    """Return what is wrong with a regular expression; None when it is right."""
    try:
        _program().run({"text": "", "pattern": _anchored(pattern, strictly=False)})
    except CelError:
        return "not a regular expression of the linear-time kind (RE2: no look-around, no back-references)"
    return None


def path_fits(path: str, pattern: str, *, strictly: bool) -> bool:
    """Say whether a normal path fits a glob in which ``**`` stands for any number of parts.

    Args:
        path: with forward slashes; from the worktree, or absolute, or starting with ``..`` where it leads outside.
        pattern: the glob.
        strictly: a pattern that does not itself lead outside fits no path that does.
    """
    if strictly and _leads_out(path) and not _leads_out(pattern):
        return False
    parts, wanted = path.split("/"), pattern.split("/")
    reachable = {0}
    for position in range(len(parts) + 1):
        while more := {place + 1 for place in reachable if wanted[place : place + 1] == ["**"]} - reachable:
            reachable |= more
        if position == len(parts):
            break
        reachable = {
            place if wanted[place] == "**" else place + 1
            for place in reachable
            if place < len(wanted)
            and (wanted[place] == "**" or fnmatch.fnmatchcase(parts[position], wanted[place]))
        }
    return len(wanted) in reachable


def _leads_out(path: str) -> bool:
    return path.startswith(("/", "~", "../")) or path == ".."


def _regex_fits(value: str, pattern: str, strictly: bool) -> bool:
    if len(value) <= _REMEMBERED:
        return _remembered(value, pattern, strictly)
    return _looked(value, pattern, strictly)


@lru_cache(maxsize=4096)
def _remembered(value: str, pattern: str, strictly: bool) -> bool:
    return _looked(value, pattern, strictly)


def _looked(value: str, pattern: str, strictly: bool) -> bool:
    # Not `re`: on a text of a stranger's choice it can take for ever. The engine behind CEL's `matches` cannot.
    try:
        return _program().run({"text": value, "pattern": _anchored(pattern, strictly=strictly)}) is True
    except CelError as error:
        raise RuleFailed(f"the regular expression cannot be used: {error.message}") from None


def _anchored(pattern: str, *, strictly: bool) -> str:
    return f"{'' if strictly else '(?s)'}^(?:{pattern})$"


def _program() -> Program:
    return compile_program("text.matches(pattern)")
