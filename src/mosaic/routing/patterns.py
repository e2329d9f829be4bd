"""Patterns of rules and their index: which of a thousand rules fit a value, in about a microsecond."""

import re
from collections.abc import Hashable, Iterable, Sequence
from fnmatch import translate

from mosaic.core.values import JsonValue

__all__ = ["PatternIndex", "is_glob", "is_regex", "pattern_problem"]

_MEMORY = 4096
_WILD = re.compile(r"[*?\[]")
MAX_PATTERN = 400
"""Characters in one pattern."""
# A quantified group that holds a quantifier can take exponential time on a text that almost fits.
_EXPLOSIVE = re.compile(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)\s*[*+{]")
MAX_VALUE = 300
"""Characters of a value that patterns look at; longer ones fit no glob and no regular expression."""


def is_regex(pattern: str) -> bool:
    """Say whether a pattern is a regular expression: ``/.../``."""
    return len(pattern) > 2 and pattern.startswith("/") and pattern.endswith("/")


def is_glob(pattern: str) -> bool:
    """Say whether a pattern has wildcards."""
    return not is_regex(pattern) and bool(_WILD.search(pattern))


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern; None when it is right."""
    if len(pattern) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters"
    if not is_regex(pattern):
        return None
    if _EXPLOSIVE.search(pattern[1:-1]):
        return "this regular expression repeats a group that repeats; some texts would take it for ever"
    try:
        re.compile(pattern[1:-1])
    except (re.error, RecursionError, OverflowError) as error:
        return f"not a regular expression: {error}"
    return None


class PatternIndex:
    """One field of all rules. `mask` gives a number whose bit n is set when rule n admits the value.

    Exact values are looked up, globs that start with text by that start, the rest is tried; and what was found for a
    value is remembered, because tenants, projects and models come back.
    """

    def __init__(self, rules: int) -> None:
        self._everyone = (1 << rules) - 1
        self._named = 0
        self._exact: dict[Hashable, int] = {}
        self._prefixes: dict[str, int] = {}
        self._lengths: tuple[int, ...] = ()
        self._tried: dict[str, int] = {}
        self._compiled: tuple[tuple[re.Pattern[str], int], ...] = ()
        self._known: dict[Hashable, int] = {}

    def add(self, rule: int, patterns: Iterable[JsonValue]) -> None:
        """Say that a rule admits only what fits one of the patterns."""
        bit = 1 << rule
        self._named |= bit
        for pattern in patterns:
            if not isinstance(pattern, str):
                key = _key(pattern)
                self._exact[key] = self._exact.get(key, 0) | bit
            elif is_regex(pattern):
                self._tried[pattern[1:-1]] = self._tried.get(pattern[1:-1], 0) | bit
            elif is_glob(pattern):
                self._add_glob(pattern, bit)
            else:
                self._exact[pattern] = self._exact.get(pattern, 0) | bit

    def _add_glob(self, pattern: str, bit: int) -> None:
        start = pattern[:-1]
        if pattern.endswith("*") and not _WILD.search(start):
            self._prefixes[start] = self._prefixes.get(start, 0) | bit
        else:
            source = translate(pattern)
            self._tried[source] = self._tried.get(source, 0) | bit

    def finish(self) -> None:
        """Compile what was added."""
        self._lengths = tuple(sorted({len(start) for start in self._prefixes}))
        self._compiled = tuple((re.compile(source), bits) for source, bits in self._tried.items())

    def mask(self, value: JsonValue) -> int:
        """Return the rules that admit `value`; those that do not name this field admit everything."""
        key = value if isinstance(value, str) else _key(value)
        found = self._known.get(key)
        if found is None:
            found = self._found(value, key)
            if len(self._known) >= _MEMORY:
                self._known.clear()
            self._known[key] = found
        return found

    def _found(self, value: JsonValue, key: Hashable) -> int:
        bits = (self._everyone & ~self._named) | self._exact.get(key, 0)
        if isinstance(value, list):
            for item in value[:100]:
                bits |= self.mask(item) & self._named
        if not isinstance(value, str) or len(value) > MAX_VALUE:
            return bits
        for length in self._lengths:
            bits |= self._prefixes.get(value[:length], 0)
        for pattern, rules in self._compiled:
            if rules & ~bits and pattern.fullmatch(value):
                bits |= rules
        return bits


def _key(value: JsonValue) -> Hashable:
    """Return what stands for a value in a table: `1`, `1.0` and `true` are three values, as in JSON they look so."""
    if isinstance(value, list):
        return ("list", *(_key(item) for item in value[:100]))
    if isinstance(value, dict):
        return ("object", *sorted((name, str(item)) for name, item in value.items()))
    return (type(value).__name__, value)


def bits_of(mask: int) -> Sequence[int]:
    """Return the positions of the bits that are set, lowest first."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
