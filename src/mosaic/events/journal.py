"""The journal: the one record of what happened, and of every effect's result."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, Unavailable
from mosaic.core.ids import new_id
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.events.batches import PreparedBatch
from mosaic.events.bus import Bus
from mosaic.events.payloads import Payloads
from mosaic.events.repository import EffectRow, EventRow, JournalRepository
from mosaic.events.schemas import Event, NewEvent, PreparedEvent, RecordedEffect
from mosaic.storage import BlobStore, Database, Refused, SyncTransaction, Transaction, Write

__all__ = ["Finish", "Journal", "events_topic"]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Finish:
    """The record of how an effect ended, ready to be written.

    Attributes:
        row: what is written; the same however often.
        result: the result, as a replay will see it.
        error: the error, as a replay will see it.
        writes: the caller's own rows.
    """

    row: EffectRow
    result: JsonValue
    error: Any
    writes: Sequence[Write]


def events_topic(tenant: str) -> str:
    """Return the bus topic of a tenant's new events."""
    return f"events:{tenant}"


class Journal:
    """Append-only, one sequence per tenant, without gaps and in the order of commits.

    Everything is redacted before it is written. What one call writes is written whole or not at all.
    """

    def __init__(
        self, database: Database, bus: Bus, *, redactor: Redactor, blobs: BlobStore, clock: Clock = now
    ) -> None:
        self._database = database
        self._bus = bus
        self._payloads = Payloads(redactor, blobs)
        self._clock = clock
        self._repository = JournalRepository(database.dialect)
        # How long a follower trusts the bus before it looks for itself.
        self._look_again_s = 0.5 if database.dialect == "sqlite" else 1.0

    async def append(self, tx: Transaction, ctx: Context, events: Sequence[NewEvent]) -> list[Event]:
        """Write events in the caller's transaction, and wake followers once it commits.

        The tenant's journal is held for this transaction from here on, so append last and commit soon.

        Raises:
            InvalidInput: if an event's data is not JSON.
        """
        if not events:
            return []
        rows = await self._event_rows(ctx, events)
        await self._repository.append(tx, ctx.tenant, rows)
        self._bus.publish_in(tx, events_topic(ctx.tenant))
        return [row.event() for row in rows]

    def append_in(self, tx: SyncTransaction, events: Sequence[PreparedEvent]) -> None:
        """Write many events of any tenants with the batch of the group committer, and wake followers.

        For a writer that has each event's JSON ready, and small; secrets are masked in its text.
        """
        for tenant in {event.tenant for event in events}:
            self._bus.publish_in(tx, events_topic(tenant))
        batch = PreparedBatch(events, self._payloads.text)
        # With the events of effects, so that the journals of all tenants are taken in one order.
        tx.defer(self._repository.finish, batch)

    async def read(
        self,
        ctx: Context,
        *,
        after: int = 0,
        run_id: str | None = None,
        types: Sequence[str] | None = None,
        limit: int = _PAGE,
    ) -> list[Event]:
        """Return the tenant's events after the sequence number `after`, in order, at most `limit`."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._repository.read(
                tx, ctx.tenant, after=after, run_id=run_id, types=types, limit=limit
            )

    async def read_runs(
        self, ctx: Context, run_ids: Sequence[str], *, after: int, types: Sequence[str], limit: int = _PAGE
    ) -> list[Event]:
        """Return events of some runs and types after a sequence number, in order, at most `limit`."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._repository.read_runs(
                tx, ctx.tenant, run_ids, after=after, types=types, limit=limit
            )

    async def read_back(
        self,
        ctx: Context,
        *,
        before: int | None = None,
        after: int = 0,
        beginnings: Sequence[str] = (),
        actor: str | None = None,
        limit: int = _PAGE,
    ) -> list[Event]:
        """Return the tenant's events before a sequence number, newest first, at most `limit`.

        Args:
            ctx: whose journal.
            before: None begins at the newest event.
            after: where to stop looking, so that a rare kind of event does not cost the whole journal.
            beginnings: of the types that are wanted, such as ``approval.``; none wants all.
            actor: only what this one did.
            limit: how many at most.
        """
        async with self._database.transaction(read_only=True) as tx:
            return await self._repository.read_back(
                tx, ctx.tenant, after=after, before=before if before is not None else 2**63 - 1,
                beginnings=beginnings, actor=actor, limit=limit,
            )  # fmt: skip

    async def tail(
        self, ctx: Context, *, after: int = 0, run_id: str | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yield every event after `after`, first the old ones, then each new one; once, in order, for ever.

        Close the iterator (``contextlib.aclosing``) when done.
        """
        async with contextlib.aclosing(self.follow(ctx, after=after, run_id=run_id)) as pages:
            async for events in pages:
                for event in events:
                    yield event

    async def follow(
        self, ctx: Context, *, after: int = 0, run_id: str | None = None
    ) -> AsyncGenerator[list[Event], None]:
        """Yield what `tail` yields, as many at a time as there are; never none.

        Close the iterator (``contextlib.aclosing``) when done.
        """
        # Subscribed before the first look: an event is either in what we read or wakes us.
        with self._bus.subscribe(events_topic(ctx.tenant)) as subscription:
            while True:
                events = await self.read(ctx, after=after, run_id=run_id)
                if events:
                    yield events
                    after = events[-1].seq
                if len(events) < _PAGE:
                    await subscription.wait(timeout_s=self._look_again_s)

    async def head(self, ctx: Context) -> int:
        """Return the sequence number of the tenant's last event; 0 when there is none."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._repository.head(tx, ctx.tenant)

    async def resolve(self, event: Event) -> JsonObject:
        """Return an event's data with the large values that were kept apart put back.

        Raises:
            NotFound: if a value is no longer kept.
        """
        return await self._payloads.resolve_fields(event.data)

    async def recorded(self, ctx: Context, run_id: str, *, prefix: str = "") -> dict[str, RecordedEffect]:
        """Return the effects of a run by key, those that start with `prefix`; large results are put back."""
        async with self._database.transaction(read_only=True) as tx:
            found = await self._repository.recorded(tx, ctx.tenant, run_id, prefix)
        return {effect.key: await self._resolved(effect) for effect in found}

    async def begin_effect(self, ctx: Context, run_id: str, key: str, data: JsonObject | None = None) -> None:
        """Record that an unsafe call is about to be made.

        Raises:
            Conflict: if the effect was begun or finished before.
        """
        stored, _ = await self._payloads.whole(data or {})
        row = EffectRow(ctx.tenant, run_id, key, stored, None, self._clock(), new_id("evt"), [])
        try:
            await self._database.committer.commit(lambda tx: self._repository.begin(tx, row))
        except Refused as refusal:
            if await self._written_id(row) != row.write_id:
                raise Conflict(f"The effect {key} was begun before.", run_id=run_id, key=key) from refusal

    async def finish_effect(
        self,
        ctx: Context,
        run_id: str,
        key: str,
        *,
        result: JsonValue = None,
        error: JsonObject | None = None,
        events: Sequence[NewEvent] = (),
        writes: Sequence[Write] = (),
        path: str | None = None,
    ) -> JsonValue:
        """Record how an effect ended, with its events and the rows it changed: one commit, shared with others.

        Returns:
            The result as recorded, which is what a replay will see: redacted, and as JSON gives it back.

        Raises:
            Conflict: if the effect is finished already.
            InvalidInput: if the result or an event's data is not JSON.
        """
        finish = await self.prepare_finish(
            ctx, run_id, key, result=result, error=error, events=events, writes=writes, path=path
        )
        return await self.write_finish(finish)

    def prepare_small_finish(
        self,
        ctx: Context,
        run_id: str,
        key: str,
        *,
        result: JsonValue = None,
        error: JsonObject | None = None,
        events: Sequence[NewEvent] = (),
        writes: Sequence[Write] = (),
        path: str | None = None,
    ) -> Finish | None:
        """Do what `prepare_finish` does, without waiting; None when something belongs in the blob store."""
        whole = self._payloads.inline(result)
        problem = self._payloads.inline(error) if error is not None else ("", None)
        texts = [self._payloads.inline_fields(event.data) for event in events]
        if whole is None or problem is None or None in texts:
            return None
        rows = self._rows(ctx, events, [text for text in texts if text is not None], run_id=run_id, path=path)
        return self._finish(ctx, run_id, key, whole, problem, rows, writes)

    async def prepare_finish(
        self,
        ctx: Context,
        run_id: str,
        key: str,
        *,
        result: JsonValue = None,
        error: JsonObject | None = None,
        events: Sequence[NewEvent] = (),
        writes: Sequence[Write] = (),
        path: str | None = None,
    ) -> Finish:
        """Make the record of how an effect ended, for `write_finish`: it may be written as often as needed.

        Raises:
            InvalidInput: if the result or an event's data is not JSON.
        """
        whole = await self._payloads.whole(result)
        problem = await self._payloads.whole(error) if error is not None else ("", None)
        rows = await self._event_rows(ctx, events, run_id=run_id, path=path)
        return self._finish(ctx, run_id, key, whole, problem, rows, writes)

    async def try_finish(self, finish: Finish) -> tuple[bool, asyncio.CancelledError | None]:
        """Write a record once, to the end, also when the caller is cancelled; never raises for a failed write.

        Returns:
            Whether it is written; `write_finish` finds out why it is not. And the cancellation that came meanwhile,
            for the caller to raise.
        """
        try:
            pending = self._database.committer.begin(lambda tx: self._write(tx, finish))
        except Unavailable:
            return False, None
        cancelled = await pending.end()
        return pending.error is None, cancelled

    async def write_finish(self, finish: Finish) -> JsonValue:
        """Write a record, and nothing when it is written already; see `finish_effect`."""
        row = finish.row
        try:
            await self._database.committer.commit(lambda tx: self._write(tx, finish))
        except Refused as refusal:
            written = await self._written_id(row, finished=True)
            if written is None:
                raise  # it was one of the caller's own writes
            if written != row.write_id:
                raise Conflict(
                    f"The effect {row.key} is finished already.", run_id=row.run_id, key=row.key
                ) from refusal
            # It is ours: the connection died after the commit and before its answer, and the unit ran again.
        return finish.result

    def _finish(
        self,
        ctx: Context,
        run_id: str,
        key: str,
        whole: tuple[str, JsonValue],
        problem: tuple[str, JsonValue],
        rows: list[EventRow],
        writes: Sequence[Write],
    ) -> Finish:
        write_id = rows[0].id if rows else new_id("evt")
        row = EffectRow(ctx.tenant, run_id, key, whole[0], problem[0] or None, self._clock(), write_id, rows)
        return Finish(row, result=whole[1], error=problem[1], writes=writes)

    def _write(self, tx: SyncTransaction, finish: Finish) -> None:
        for write in finish.writes:
            tx.send(write)
        tx.defer(self._repository.finish, finish.row)
        if finish.row.events:
            self._bus.publish_in(tx, events_topic(finish.row.tenant))

    async def copy_effects(
        self, tx: Transaction, ctx: Context, from_run: str, to_run: str, keys: Sequence[str]
    ) -> int:
        """Copy finished effects to another run of the tenant, as a fork needs them; return how many."""
        return await self._repository.copy(tx, ctx.tenant, from_run, to_run, keys)

    async def _written_id(self, row: EffectRow, *, finished: bool = False) -> str | None:
        async with self._database.transaction(read_only=True) as tx:
            found = await self._repository.write_id(tx, row.tenant, row.run_id, row.key)
        if found is None or (finished and found[0] == "started"):
            return None
        return found[1]

    async def _resolved(self, effect: RecordedEffect) -> RecordedEffect:
        return replace(
            effect,
            result=await self._payloads.resolve(effect.result),
            error=await self._payloads.resolve(effect.error),
            intent=await self._payloads.resolve(effect.intent),
        )

    async def _event_rows(
        self, ctx: Context, events: Sequence[NewEvent], *, run_id: str | None = None, path: str | None = None
    ) -> list[EventRow]:
        texts = [await self._payloads.fields(event.data) for event in events]
        return self._rows(ctx, events, texts, run_id=run_id, path=path)

    def _rows(
        self,
        ctx: Context,
        events: Sequence[NewEvent],
        texts: Sequence[str],
        *,
        run_id: str | None,
        path: str | None,
    ) -> list[EventRow]:
        occurred_at = self._clock()
        return [
            EventRow(
                tenant=ctx.tenant,
                id=new_id("evt"),
                type=event.type,
                schema_version=event.schema_version,
                occurred_at=occurred_at,
                project=ctx.project,
                actor=str(ctx.actor),
                correlation=ctx.correlation or event.run_id or run_id,
                causation=ctx.causation,
                run_id=event.run_id or run_id,
                path=event.path if event.path is not None else path,
                data=text,
            )
            for event, text in zip(events, texts, strict=True)
        ]
