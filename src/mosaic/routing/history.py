"""Routing learned from history: decision records with their outcomes, one JSON object a line."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject
from mosaic.routing.learned import LearnedRoutes, features_of, task_of
from mosaic.routing.recorded import Recorded
from mosaic.routing.schemas import EQUALLY, Outcome, Prefer

__all__ = ["Lesson", "read_history", "train"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """One request of the past: what was decided, who took it and how it ended."""

    record: JsonObject
    target: str
    outcome: Outcome
    cost_nanos: int | None = None
    rating: float | None = None
    prefer: Prefer = field(default_factory=lambda: EQUALLY)


def read_history(lines: Iterable[str], file: str = "") -> Iterator[Lesson]:
    """Yield the lessons of JSON lines: ``{"decision": ..., "outcome": {...}, "target", "cost_nanos", "rating"}``.

    Raises:
        InvalidInput: for a line that is no lesson.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _lesson(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = Problem(f"not a decision with its outcome: {error!r}", file=file, line=number, column=1)
            raise InvalidInput(f"{file or 'The history'} cannot be read.", problems=[problem]) from None


def _lesson(shown: Any) -> Lesson:
    outcome = shown["outcome"]
    record = shown["decision"]
    return Lesson(
        record,
        str(shown.get("target") or record["target"]),
        Outcome(
            bool(outcome["ok"]),
            float(outcome["latency_s"]),
            outcome.get("first_byte_s"),
            outcome.get("error_code"),
            None,
            int(outcome.get("tokens", 0)),
        ),
        shown.get("cost_nanos"),
        shown.get("rating"),
    )


def train(learned: LearnedRoutes, lessons: Iterable[Lesson]) -> int:
    """Learn from the past in its order; return how many requests it was. The report then tells of all of them."""
    count = 0
    for lesson in lessons:
        past = Recorded(lesson.record)
        route, task = str(lesson.record["route"]), task_of(past.request)
        x = features_of(past.request, past.at)
        preferred = past.candidates[learned.order(route, task, x, past.candidates)[0]]
        learned.learn(
            route,
            task,
            x,
            lesson.target,
            lesson.outcome,
            preferred=preferred if learned.knows(route) else None,
            cost_nanos=lesson.cost_nanos,
            rating=0.5 if lesson.rating is None else lesson.rating,
            prefer=lesson.prefer,
            others=past.candidates,
        )
        count += 1
    return count
