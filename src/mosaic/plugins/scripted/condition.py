"""The `when` of a script: which conversations an answer fits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mosaic.core.errors import InvalidInput
from mosaic.providers.ai import ModelRequest, ToolCallResponsePart

__all__ = ["Condition", "parse_condition"]


@dataclass(frozen=True, slots=True)
class _Test:
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    regex: re.Pattern[str] | None = None

    def fits(self, text: str) -> dict[str, str] | None:
        """Return the named groups when `text` fits, else None."""
        if not all(part in text for part in self.contains) or any(part in text for part in self.lacks):
            return None
        if self.regex is None:
            return {}
        found = self.regex.search(text)
        return {name: value or "" for name, value in found.groupdict().items()} if found else None


@dataclass(frozen=True, slots=True)
class _ToolTest:
    test: _Test
    tool: str | None
    is_error: bool | None

    def fits(self, request: ModelRequest) -> dict[str, str] | None:
        parts = request.messages[-1].parts if request.messages else ()
        for part in parts:
            if not isinstance(part, ToolCallResponsePart):
                continue
            if self.tool not in (None, part.name) or self.is_error not in (None, part.is_error):
                continue
            groups = self.test.fits(part.text)
            if groups is not None:
                return groups
        return None


@dataclass(frozen=True, slots=True)
class Condition:
    """What must fit, all of it."""

    tests: tuple[tuple[str, _Test], ...]
    tool_result: _ToolTest | None = None

    def fits(self, request: ModelRequest) -> dict[str, str] | None:
        """Return the named groups when `request` fits, else None."""
        groups: dict[str, str] = {}
        for name, test in self.tests:
            found = test.fits(_TEXTS[name](request))
            if found is None:
                return None
            groups |= found
        if self.tool_result is not None:
            found = self.tool_result.fits(request)
            if found is None:
                return None
            groups |= found
        return groups


def _prompt(request: ModelRequest) -> str:
    return next((message.text for message in request.messages if message.role == "user"), "")


def _last(request: ModelRequest) -> str:
    if not request.messages:
        return ""
    message = request.messages[-1]
    results = [part.text for part in message.parts if isinstance(part, ToolCallResponsePart)]
    return "\n".join(text for text in (message.text, *results) if text)


def _system(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages if message.role == "system")


_TEXTS: dict[str, Callable[[ModelRequest], str]] = {
    "prompt": _prompt,
    "last": _last,
    "system": _system,
    "path": lambda request: request.metadata.get("path", ""),
}


def parse_condition(shown: Any) -> Condition:
    """Return the condition written as `shown`.

    Raises:
        InvalidInput: if it is not one; the message says what is wrong.
        re.error: if a regular expression is not one.
    """
    if not isinstance(shown, dict) or not shown:
        raise InvalidInput("must be a mapping such as `{prompt: text}`")
    unknown = [key for key in shown if key not in _TEXTS and key != "tool_result"]
    if unknown:
        raise InvalidInput(f"unknown key {unknown[0]!r}; known are {', '.join(_TEXTS)}, tool_result")
    tests = tuple((name, _test(shown[name], name)) for name in _TEXTS if name in shown)
    return Condition(tests, _tool_test(shown["tool_result"]) if "tool_result" in shown else None)


def _tool_test(shown: Any) -> _ToolTest:
    if not isinstance(shown, dict):
        return _ToolTest(_test(shown, "tool_result"), None, None)
    rest = {key: value for key, value in shown.items() if key not in ("tool", "is_error")}
    tool, is_error = shown.get("tool"), shown.get("is_error")
    if not isinstance(tool, str | None) or not isinstance(is_error, bool | None):
        raise InvalidInput("tool_result: `tool` is a name and `is_error` is true or false")
    return _ToolTest(_test(rest, "tool_result"), tool, is_error)


def _test(shown: Any, name: str) -> _Test:
    if isinstance(shown, str):
        return _Test(contains=(shown,))
    if not isinstance(shown, dict):
        raise InvalidInput(f"{name}: must be a text, or a mapping with contains, lacks or regex")
    unknown = [key for key in shown if key not in ("contains", "lacks", "regex")]
    if unknown:
        raise InvalidInput(f"{name}: unknown key {unknown[0]!r}; known are contains, lacks, regex")
    regex = shown.get("regex")
    if not isinstance(regex, str | None):
        raise InvalidInput(f"{name}.regex: must be a text")
    return _Test(
        contains=_texts(shown.get("contains"), f"{name}.contains"),
        lacks=_texts(shown.get("lacks"), f"{name}.lacks"),
        regex=re.compile(regex, re.MULTILINE) if regex is not None else None,
    )


def _texts(shown: Any, name: str) -> tuple[str, ...]:
    if shown is None:
        return ()
    texts = [shown] if isinstance(shown, str) else shown
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidInput(f"{name}: must be a text or a list of texts")
    return tuple(texts)
