"""Reading a mapping field by field: every problem is collected with its place, none stops the reading."""

import re
from collections.abc import Callable
from difflib import get_close_matches

from mosaic.agents.document import Place, safe_relative
from mosaic.core.errors import Problem
from mosaic.core.redaction import looks_secret
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["Fields", "ReadFile", "kind_of", "reason_of"]

ReadFile = Callable[[str], str]


class Fields:
    """One mapping under reading.

    Attributes:
        value: the mapping.
        problems: what was wrong with it, up to now.
    """

    def __init__(self, value: JsonObject, place: Place, read_file: ReadFile | None) -> None:
        self.value = value
        self.place = place
        self.read_file = read_file
        self.problems: list[Problem] = []

    def complain(self, message: str, *keys: str | int, suggestion: str | None = None) -> None:
        """Note a problem with the value under `keys`."""
        self.problems.append(self.place.problem(message, *keys, suggestion=suggestion))

    def unknown(self, value: JsonObject, known: tuple[str, ...], *keys: str) -> None:
        """Note every key of `value` that is not known, with the nearest that is."""
        for key in value:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                shown = "Unknown key." if looks_secret(key) else f"Unknown key {key[:60]!r}."
                self.complain(shown, *keys, key, suggestion=hint)

    def secrets(self, value: JsonValue, keys: tuple[str | int, ...]) -> None:
        """Note every text under `value` that looks like a secret."""
        if isinstance(value, str) and looks_secret(value):
            hint = "take it out, and put it in the environment or the provider's configuration"
            self.complain("This looks like a secret; a definition never holds one.", *keys, suggestion=hint)
        elif isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                self.secrets(item, (*keys, key))

    def text(
        self,
        key: str,
        within: JsonObject | None = None,
        *,
        pattern: re.Pattern[str] | None = None,
        expected: str = "letters, digits, _ and -, at most 48",
        keys: tuple[str, ...] = (),
    ) -> str | None:
        """Return a text, None when it is not there or not right."""
        value = (self.value if within is None else within).get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.complain(f"{key} is text, not {kind_of(value)}.", *keys, key, suggestion="quote it")
            return None
        if pattern is not None and pattern.fullmatch(value) is None:
            self.complain(f"{value[:60]!r} is no {key}: {expected}.", *keys, key)
            return None
        return value

    def texts(
        self,
        key: str,
        within: JsonObject,
        pattern: re.Pattern[str] | None = None,
        expected: str = "letters, digits, _ and -",
    ) -> tuple[str, ...]:
        """Return a list of texts without repetitions; one text may list them with commas."""
        keys = (key,) if within is self.value else (self._parent(within), key)
        value = within.get(key)
        if value is None:
            return ()
        items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
        if not isinstance(items, list):
            self.complain(f"{key} is a list of text, not {kind_of(value)}.", *keys)
            return ()
        found: list[str] = []
        for index, item in enumerate(items):
            place = (*keys, index) if isinstance(value, list) else keys
            if not isinstance(item, str) or not item:
                self.complain(f"{key} is a list of text; this is {kind_of(item)}.", *place)
            elif pattern is not None and pattern.fullmatch(item) is None:
                self.complain(f"{item[:60]!r} is not right in {key}: {expected}.", *place)
            elif item not in found:
                found.append(item)
        return tuple(found)

    def _parent(self, within: JsonObject) -> str:
        return next((key for key, value in self.value.items() if value is within), "")

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Return a whole number in its bounds, else the default."""
        value = self.value.get(key)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.complain(f"{key} is a whole number from {low} to {high}.", key)
            return default
        return value

    def mapping(self, key: str) -> JsonObject:
        """Return a mapping, empty when it is not there or none."""
        value = self.value.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.complain(f"{key} is a mapping, not {kind_of(value)}.", key)
            return {}
        return value

    def group(self, key: str, known: tuple[str, ...]) -> JsonObject:
        """Return a mapping that may hold the `known` keys only."""
        value = self.mapping(key)
        self.unknown(value, known, key)
        return value

    def file(self, name: str, *keys: str) -> str:
        """Return the text of a file beside the definition, empty when it cannot be had."""
        if self.read_file is None or not safe_relative(name):
            self.complain(
                f"{name[:80]!r} is not a file beside the definition.", *keys, suggestion="a relative path"
            )
            return ""
        try:
            text = self.read_file(name)
        except (OSError, ValueError) as error:
            self.complain(f"The file {name!r} cannot be read: {reason_of(error)}.", *keys)
            return ""
        if looks_secret(text):
            self.complain(f"The file {name!r} holds what looks like a secret.", *keys)
            return ""
        return text


def reason_of(error: Exception) -> str:
    """Return why a file could not be read."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def kind_of(value: object) -> str:
    """Return what a value is, in words for people."""
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "nothing")
