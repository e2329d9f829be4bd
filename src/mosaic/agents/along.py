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
    """An effect scope whose effects take our events and writes into their commit."""

    def __init__(
        self,
        effects: Effects,
        along: Along,
    ) -> None:
        self._effects = effects
        self._along = along

    def __getattr__(self, name: str) -> Any:
        return getattr(self._effects, name)

    async def effect(
        self, name: str, call: Callable[[EffectCall], Awaitable[Outcome]], **options: Any
    ) -> JsonValue:
        """Make the effect as `Effects.effect` does; what `along` returns is committed with its result."""

        async def extended(made: EffectCall) -> Outcome:
            outcome = await call(made)
            events, writes = await self._along(outcome.result)
            return replace(outcome, events=(*outcome.events, *events), writes=(*outcome.writes, *writes))

        return await self._effects.effect(name, extended, **options)
