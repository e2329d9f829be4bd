"""Writing something along with another room's effect, in the same commit."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from mosaic.core.values import JsonValue
from mosaic.engine import EffectCall, Effects, Outcome
from mosaic.events import NewEvent
from mosaic.storage import Write

__all__ = ["Along", "WritingAlong"]

Along = Callable[[JsonValue], Awaitable[tuple[Sequence[NewEvent], Sequence[Write]]]]
"""Given an effect's result, returns the events and writes to commit with it. Called again when the commit is."""


class WritingAlong:
    """An effect scope whose effects take our events and writes into their commit.

    Args:
        effects: the scope.
        before: events that come before the effect's own.
        along: the events that come after them, and the writes.
    """

    def __init__(self, effects: Effects, *, before: Sequence[NewEvent], along: Along) -> None:
        self._effects = effects
        self._before = before
        self._along = along

    def __getattr__(self, name: str) -> Any:
        return getattr(self._effects, name)

    async def effect(
        self, name: str, call: Callable[[EffectCall], Awaitable[Outcome]], **options: Any
    ) -> JsonValue:
        """Make the effect as `Effects.effect` does; what is ours is committed with its result."""

        async def extended(made: EffectCall) -> Outcome:
            outcome = await call(made)
            after, writes = await self._along(outcome.result)
            events = (*self._before, *outcome.events, *after)
            return replace(outcome, events=events, writes=(*outcome.writes, *writes))

        return await self._effects.effect(name, extended, **options)
