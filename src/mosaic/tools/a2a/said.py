"""What another agent says of a task."""

from dataclasses import asdict, dataclass
from typing import Any

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["SETTLED", "Said"]

SETTLED = frozenset({"completed", "failed", "rejected", "canceled", "input_required", "auth_required"})
"""States in which an agent does nothing more by itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """Where a task stands, by the word of the agent that has it.

    Attributes:
        task: its id over there; None when the agent answered at once, with no task.
        context: the conversation over there.
        state: ``working`` or one of `SETTLED`.
        text: what it answered, asks, or gives as a reason.
        data: what it answered as data; None when it did not.
        claimed_usd: what it says that it cost. Nobody has checked that.
    """

    task: str | None
    context: str
    state: str
    text: str = ""
    data: JsonValue = None
    claimed_usd: float | None = None

    @property
    def settled(self) -> bool:
        """Whether it does nothing more by itself."""
        return self.state in SETTLED

    def to_json(self) -> JsonObject:
        """Return it as a JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, shown: JsonObject) -> "Said":
        """Return what `to_json` wrote."""
        values: dict[str, Any] = dict(shown)
        return cls(**values)
