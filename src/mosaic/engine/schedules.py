"""Schedules: handlers that start by the clock, once per firing however many nodes watch it."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter  # type: ignore[import-untyped]  # it has no types

from mosaic.core.clock import Clock
from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable
from mosaic.core.values import JsonObject
from mosaic.engine.schedule_repository import ScheduleRepository
from mosaic.engine.schemas import ScheduleInfo
from mosaic.engine.topics import SCHEDULES
from mosaic.events import Bus
from mosaic.storage import Database, Transaction

__all__ = ["Schedules", "next_firing", "previous_firing"]

log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 30.0

Fire = Callable[[Transaction, Context, str, str, JsonObject], Awaitable[object]]


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InvalidInput(
            f"There is no timezone {timezone!r}.", hint="Use a name such as UTC or Europe/Berlin."
        ) from error


def _iterator(cron: str, zone: ZoneInfo, moment: datetime) -> croniter:
    try:
        return croniter(cron, moment.astimezone(zone))
    except (CroniterError, ValueError) as error:
        raise InvalidInput(
            f"{cron!r} is not a cron pattern: {error}", hint="Use five fields, such as '30 2 * * 1-5'."
        ) from error


def _repeated(cron: str, moment: datetime) -> bool:
    """Say whether a firing is the second one of an hour that the end of summer time repeats.

    ``30 2 * * *`` means once a day. A pattern for every hour or minute goes on through the second hour.
    """
    return moment.fold == 1 and not cron.split()[1].startswith("*")


def next_firing(cron: str, timezone: str, after: datetime) -> datetime | None:
    """Return the first firing after `after`; None when there is none (30 February).

    A time that the start of summer time skips fires once, when the clocks have moved.

    Raises:
        InvalidInput: if the pattern or the timezone is not one.
    """
    zone = _zone(timezone)
    iterator = _iterator(cron, zone, after)
    try:
        moment = iterator.get_next(datetime)
        while _repeated(cron, moment):
            moment = iterator.get_next(datetime)
    except CroniterError:
        return None
    return _utc(moment)


def previous_firing(cron: str, timezone: str, until: datetime) -> datetime | None:
    """Return the last firing at or before `until`."""
    zone = _zone(timezone)
    # croniter looks strictly back, and at full seconds.
    iterator = _iterator(cron, zone, until.replace(microsecond=0))
    moment: datetime
    try:
        moment = iterator.get_prev(datetime)
    except CroniterError:
        return None
    following = next_firing(cron, timezone, moment)
    if following is not None and following <= until:
        return following
    while _repeated(cron, moment):
        moment = iterator.get_prev(datetime)
    return _utc(moment)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo("UTC"))


class Schedules:
    """Keeps schedules and fires them.

    Args:
        fire: writes the execution of a firing in the given transaction: context, id, handler, input.
    """

    def __init__(self, database: Database, bus: Bus, *, clock: Clock, fire: Fire) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._fire_in = fire
        self._repository = ScheduleRepository(database.dialect)

    async def put(
        self,
        ctx: Context,
        *,
        name: str,
        cron: str,
        handler: str,
        input: JsonObject,  # noqa: A002  # the contract's word
        timezone: str,
    ) -> None:
        """See `Engine.schedule`."""
        next_at = next_firing(cron, timezone, self._clock())
        async with self._database.transaction() as tx:
            await self._repository.put(
                tx,
                ctx,
                name=name,
                cron=cron,
                timezone=timezone,
                handler=handler,
                input=input,
                next_at=next_at,
            )
            self._bus.publish_in(tx, SCHEDULES)

    async def remove(self, ctx: Context, name: str) -> None:
        """See `Engine.unschedule`."""
        async with self._database.transaction() as tx:
            if not await self._repository.remove(tx, ctx.tenant, name):
                raise NotFound(f"There is no schedule {name!r}.")

    async def list(self, ctx: Context) -> list[ScheduleInfo]:
        """Return the tenant's schedules by name."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._repository.of_tenant(tx, ctx.tenant)

    async def watch(self) -> None:
        """Fire what is due, for ever."""
        with self._bus.subscribe(SCHEDULES) as subscription:
            while True:
                wait_s = 1.0
                try:
                    await self.fire_due()
                    wait_s = await self._until_next_s()
                except Unavailable as error:
                    log.warning("schedules wait for the database: %s", error)
                except MosaicError:
                    log.exception("a schedule could not be fired; it is tried again")
                await subscription.wait(timeout_s=wait_s)

    async def fire_due(self) -> int:
        """Fire every schedule that is due, once each; return how many this node fired.

        Firings that were missed while nothing ran are made up for by the latest one alone.
        """
        now = self._clock()
        async with self._database.transaction(read_only=True) as tx:
            due = await self._repository.due(tx, now)
        fired = 0
        for row in due:
            moment = previous_firing(row["cron"], row["timezone"], now) or row["next_at"]
            following = next_firing(row["cron"], row["timezone"], now)
            # The id holds the moment: even a firing that two nodes believe to have won starts one execution.
            name = f"schedule/{row['tenant_id']}/{row['name']}/{moment:%Y-%m-%dT%H:%M:%SZ}"
            ctx = Context(row["tenant_id"], row["project_id"], Actor.parse(row["actor"]), correlation=name)
            async with self._database.transaction() as tx:
                if await self._repository.claim(tx, row, fired=moment, next_at=following):
                    await self._fire_in(tx, ctx, name, row["handler"], row["input"])
                    fired += 1
        return fired

    async def _until_next_s(self) -> float:
        async with self._database.transaction(read_only=True) as tx:
            soonest = await self._repository.soonest(tx)
        if soonest is None:
            return _LONGEST_WAIT_S
        return min(max((soonest - self._clock()).total_seconds(), 0.001), _LONGEST_WAIT_S)
