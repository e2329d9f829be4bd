"""What everybody wrote down, side by side: the endpoints' records, the clients' files, the gateway's ledger."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.site import INPUT_NANOS, OUTPUT_NANOS

__all__ = ["Call", "Records", "Sending", "read_calls", "read_records"]


@dataclass(slots=True)
class Sending:
    """One request as an endpoint saw it.

    Attributes:
        billed: input and output tokens; None when it cost nothing.
        answered: when the whole answer was with the system; 0.0 when it never was.
        left: when the caller went away before that; 0.0 when it did not.
        over: it was answered, left, failed on purpose, or its endpoint was killed.
    """

    provider: str
    at: float
    billed: tuple[int, int] | None = None
    answered: float = 0.0
    left: float = 0.0
    over: bool = False

    @property
    def nanos(self) -> int:
        """What it costs by the endpoint's own count."""
        if self.billed is None:
            return 0
        return self.billed[0] * INPUT_NANOS + self.billed[1] * OUTPUT_NANOS


@dataclass(slots=True)
class Records:
    """All requests that reached an endpoint, by the client's id, in order of arrival."""

    by_id: dict[str, list[Sending]] = field(default_factory=dict)

    def billed(self, prefix: str) -> int:
        """Nanos that the endpoints billed for calls whose id begins so."""
        return sum(s.nanos for name, found in self.by_id.items() if name.startswith(prefix) for s in found)


def read_records(paths: Iterable[Path]) -> Records:
    """Read the endpoints' records."""
    by_id: dict[str, list[Sending]] = defaultdict(list)
    for path in paths:
        open_: dict[str, Sending] = {}
        for line in path.read_text().splitlines():
            what, number, name, *more = line.split()
            if what == "R":
                sending = open_[number] = Sending(path.stem, float(more[0]))
                by_id[name].append(sending)
            elif what in "BP":
                open_[number].billed = (int(more[0]), int(more[1]))
            elif what == "K":
                for sending in open_.values():
                    sending.over = True
            else:
                open_[number].over = True
                if what == "A":
                    open_[number].answered = float(more[0])
                elif what == "C":
                    open_[number].left = float(more[0])
    for found in by_id.values():
        found.sort(key=lambda sending: sending.at)
    return Records(dict(by_id))


@dataclass(slots=True)
class Call:
    """One call as its client saw it; see `load.py`."""

    name: str
    kind: str
    route: str
    status: int
    end: str
    began: float
    first: float
    ended: float
    request_id: str
    model: str
    said: str = ""


def read_calls(paths: Iterable[Path]) -> list[Call]:
    """Read the clients' files."""
    calls = []
    for path in paths:
        for line in path.read_text().splitlines():
            facts: list[Any] = json.loads(line)
            calls.append(Call(*facts))
    return calls
