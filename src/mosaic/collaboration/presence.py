"""Who looks at what: in this process alone, or on every node that shares the database."""

import time
from collections.abc import Callable, Collection
from datetime import timedelta

from mosaic.collaboration.interfaces import Presences, presence_topic
from mosaic.collaboration.repository import ViewerRepository
from mosaic.collaboration.schemas import Subject, Viewer
from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.ids import new_id
from mosaic.events import Bus
from mosaic.storage import Database

__all__ = ["LocalPresences", "SharedPresences", "open_presences"]

_GONE_AFTER = timedelta(seconds=60)
_KEEP_S = 15.0


def open_presences(database: Database, bus: Bus) -> Presences:
    """Return what keeps presences for the processes that serve `database`: with SQLite that is one."""
    return LocalPresences(bus) if database.dialect == "sqlite" else SharedPresences(database, bus)


class LocalPresences:
    """The viewers of this process, in memory."""

    def __init__(self, bus: Bus, *, clock: Clock = now) -> None:
        self._bus = bus
        self._clock = clock
        self._viewers: dict[str, dict[str, Viewer]] = {}

    async def look(self, ctx: Context, viewer: str, subject: Subject) -> None:
        """Say that a viewer looks at `subject` now."""
        known = self._viewers.setdefault(ctx.tenant, {})
        before = known.pop(viewer, None)
        if before is not None and before.subject == subject:
            known[viewer] = before
            return
        known[viewer] = Viewer(viewer, str(ctx.actor), subject, self._clock())
        self._bus.publish(presence_topic(ctx.tenant))

    async def leave(self, ctx: Context, viewer: str) -> None:
        """Say that a viewer is gone."""
        known = self._viewers.get(ctx.tenant, {})
        if known.pop(viewer, None) is None:
            return
        if not known:
            del self._viewers[ctx.tenant]
        self._bus.publish(presence_topic(ctx.tenant))

    async def keep(self, ctx: Context) -> None:
        """Nobody else would forget them."""

    async def viewers(self, ctx: Context, ids: Collection[str]) -> list[Viewer]:
        """Return who looks at the things of these ids or at something inside them."""
        found = [
            viewer
            for viewer in self._viewers.get(ctx.tenant, {}).values()
            if viewer.subject.id in ids or viewer.subject.place in ids
        ]
        return sorted(found, key=lambda viewer: (viewer.since, viewer.id))


class SharedPresences:
    """The viewers of every node, as rows that go stale: the bus tells the nodes, it carries no data."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        clock: Clock = now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._timer = timer
        self._rows = ViewerRepository(database.dialect)
        self._node = new_id("node")
        self._kept_at = 0.0

    async def look(self, ctx: Context, viewer: str, subject: Subject) -> None:
        """Say that a viewer looks at `subject` now."""
        moment = self._clock()
        new = Viewer(viewer, str(ctx.actor), subject, moment)
        async with self._database.transaction() as tx:
            await self._rows.forget(tx, ctx.tenant, before=moment - _GONE_AFTER)
            await self._rows.put(tx, ctx.tenant, self._node, new)
            self._bus.publish_in(tx, presence_topic(ctx.tenant))

    async def leave(self, ctx: Context, viewer: str) -> None:
        """Say that a viewer is gone."""
        async with self._database.transaction() as tx:
            if await self._rows.remove(tx, ctx.tenant, viewer):
                self._bus.publish_in(tx, presence_topic(ctx.tenant))

    async def keep(self, ctx: Context) -> None:
        """Say that this node and its viewers still live; one statement for all of them, now and then."""
        if self._timer() - self._kept_at < _KEEP_S:
            return
        self._kept_at = self._timer()
        async with self._database.transaction() as tx:
            await self._rows.touch(tx, ctx.tenant, self._node, at=self._clock())

    async def viewers(self, ctx: Context, ids: Collection[str]) -> list[Viewer]:
        """Return who looks at the things of these ids or at something inside them."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.looking(tx, ctx.tenant, ids, since=self._clock() - _GONE_AFTER)
