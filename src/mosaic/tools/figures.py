"""What calls of tools come to in this process: how many, how they ended, how long they took."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mosaic.tools.schemas import ToolSpec

__all__ = ["ToolFigure", "ToolFigures"]

CallEnd = Literal["ok", "failed"]


@dataclass(slots=True)
class ToolFigure:
    """The calls of one kind of tool that ended in one way.

    Attributes:
        source: what kind of place the tools come from: ``builtin``, ``python``, ``file``, ``mcp``, ``provider`` and so
            on; never a name that a workflow may choose.
    """

    source: str
    risk: str
    outcome: CallEnd
    calls: int = 0
    seconds: float = 0.0


class ToolFigures:
    """Sums since the start of the process."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str, CallEnd], ToolFigure] = {}

    def note(self, spec: ToolSpec, seconds: float, *, failed: bool) -> None:
        """Count one call."""
        outcome: CallEnd = "failed" if failed else "ok"
        key = (spec.source.partition(":")[0], spec.risk.value, outcome)
        figure = self._figures.setdefault(key, ToolFigure(*key))
        figure.calls += 1
        figure.seconds += seconds

    def __iter__(self) -> Iterator[ToolFigure]:
        return iter(tuple(self._figures.values()))
