"""How far a misbehaving model is followed: wrong answers are sent back a few times, endless loops are ended."""

from collections.abc import Sequence
from typing import NoReturn

from mosaic.core.errors import ContractViolation
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonValue, content_hash

__all__ = ["Repairs", "Repetition"]

_SAID_LIMIT = 500
_WARN_AFTER = 3
_STOP_AFTER = 6


class Repairs:
    """Counts wrong answers in a row and gives up with what the model said.

    Attributes:
        limit: how many wrong answers in a row are sent back.
        used: how many were wrong, in a row, up to now.
    """

    def __init__(self, agent: str, limit: int, redactor: Redactor) -> None:
        self.agent = agent
        self.limit = limit
        self.used = 0
        self._redactor = redactor

    def right(self) -> None:
        """Note a usable answer."""
        self.used = 0

    def shown(self, text: str) -> str:
        """Return text as errors may hold it: masked and bounded."""
        return self._redactor.text(text)[:_SAID_LIMIT]

    def wrong(self, what: str, *, said: str, turn: int) -> None:
        """Note a wrong answer.

        Raises:
            ContractViolation: if it was one too many; its data holds what the model said, bounded and masked.
        """
        self.used += 1
        if self.used > self.limit:
            self.give_up(what, said=said, turn=turn)

    def give_up(self, what: str, *, said: str, turn: int, budget_empty: bool = False) -> NoReturn:
        """End it, because it was wrong too often or the run has no retry left.

        Raises:
            ContractViolation: always.
        """
        times = f" {self.used} times in a row" if self.used > 1 else ""
        data = {"agent": self.agent, "turn": turn, "said": self.shown(said)}
        if budget_empty or self.used > 1:
            data["retries"] = (
                "budget_empty" if budget_empty else "exhausted"
            )  # an outer retry must not multiply these
        hint = "Look at `said`; a more capable model, a simpler output schema or clearer instructions help."
        raise ContractViolation(
            f"The model of agent {self.agent!r} answered wrongly{times}: {self.shown(what)}",
            hint="The run used up its retry budget; allow more, or look at `said`." if budget_empty else hint,
            **data,
        )


class Repetition:
    """Notices that a model makes the same calls again and again and gets the same results."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self._last = ""
        self._count = 0

    def note(self, calls: Sequence[tuple[str, JsonValue, JsonValue]], *, turn: int) -> str | None:
        """Note a turn's calls (tool, arguments, result) and return a warning for the model when it repeats itself.

        Raises:
            ContractViolation: if it went on after the warnings.
        """
        now = content_hash([list(call) for call in calls])
        self._count = self._count + 1 if now == self._last else 1
        self._last = now
        if self._count >= _STOP_AFTER:
            names = ", ".join(sorted({name for name, _, _ in calls}))
            raise ContractViolation(
                f"Agent {self.agent!r} made the same calls {self._count} times in a row with the same results: {names}.",
                hint="Its task or its instructions leave it no way on; see the conversation.",
                agent=self.agent,
                turn=turn,
            )
        if self._count >= _WARN_AFTER:
            return (
                f"You have now made exactly these calls {self._count} times and the results were the same each time. "
                "Do something else, or give your answer."
            )
        return None
