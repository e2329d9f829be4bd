"""Trying again: durable delays, one budget per run, no multiplication by nesting."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from mosaic.core.clock import now
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.calls import EffectCall, Outcome, Safety
from mosaic.engine.schemas import RetryPolicy
from mosaic.events import NewEvent

__all__ = ["RetryScope", "retry", "sleep_until"]

T = TypeVar("T")

# asyncio sleeps by a clock that stops while a laptop is suspended; we wait for a time of day.
_LONGEST_SLEEP_S = 30.0


async def sleep_until(moment: datetime) -> None:
    """Sleep until a time of day; not at all when it has passed."""
    while (left := (moment - now()).total_seconds()) > 0:  # noqa: ASYNC110  # it waits for a time, not a change
        await asyncio.sleep(min(left, _LONGEST_SLEEP_S))


class RetryScope(Protocol):
    """What retrying needs of effects."""

    async def effect(
        self, name: str, call: Callable[[EffectCall], Awaitable[Outcome]], *, safety: Safety
    ) -> JsonValue:
        """Return the recorded result of `name`; call and record when there is none."""

    async def take_retry(self, name: str) -> int | None:
        """Pay for one retry; return what is left, or None when the budget was empty."""

    def waiting(self) -> AbstractAsyncContextManager[None]:
        """Mark a wait."""


async def retry(
    effects: RetryScope, name: str, call: Callable[[int], Awaitable[T]], policy: RetryPolicy
) -> T:
    """See `Effects.retrying`."""
    attempt = 1
    while True:
        try:
            return await call(attempt)
        except MosaicError as error:
            if "retries" in error.data or not policy.retries(error):
                raise
            if attempt >= policy.attempts:
                error.data["retries"] = "exhausted"
                raise
            plan = await _plan(effects, name, attempt, error, policy)
            if plan is None:
                error.data["retries"] = "budget_empty"
                error.hint = (
                    error.hint or "The run used up its retry budget; allow more, or look at the cause."
                )
                raise
        async with effects.waiting():
            await sleep_until(datetime.fromisoformat(plan["until"]))
        attempt += 1


async def _plan(
    effects: RetryScope, name: str, attempt: int, error: MosaicError, policy: RetryPolicy
) -> JsonObject | None:
    """Decide once whether and when to retry: a replay waits for the same moment."""
    key = f"{name}/{attempt}/retry"

    async def decide(_: EffectCall) -> Outcome:
        left = await effects.take_retry(key)
        if left is None:
            return Outcome(None)
        delay_s = round(policy.delay_s(attempt, error), 3)
        until = now() + timedelta(seconds=delay_s)
        reason = {"code": error.code, "message": error.message}
        shown = {"name": name, "attempt": attempt, "delay_s": delay_s, "reason": reason, "budget_left": left}
        return Outcome({"until": until.isoformat()}, events=(NewEvent("retry", shown),))

    plan = await effects.effect(key, decide, safety=Safety.REPEATABLE)
    return plan if isinstance(plan, dict) else None
