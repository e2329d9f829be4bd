"""Counting votes. A tie, or a rule that is not met, has no winner."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.workflows.steps import VoteRule

__all__ = ["Ballot", "Count", "ballot_schema", "count"]


@dataclass(frozen=True, slots=True)
class Ballot:
    """One agent's vote: `ranking` holds the choices, best first; only ``ranked`` looks past the first."""

    agent: str
    ranking: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """How a vote ended.

    Attributes:
        decision: the winner; None when nothing won.
        tally: votes (or weight) by choice; for ``ranked`` those of the last round, 0 for a choice that was out.
    """

    decision: str | None
    tally: dict[str, float]


def ballot_schema(choices: Sequence[str], *, ranked: bool) -> JsonObject:
    """Return the JSON Schema that an agent's vote must meet."""
    choice: JsonObject = {"type": "string", "enum": list(choices)}
    ranking: JsonObject = {
        "type": "array",
        "items": choice,
        "uniqueItems": True,
        "minItems": 1,
        "description": "The choices, best first.",
    }
    field = "ranking" if ranked else "choice"
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [field],
        "properties": {field: ranking if ranked else choice, "reason": {"type": "string"}},
    }


def count(
    rule: VoteRule, ballots: Sequence[Ballot], *, choices: Sequence[str], weights: Mapping[str, float]
) -> Count:
    """Return how `ballots` decide among `choices`."""
    if rule == "ranked":
        return _run_off(ballots, choices)
    tally: dict[str, float] = dict.fromkeys(choices, 0)
    for ballot in ballots:
        tally[ballot.ranking[0]] += weights.get(ballot.agent, 1) if rule == "weighted" else 1
    cast = sum(tally.values())
    winner = next((choice for choice in choices if cast and _wins(rule, tally[choice], cast)), None)
    return Count(winner, tally)


def _wins(rule: VoteRule, votes: float, cast: float) -> bool:
    if rule == "two_thirds":
        return votes * 3 >= cast * 2
    if rule == "unanimous":
        return votes == cast
    return votes * 2 > cast


def _run_off(ballots: Sequence[Ballot], choices: Sequence[str]) -> Count:
    """Instant run-off. All choices that share the last place go out together, so the order on paper decides nothing."""
    left = list(choices)
    while True:
        first: Counter[str] = Counter()
        for ballot in ballots:
            if best := next((choice for choice in ballot.ranking if choice in left), None):
                first[best] += 1
        tally: dict[str, Any] = {choice: first[choice] for choice in choices}
        winner = next((choice for choice in left if first[choice] * 2 > first.total()), None)
        fewest = min((first[choice] for choice in left), default=0)
        going = [choice for choice in left if first[choice] == fewest]
        if winner is not None or len(going) == len(left):
            return Count(winner, tally)
        left = [choice for choice in left if choice not in going]
