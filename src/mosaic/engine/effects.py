"""Effects: everything a handler does to the world, recorded once and answered from the record ever after."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from mosaic.core.context import Actor, Context
from mosaic.core.errors import Cancelled, Fenced, InvalidInput, MosaicError, OutcomeUnknown, error_from_json
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.calls import EffectCall, Outcome, Safety
from mosaic.engine.retries import retry
from mosaic.engine.schemas import DEFAULT_RETRY_BUDGET, RetryPolicy
from mosaic.engine.scope import RunScope
from mosaic.events import Journal, NewEvent, RecordedEffect

__all__ = ["EffectCall", "Effects", "Outcome", "Safety"]

T = TypeVar("T")


class Effects:
    """The effects of one execution at one step path.

    A name must be unique at its path. The order of calls does not matter, so branches may run in parallel.

    Attributes:
        ctx: for whom the execution runs, and who acts.
        run_id: the run whose journal keeps the effects.
        path: the step path, such as ``build[2]/code``.
    """

    __slots__ = ("_scope", "ctx", "path", "run_id")

    def __init__(self, scope: RunScope, path: str, *, ctx: Context | None = None) -> None:
        self._scope = scope
        self.ctx: Context = ctx or scope.ctx
        self.run_id: str = scope.run_id
        self.path = path

    @classmethod
    def open(
        cls,
        journal: Journal,
        ctx: Context,
        run_id: str,
        *,
        path: str = "",
        retry_budget: int = DEFAULT_RETRY_BUDGET,
    ) -> "Effects":
        """Return effects outside an execution: recorded and replayed the same; the retry budget is its own."""
        left = iter(range(retry_budget - 1, -1, -1))

        async def take_retry(_: str) -> int | None:
            return next(left, None)

        return cls(RunScope(journal, ctx, run_id, take_retry=take_retry), path)

    def at(self, path: str) -> "Effects":
        """Return the same run's effects at another step path, given in full."""
        return Effects(self._scope, path, ctx=self.ctx)

    def acting_as(self, actor: Actor) -> "Effects":
        """Return the same effects with another actor: their events say that it did it. The record is the same."""
        return Effects(self._scope, self.path, ctx=self.ctx.acting_as(actor))

    @property
    def owner(self) -> Actor:
        """Whom the execution belongs to, whoever acts in it."""
        return self._scope.ctx.actor

    def key(self, name: str) -> str:
        """Return the key under which the effect `name` of this path is recorded."""
        return f"{self.path}#{name}"

    def is_recorded(self, name: str) -> bool:
        """Say whether the effect `name` is finished, so that it will not call again."""
        return self._scope.done(self.key(name)) is not None

    async def was_recorded(self, name: str) -> bool:
        """Say whether the effect `name` is finished, also before the first effect of this path was asked for."""
        await self._scope.load(self.path)
        return self.is_recorded(name)

    async def effect(
        self,
        name: str,
        call: Callable[[EffectCall], Awaitable[Outcome]],
        *,
        safety: Safety = Safety.UNSAFE,
        events_on_error: Callable[[MosaicError], Sequence[NewEvent]] | None = None,
    ) -> JsonValue:
        """Return the recorded result of `name`; when there is none, call, record and return it.

        A `MosaicError` of the call is recorded too and raised again on every replay, equal in code, message
        and data. Not recorded: `Cancelled`, `Fenced`, a cancelled task, and errors of other types, which are
        mistakes in the program; after those the call is made again by the next execution, unless it is unsafe.

        Args:
            name: unique at this path.
            call: makes the call. It may be cancelled and must then leave nothing running.
            safety: what a crash during the call means.
            events_on_error: what to journal with an error.

        Raises:
            OutcomeUnknown: if an unsafe call was begun before and its result was lost.
            Conflict: if `name` is in flight at this path already.
            Fenced: if this node lost its lease.
        """
        scope, key = self._scope, self.key(name)
        await scope.load(self.path)
        if (known := scope.done(key)) is not None:
            return _replay(known)
        with scope.naming(key):
            await scope.check()
            with scope.working():
                return await self._call(key, call, safety, events_on_error)

    async def _call(
        self,
        key: str,
        call: Callable[[EffectCall], Awaitable[Outcome]],
        safety: Safety,
        events_on_error: Callable[[MosaicError], Sequence[NewEvent]] | None,
    ) -> JsonValue:
        if safety is Safety.UNSAFE and await self._begun_before(key):
            lost = OutcomeUnknown(
                f"{key} was sent before a crash and its result was lost: it may or may not have happened.",
                hint="Look at the other side, then start the step again or go on without it.",
                run_id=self.run_id,
                key=key,
            )
            return await self._fail(key, lost, events_on_error)
        try:
            outcome = await call(EffectCall(self._idempotency_key(key), self._scope.attempt))
        except (Cancelled, Fenced):
            raise
        except MosaicError as error:
            return await self._fail(key, error, events_on_error)
        return await self._succeed(key, outcome, events_on_error)

    async def _begun_before(self, key: str) -> bool:
        if key in self._scope.recorded:
            return True
        await self._scope.begin(key)
        return False

    async def _succeed(
        self,
        key: str,
        outcome: Outcome,
        events_on_error: Callable[[MosaicError], Sequence[NewEvent]] | None,
    ) -> JsonValue:
        try:
            recorded = await self._scope.finish(
                key,
                ctx=self.ctx,
                path=self.path,
                result=outcome.result,
                events=outcome.events,
                writes=outcome.writes,
            )
        except InvalidInput as error:
            # It happened, only its answer cannot be kept: that is how it ended, also for a replay.
            return await self._fail(key, error, events_on_error)
        return _replay(recorded)

    async def _fail(
        self,
        key: str,
        error: MosaicError,
        events_on_error: Callable[[MosaicError], Sequence[NewEvent]] | None,
    ) -> JsonValue:
        events = tuple(events_on_error(error)) if events_on_error is not None else ()
        recorded = await self._scope.finish(
            key, ctx=self.ctx, path=self.path, error=error.to_json(), events=events
        )
        if recorded.error == error.to_json():
            raise error
        return _replay(recorded)

    def _idempotency_key(self, key: str) -> str:
        scope = f"{self.ctx.tenant}\n{self.run_id}\n{key}"
        return "mosaic-" + hashlib.sha256(scope.encode()).hexdigest()[:40]

    async def emit(self, *events: NewEvent, name: str | None = None) -> None:
        """Journal events once, however often the handler runs.

        Args:
            events: written together.
            name: tells this emission from others of the same type at this path.
        """
        if events:
            suffix = f":{name}" if name is not None else ""
            await self._record(f"emit:{events[0].type}{suffix}", None, events)

    async def remember(self, name: str, make: Callable[[], JsonValue]) -> JsonValue:
        """Return the recorded value of `name`; when there is none, make, record and return it.

        For what a handler may not ask for directly, because it changes: the time, a random number, a new id.
        """
        return await self._record(name, make, ())

    async def _record(
        self, name: str, make: Callable[[], JsonValue] | None, events: Sequence[NewEvent]
    ) -> JsonValue:
        scope, key = self._scope, self.key(name)
        await scope.load(self.path)
        if (known := scope.done(key)) is not None:
            return _replay(known)
        with scope.naming(key):
            await scope.check()
            with scope.working():
                value = make() if make is not None else None
                return _replay(
                    await scope.finish(key, ctx=self.ctx, path=self.path, result=value, events=events)
                )

    async def retrying(self, name: str, call: Callable[[int], Awaitable[T]], policy: RetryPolicy) -> T:
        """Call until it succeeds, within the policy and the run's one retry budget.

        `call` gets the attempt's number and must name its effects by it (``f"{name}/{attempt}"``), so that
        each attempt is recorded apart. Every retry takes one from the budget that the whole run shares and is
        journaled as a ``retry`` event. An error that a nested `retrying` gave up on is not tried again, so
        nested retries never multiply.

        Raises:
            MosaicError: the last error; `data` says ``retries``: ``exhausted`` or ``budget_empty``, when it
                would have been worth another attempt.
        """
        return await retry(self, name, call, policy)

    def waiting(self) -> AbstractAsyncContextManager[None]:
        """Mark a wait for something outside, such as a person: a crash during it is not held against the run."""
        return self._scope.waiting()

    async def take_retry(self, name: str) -> int | None:
        """Pay for one retry from the run's budget; return what is left, or None when it was empty."""
        key = self.key(name)
        return await self._scope.patiently(f"paying for {key}", lambda: self._scope.take_retry(key))


def _replay(recorded: RecordedEffect) -> JsonValue:
    if recorded.error is not None:
        error: JsonObject = recorded.error
        raise error_from_json(error)
    return recorded.result
