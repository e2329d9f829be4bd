"""Signals: what a run is told from outside, once and durably."""

from datetime import datetime

from mosaic.core.clock import Clock
from mosaic.core.context import Context
from mosaic.core.errors import Conflict
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonValue
from mosaic.engine.run_repository import RunRepository
from mosaic.engine.schemas import Signal
from mosaic.engine.topics import signal_topic
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database, Transaction

__all__ = ["Signals"]


class Signals:
    """Sends and takes signals."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        *,
        redactor: Redactor,
        clock: Clock,
        safety_poll_s: float,
    ) -> None:
        self._redactor = redactor
        self._database = database
        self._journal = journal
        self._bus = bus
        self._repository = RunRepository(database.dialect)
        self._clock = clock
        self._safety_poll_s = safety_poll_s

    async def send(
        self, tx: Transaction, ctx: Context, run_id: str, name: str, payload: JsonValue, *, multi: bool
    ) -> None:
        """See `Engine.send_signal`."""
        payload = self._redactor.value(payload)
        new = await self._repository.add_signal(tx, ctx, run_id, name, payload, many=multi, now=self._clock())
        if not new:
            raise Conflict(f"Run {run_id} has been told {name!r} before.", run_id=run_id, name=name)
        data = {"name": name, "payload": payload}
        await self._journal.append(tx, ctx, [NewEvent("signal.received", data, run_id=run_id)])
        self._bus.publish_in(tx, signal_topic(ctx.tenant, run_id))

    async def take(
        self, ctx: Context, run_id: str, name: str, *, taker: str, until: datetime | None
    ) -> Signal | None:
        """Wait for a signal and take it for the effect `taker`; None when `until` passes first."""
        with self._bus.subscribe(signal_topic(ctx.tenant, run_id)) as subscription:
            while True:
                async with self._database.transaction(read_only=True) as tx:
                    found = await self._repository.waiting_signal(tx, ctx.tenant, run_id, name, taker=taker)
                if found is not None:
                    number, signal = found
                    if await self._take(ctx, run_id, name, number, taker):
                        return signal
                    continue
                left = self._safety_poll_s
                if until is not None:
                    left = min(left, (until - self._clock()).total_seconds())
                if left <= 0:
                    return None
                await subscription.wait(timeout_s=left)

    async def _take(self, ctx: Context, run_id: str, name: str, number: int, taker: str) -> bool:
        if number == 0:  # the one signal of its name is for everyone who waits for it
            return True
        return await self._database.committer.commit(
            lambda tx: self._repository.take_signal(tx, ctx.tenant, run_id, name, number, taker=taker)
        )
