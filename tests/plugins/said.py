"""What a model says, in no vendor's words."""

from dataclasses import dataclass, field
from typing import Any, Literal

Then = Literal["end", "drop", "hang"]


@dataclass(frozen=True)
class Said:
    """What a model says. A tool call is (id, name on the wire, arguments as text)."""

    text: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    finish: str = ""
    usage: tuple[int, int] = (11, 7)
    extra: dict[str, Any] = field(default_factory=dict)


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
