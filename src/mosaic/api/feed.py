"""The newest events in memory: the journal is read once for all who follow it, and each of them is a cursor over it.

A client that follows closely is answered from memory, one that is far behind from the journal; both see every event
once and in order, since the journal numbers them without gaps in the order of commits.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from itertools import islice

from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.events import Event, Journal
from mosaic.observability import get_logger

__all__ = ["Entry", "Feed", "Feeds"]

_log = get_logger(__name__)
_KEPT = 1_000
_KEPT_BYTES = 4 * 1024 * 1024
_AGAIN_S = 1.0
_PAUSE_EACH_S = 50e-6
_LONGEST_PAUSE_S = 0.1


class Entry:
    """An event, and its JSON text, which is made once for everybody.

    Attributes:
        seq: its place in the journal.
        event: the event as clients see it.
    """

    __slots__ = ("_frame", "_text", "event", "seq")

    def __init__(self, event: Event) -> None:
        self.seq = event.seq
        self.event: JsonObject = event.to_json()
        self._text: str | None = None
        self._frame: bytes | None = None

    @property
    def text(self) -> str:
        """The event as ASCII JSON."""
        if self._text is None:
            self._text = json.dumps(self.event, default=str)
        return self._text

    @property
    def frame(self) -> bytes:
        """The event as a frame of a server-sent stream."""
        if self._frame is None:
            # ASCII: there are characters that some clients take for the end of a line.
            text = f"id: {self.seq}\nevent: {self.event['type']}\ndata: {self.text}\n\n"
            self._frame = text.encode()
        return self._frame


class Feed:
    """The events of one tenant, for as long as somebody follows them.

    Attributes:
        head: the newest event that is known.
    """

    def __init__(self, journal: Journal, ctx: Context) -> None:
        self._journal = journal
        self._ctx = ctx
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._start = self.head = 0
        self._wakes: set[asyncio.Event] = set()
        self._opened = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def following(self, wake: asyncio.Event) -> AsyncIterator[None]:
        """Set `wake` whenever there is something new. Read first, then wait: so nothing falls between."""
        async with self._opened:
            if self._task is None:
                self._start = self.head = await self._journal.head(self._ctx)
                self._task = asyncio.create_task(self._follow())
            self._wakes.add(wake)
        try:
            yield
        finally:
            self._wakes.discard(wake)
            if not self._wakes and self._task is not None:
                self._task.cancel()
                self._task = None
                self._entries.clear()
                self._size = 0

    async def _follow(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._journal.follow(self._ctx, after=self.head)) as pages:
                    async for events in pages:
                        for event in events:
                            self._add(Entry(event))
                        for wake in self._wakes:
                            wake.set()
                        # Many are told more at a time and less often: what each of them costs is the telling.
                        await asyncio.sleep(min(_LONGEST_PAUSE_S, len(self._wakes) * _PAUSE_EACH_S))
            except MosaicError as error:
                _log.warning("the journal cannot be followed: %s", error)
            except Exception as error:  # noqa: BLE001  # a worker: it looks again
                _log.exception("following the journal failed", exc_info=error)
            await asyncio.sleep(_AGAIN_S)

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._size += len(entry.text)
        self.head = entry.seq
        while len(self._entries) > _KEPT or self._size > _KEPT_BYTES:
            gone = self._entries.popleft()
            self._size -= len(gone.text)
            self._start = gone.seq

    async def after(
        self, seq: int, *, run_id: str | None = None, limit: int = 25
    ) -> tuple[Sequence[Entry], int]:
        """Return events after a place, in order, and the place up to which nothing is missing.

        Args:
            seq: the place.
            run_id: only the events of this run.
            limit: how many are looked at.
        """
        if seq >= self._start:
            seen = list(islice(self._entries, seq - self._start, seq - self._start + limit))
            found = seen if run_id is None else [entry for entry in seen if entry.event["run_id"] == run_id]
            return found, seen[-1].seq if seen else seq
        head = self.head
        events = await self._journal.read(self._ctx, after=seq, run_id=run_id, limit=limit)
        last = events[-1].seq if events else seq
        reached = last if len(events) == limit else max(last, head)
        return [Entry(event) for event in events], reached


class Feeds:
    """The feeds of an installation, by tenant."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._feeds: dict[str, Feed] = {}

    def of(self, ctx: Context) -> Feed:
        """Return the feed of the caller's tenant."""
        feed = self._feeds.get(ctx.tenant)
        if feed is None:
            feed = self._feeds[ctx.tenant] = Feed(self._journal, ctx)
        return feed
