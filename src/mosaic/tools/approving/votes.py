"""Counts votes: when an approval is decided, and what exactly was decided."""

from collections.abc import Sequence
from dataclasses import dataclass

from mosaic.core.values import JsonObject
from mosaic.tools.schemas import ApprovalScope, ApprovalStatus, Counting, Vote

__all__ = ["Verdict", "same_answer", "tally"]

_BREADTH: tuple[ApprovalScope, ...] = ("once", "run", "always")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the votes come to.

    Attributes:
        status: approved or rejected.
        vote: whose arguments and answer hold; every counted yes is for the same ones.
        scope: how long the yes holds: no longer than any of those who said yes wanted.
        pattern: the calls it holds for besides this one.
    """

    status: ApprovalStatus
    vote: Vote
    scope: ApprovalScope = "once"
    pattern: JsonObject | None = None


def tally(votes: Sequence[Vote], *, quorum: int, counting: Counting) -> Verdict | None:
    """Return what the votes decide; None while they do not.

    A yes counts for the arguments and the answer it was given for: when somebody edits the arguments, those who said
    yes to the old ones have not agreed to the new ones.
    """
    noes = [vote for vote in votes if not vote.approve]
    if noes and (counting == "veto" or 2 * len(noes) >= quorum):
        return Verdict(ApprovalStatus.REJECTED, noes[-1])
    for vote in reversed(votes):
        agreed = [other for other in votes if other.approve and same_answer(vote, other)]
        if not vote.approve or len(agreed) + len(noes) < quorum or len(agreed) <= len(noes):
            continue
        scope, pattern = _common(agreed)
        return Verdict(ApprovalStatus.APPROVED, vote, scope, pattern)
    return None


def same_answer(one: Vote, other: Vote) -> bool:
    """Say whether two votes are for the same thing; every no is."""
    if one.approve != other.approve:
        return False
    return not one.approve or (one.arguments == other.arguments and one.answer == other.answer)


def _common(votes: Sequence[Vote]) -> tuple[ApprovalScope, JsonObject | None]:
    scope = min((vote.scope for vote in votes), key=_BREADTH.index)
    pattern = votes[0].pattern
    if scope == "once" or any(vote.pattern != pattern for vote in votes):
        return "once", None
    return scope, pattern
