"""The record of calls that passed: written a few milliseconds later, many in one commit, none forgotten at the end."""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime

import msgspec

from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.events import Journal, PreparedEvent
from mosaic.storage import Database, SyncTransaction

__all__ = ["CallRecords"]

log = logging.getLogger(__name__)

_PAUSE_S = 0.02
_AGAIN_S = 1.0
_MOST_AT_ONCE = 256
_MOST_WAITING = 20_000

_encode = msgspec.json.Encoder().encode


class CallRecords:
    """Collects events of calls and writes them in batches.

    Args:
        database: where the journal is.
        journal: gets the events.
    """

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal
        self._waiting: deque[PreparedEvent] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait while more calls have passed than could be recorded: none goes on unrecorded."""
        if not self._room.is_set():
            await self._room.wait()

    def add(self, ctx: Context, event: str, data: JsonObject, *, correlation: str) -> None:
        """Take an event; it is written soon."""
        text = _encode(data).decode().replace("\\u0000", "\\ufffd")
        at = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        self._waiting.append(
            PreparedEvent(ctx.tenant, ctx.project, str(ctx.actor), event, text, at, correlation=correlation)
        )
        if len(self._waiting) >= _MOST_WAITING:
            self._room.clear()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._write_all(), name="mcp-gateway-records")

    async def close(self) -> None:
        """Write what is left; what cannot be written is logged."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        while self._waiting:
            try:
                await self._write(list(self._waiting)[:_MOST_AT_ONCE])
            except MosaicError as error:
                log.error("%d records of calls are lost: %s", len(self._waiting), error)  # noqa: TRY400
                return

    async def _write_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PAUSE_S)
            batch = [self._waiting[index] for index in range(min(len(self._waiting), _MOST_AT_ONCE))]
            try:
                await self._write(batch)
            except MosaicError as error:
                log.warning("calls cannot be recorded now: %s", error)
                await asyncio.sleep(_AGAIN_S)

    async def _write(self, batch: list[PreparedEvent]) -> None:
        def unit(tx: SyncTransaction) -> None:
            self._journal.append_in(tx, batch)

        # To its end, also when this process stops: else it could not be known whether they are written.
        await asyncio.shield(self._database.committer.commit(unit))
        for _ in batch:
            self._waiting.popleft()
        if len(self._waiting) < _MOST_WAITING:
            self._room.set()
