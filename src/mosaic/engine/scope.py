"""What the effects of one execution share: what is recorded, what is in flight, and whether to stop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, Fenced, Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.events import Finish, Journal, NewEvent, RecordedEffect
from mosaic.storage import Write

__all__ = ["Halt", "RecordedEffects", "RunScope", "background", "to_the_end"]

T = TypeVar("T")
RecordedEffects: TypeAlias = dict[str, RecordedEffect]
log = logging.getLogger(__name__)

# A wait this long is worth the commit that says "a crash now is not this execution's fault".
_PARK_AFTER_S = 1.0


class Halt(StrEnum):
    """Why an execution stops before its handler is done."""

    CANCEL = "cancel"
    DEADLINE = "deadline"
    HANDOFF = "handoff"  # this process ends in order; another goes on
    FENCED = "fenced"  # this process was declared dead; another has gone on
    STORAGE = "storage"  # the database is away; start again from the journal when it is back


async def _no_retry(key: str) -> int | None:  # noqa: ARG001  # the signature of RunScope.take_retry
    return None


@dataclass(eq=False)
class RunScope:
    """The state behind `Effects`.

    Attributes:
        attempt: how often a node began to run the execution.
        patience_s: how long a finished effect tries to be written while the database is away.
        take_retry: pays for one retry, identified by its effect key; the budget left, or None when it is empty.
        park: says durably whether the execution only waits.
        stop: ends the handler.
        recorded: what the journal has, as far as it was read.
        refused: the keys that another execution had finished first.
        halted: why it stops.
        draining: begin nothing new.
        closed: the handler is done, one way or another.
    """

    journal: Journal
    ctx: Context
    run_id: str
    attempt: int = 1
    patience_s: float = 60.0
    clock: Clock = now
    take_retry: Callable[[str], Awaitable[int | None]] = _no_retry
    park: Callable[[bool], Awaitable[None]] | None = None
    stop: Callable[[], object] | None = None
    recorded: RecordedEffects = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    halted: Halt | None = None
    draining: bool = False
    busy: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    _loaded: list[str] = field(default_factory=list)
    _in_flight: set[str] = field(default_factory=set)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: int = 0
    _parked: bool = False
    _parking: asyncio.TimerHandle | None = None

    async def load(self, prefix: str) -> None:
        """Read what is recorded under a path, once."""
        if any(prefix.startswith(loaded) for loaded in self._loaded):
            return
        found = await self.patiently(
            f"reading {prefix or 'everything'}",
            lambda: self.journal.recorded(self.ctx, self.run_id, prefix=prefix),
        )
        self.recorded = found | self.recorded
        self._loaded.append(prefix)

    def know(self, prefix: str, recorded: RecordedEffects | None) -> None:
        """Take over what is recorded under a path from whoever knows it already."""
        if recorded is not None:
            self.recorded.update(recorded)
            self._loaded.append(prefix)

    def known(self, prefix: str) -> RecordedEffects | None:
        """Return what is recorded under a path, when that is known without looking."""
        if not any(prefix.startswith(loaded) for loaded in self._loaded):
            return None
        return {key: effect for key, effect in self.recorded.items() if key.startswith(prefix)}

    def done(self, key: str) -> RecordedEffect | None:
        """Return the recorded effect of `key`, when it is finished."""
        found = self.recorded.get(key)
        return None if found is None or found.started_only else found

    def halt(self, reason: Halt) -> None:
        """End the handler; the first reason counts."""
        if self.halted is None:
            self.halted = reason
            if self.stop is not None:
                self.stop()

    async def check(self) -> None:
        """Go on, or do not: an execution that stops begins nothing new.

        Raises:
            Fenced: if this node lost its lease.
        """
        if self.halted is Halt.FENCED:
            raise Fenced("This node lost its lease; another one runs this execution.")
        if self.draining or self.halted is not None:
            # Wait to be cancelled rather than raise: a task group would take a CancelledError that nobody
            # asked for as the orderly end of one branch.
            await self.closed.wait()
            raise asyncio.CancelledError
        if self._parked:
            await self._set_parked(parked=False)

    @contextmanager
    def naming(self, key: str) -> Iterator[None]:
        """Hold an effect's key.

        Raises:
            Conflict: if it is held already; the recorded result could be of either call.
        """
        if key in self._in_flight:
            raise Conflict(
                f"The effect {key} is used twice at the same time.",
                hint="Give each effect of a path its own name.",
                key=key,
            )
        self._in_flight.add(key)
        try:
            yield
        finally:
            self._in_flight.discard(key)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Mark one effect as in flight: a shutdown waits for its record."""
        self.busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.busy -= 1
            if self.busy == 0:
                self._idle.set()
                self._park_soon()

    async def idle(self) -> None:
        """Wait until no effect is in flight."""
        while self.busy:
            await self._idle.wait()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Mark a wait for something outside this execution."""
        self._waiting += 1
        self._park_soon()
        try:
            yield
        finally:
            self._waiting -= 1
        if self._parked:
            await self._set_parked(parked=False)
            self._park_soon()  # others may still wait

    def _park_soon(self) -> None:
        if self.park is None or self._parked or self._parking is not None or not self._waiting or self.busy:
            return
        self._parking = asyncio.get_running_loop().call_later(_PARK_AFTER_S, self._park_if_still)

    def _park_if_still(self) -> None:
        self._parking = None
        if self._waiting and not self.busy and self.halted is None and not self.closed.is_set():
            self._parked = True
            background(self._set_parked(parked=True))

    async def _set_parked(self, *, parked: bool) -> None:
        self._parked = parked
        if self.park is not None:
            try:
                await self.park(parked)
            except Fenced:
                self.halt(Halt.FENCED)
            except Unavailable as error:
                # A crash now may be counted, or not counted, once too often: better than to stop here.
                log.warning("could not note that run %s waits: %s", self.run_id, error)

    async def begin(self, key: str) -> None:
        """Record the intent of an unsafe call."""

        async def write() -> None:
            # A conflict is our own row, written by a commit whose answer was lost: nobody else runs this path.
            with suppress(Conflict):
                await self.journal.begin_effect(self.ctx, self.run_id, key)

        await self.patiently(f"beginning {key}", write)

    async def finish(
        self,
        key: str,
        *,
        path: str,
        ctx: Context | None = None,
        result: JsonValue = None,
        error: JsonObject | None = None,
        events: Sequence[NewEvent] = (),
        writes: Sequence[Write] = (),
    ) -> RecordedEffect:
        """Record an effect, to the end: neither a cancelled task nor a short outage loses what was done."""
        ctx = ctx or self.ctx
        values: dict[str, Any] = {
            "path": path, "result": result, "error": error, "events": events, "writes": writes,
        }  # fmt: skip
        finish = self.journal.prepare_small_finish(ctx, self.run_id, key, **values)
        cancelled: asyncio.CancelledError | None = None
        recorded: RecordedEffect | None = None
        if finish is not None:
            # The usual case without a task of its own. What fails is done again, and explained, below.
            is_written, cancelled = await self.journal.try_finish(finish)
            if is_written:
                recorded = _as_recorded(key, finish)
        try:
            if recorded is None:
                recorded = await to_the_end(self._finish_patiently(ctx, key, finish, values))
            self.recorded[key] = recorded
        finally:
            if cancelled is not None:
                raise cancelled
        return recorded

    async def _finish_patiently(
        self, ctx: Context, key: str, finish: Finish | None, values: dict[str, Any]
    ) -> RecordedEffect:
        async def write() -> RecordedEffect:
            nonlocal finish
            if finish is None:
                finish = await self.journal.prepare_finish(ctx, self.run_id, key, **values)
            try:
                await self.journal.write_finish(finish)
            except Conflict:
                # Finished by another execution after all; what is recorded counts.
                self.refused.add(key)
                return await self._read(key)
            return _as_recorded(key, finish)

        return await self.patiently(f"recording {key}", write)

    async def _read(self, key: str) -> RecordedEffect:
        return (await self.journal.recorded(self.ctx, self.run_id, prefix=key))[key]

    async def patiently(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` again and again while the database is away; it must be the same when repeated.

        An outage is no result of an effect: a handler that saw it would go another way than its replay. So
        when patience ends, the handler is stopped and begins anew from the journal.

        Raises:
            Unavailable: if the outage outlasts `patience_s`.
            Fenced: if this node lost its lease.
        """
        loop = asyncio.get_running_loop()
        give_up, delay_s = loop.time() + self.patience_s, 0.05
        while True:
            try:
                return await work()
            except Fenced:
                self.halt(Halt.FENCED)
                raise
            except Unavailable as error:
                if loop.time() >= give_up:
                    self.halt(Halt.STORAGE)
                    raise
                log.warning("run %s: %s waits for the database: %s", self.run_id, what, error)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 2.0)


def _as_recorded(key: str, finish: Finish) -> RecordedEffect:
    return RecordedEffect(
        key,
        None if finish.error is not None else finish.result,
        finish.error,
        started_only=False,
        event_seq=0,
    )


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even when cancelled meanwhile; the cancellation comes after it."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # retrieved: the cancellation is what the caller hears of
        raise cancelled
    return task.result()


_background: set[asyncio.Task[Any]] = set()


def background(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` with nobody waiting for it."""
    task = asyncio.ensure_future(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
