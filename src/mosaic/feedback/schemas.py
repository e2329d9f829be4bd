"""Feedback as other rooms see it."""

from dataclasses import asdict, dataclass
from datetime import datetime

from mosaic.core.values import JsonObject

__all__ = ["Feedback", "NewFeedback"]


@dataclass(frozen=True, slots=True)
class NewFeedback:
    """What somebody says of a generation.

    Attributes:
        generation_id: what it is about: a run, an artifact, an answer of a model.
        rating: 1 (bad) to 5 (good).
        issues: what was wrong, each in a few words.
        run_id: the run that it came from, where that is known.
    """

    generation_id: str
    rating: int
    comments: str | None = None
    issues: tuple[str, ...] = ()
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody said; see `NewFeedback`."""

    id: str
    project: str
    generation_id: str
    run_id: str | None
    rating: int
    comments: str | None
    issues: tuple[str, ...]
    created_at: datetime
    created_by: str

    def to_json(self) -> JsonObject:
        """Return it as the API shows it."""
        created_at = self.created_at.isoformat().replace("+00:00", "Z")
        return {**asdict(self), "issues": list(self.issues), "created_at": created_at}
