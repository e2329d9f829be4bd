"""What strangers write, made safe for models and for people: nothing hidden, nothing that moves a terminal's cursor.

Instructions can hide in characters that nobody sees: tag characters, zero-width ones, variation selectors, turned
reading directions, escape sequences of terminals. What reaches a model or a screen has none of them; what is kept for
comparison shows them as escapes.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["clean_text", "clean_value", "findings", "visible_value"]

# Bounded pieces, each over a class of characters: nothing here can run long on a hostile text.
_TERMINAL = (
    r"\x1b(?:\[[0-?]{0,64}[ -/]{0,16}[@-~]|[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x1b\x9b]"
)
_CONTROLS = r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9a\x9c-\x9f]"
_TURNING = "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_INVISIBLE = (
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# A joiner between letters of some scripts and inside emoji means something; next to ASCII, or in a row, it hides.
_JOINERS = "(?:(?<=[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?=[\x00-\x7f\u200c\u200d]|\\Z)|(?<![^\\n])[\u200c\u200d])"
# One selector after a character chooses its form; several, or one after ASCII, carry bytes.
_SELECTORS = (
    "(?:(?<=[\x00-\x22\x24-\x29\x2b-\x2f\x3a-\x7f])[\ufe00-\ufe0f]|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f])"
)

_KINDS: tuple[tuple[str, "re.Pattern[str]"], ...] = (
    ("terminal escapes", re.compile(_TERMINAL)),
    ("control characters", re.compile(_CONTROLS)),
    ("turned reading direction", re.compile(_TURNING)),
    ("invisible characters", re.compile(f"{_INVISIBLE}|{_JOINERS}|{_SELECTORS}")),
)
_HIDDEN = re.compile("|".join(pattern.pattern for _, pattern in _KINDS))
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")
_ESCAPED = re.compile(r"\\u\{(10[0-9a-f]{4}|[0-9a-f]{1,5})\}")
_DEEPEST = 64
_MOST_PASSES = 4


def clean_text(text: str) -> str:
    """Return a text without anything hidden; line ends become plain."""
    if _PLAIN.fullmatch(text):
        return text
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    for _ in range(_MOST_PASSES):  # removing one piece may join two halves of another
        cleaned = _HIDDEN.sub("", unified)
        if cleaned == unified:
            break
        unified = cleaned
    return unified


def clean_value(value: JsonValue) -> JsonValue:
    """Return a JSON value with every text and every name in it cleaned."""
    cleaned: JsonValue = _mapped(value, clean_text)
    return cleaned


def visible_value(value: JsonValue) -> JsonValue:
    r"""Return a JSON value in which what hides is shown as ``\u{200b}``: for people who compare, and for storage."""
    shown: JsonValue = _mapped(value, _visible)
    return shown


def findings(shown: JsonObject, others: Collection[str] = ()) -> list[str]:
    """Return what is suspicious in a tool's definition, in words for a person.

    Args:
        shown: name, description, schemas, annotations, as `visible_value` made them.
        others: names of tools of other sources; a description that names one may try to steer its use.
    """
    texts: list[str] = []

    def collect(text: str) -> str:
        texts.append(text)
        return text

    _mapped(shown, collect)
    whole = "\n".join(texts)
    hidden = "".join({chr(int(found[1], 16)) for found in _ESCAPED.finditer(whole)})
    found = [f"{kind} in its texts" for kind, pattern in _KINDS if pattern.search(hidden)]
    if named := sorted(name for name in others if name in whole):
        found.append(f"its texts name other tools: {', '.join(named[:5])}")
    return found


def _visible(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    return _HIDDEN.sub(lambda match: "".join(map(_shown, match[0])), text)


def _shown(character: str) -> str:
    return character if " " <= character <= "~" else f"\\u{{{ord(character):x}}}"


def _mapped(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    if isinstance(value, str):
        return change(value)
    if depth > _DEEPEST:
        return None
    if isinstance(value, list):
        return [_mapped(item, change, depth + 1) for item in value]
    if isinstance(value, dict):
        return {change(str(key)): _mapped(item, change, depth + 1) for key, item in value.items()}
    return value
