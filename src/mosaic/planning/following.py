"""What happens to runs moves the items they work on: the journal is followed, each event counts once.

How far it was read stands in the database and moves in the transaction that changes the items, so a restart carries on
where it was, and of two processes that read the same events one writes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.events import Bus, Event, Journal, NewEvent, events_topic
from mosaic.observability import get_logger
from mosaic.planning.item_runs import ItemRuns, progressed
from mosaic.planning.run_repository import ItemRunRepository
from mosaic.planning.schemas import LinkedRun
from mosaic.runs.service import RunService
from mosaic.storage import Database, Transaction

__all__ = ["RunFollower"]

_log = get_logger(__name__)

_TYPES = (
    "run.started", "run.reopened", "run.succeeded", "run.failed", "run.cancelled",
    "approval.requested", "approval.decided", "approval.expired",
)  # fmt: skip
_ENDS = {"run.succeeded": "succeeded", "run.failed": "failed", "run.cancelled": "cancelled"}
_PAGE = 200
_FAR = 2_000
_LOOK_AGAIN_S = 5.0
_SWEEP_S = 120.0
_LONGEST_REASON = 1_000


@dataclass(slots=True)
class _Step:
    """What an event means to a run's link, and to its item.

    Attributes:
        status: the status the item gets; None leaves it as it is.
    """

    linked: LinkedRun
    event: Event
    status: str | None
    reason: str | None = None


class RunFollower:
    """Moves items as the runs that work on them go on."""

    def __init__(
        self, database: Database, journal: Journal, bus: Bus, *, links: ItemRuns, runs: RunService
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._links = links
        self._work = runs
        self._rows = ItemRunRepository(database.dialect)

    async def run(self, ctx: Context) -> None:
        """Follow for ever."""
        loop = asyncio.get_running_loop()
        swept_at = -_SWEEP_S
        with self._bus.subscribe(events_topic(ctx.tenant)) as subscription:
            while True:
                try:
                    await self.catch_up(ctx)
                    if loop.time() - swept_at >= _SWEEP_S:
                        swept_at = loop.time()
                        await self._links.sweep(ctx)
                except Exception as error:  # noqa: BLE001  # a worker: it looks again
                    _log.exception("following runs for plans failed", exc_info=error)
                    await asyncio.sleep(1.0)
                await subscription.wait(timeout_s=_LOOK_AGAIN_S)

    async def catch_up(self, ctx: Context) -> int:
        """Read what has happened since the last look; return how many events moved something."""
        moved = 0
        while True:
            head = await self._journal.head(ctx)
            async with self._database.transaction(read_only=True) as tx:
                position = await self._rows.position(tx, ctx.tenant)
            if position is None:
                return moved  # no run has ever been linked
            events = await self._journal.read(ctx, after=position, types=_TYPES, limit=_PAGE)
            full = len(events) == _PAGE
            after = events[-1].seq if full else max([head, *(event.seq for event in events)])
            steps = await self._steps(ctx, events)
            if steps or full or after - position >= _FAR:
                moved += await self._write(ctx, steps, before=position, after=after)
            if not full:
                return moved

    async def _steps(self, ctx: Context, events: Sequence[Event]) -> list[_Step]:
        """Return what events mean to links, in order."""
        owners = {event.run_id: event.run_id for event in events if event.run_id is not None}
        async with self._database.transaction(read_only=True) as tx:
            links = await self._rows.get(tx, ctx.tenant, owners)
        for event in events:
            if event.type.startswith("approval.") and event.run_id is not None and event.run_id not in links:
                owners[event.run_id] = await self._root(ctx, event.run_id)
        missing = set(owners.values()) - set(owners)
        if missing:
            async with self._database.transaction(read_only=True) as tx:
                links |= await self._rows.get(tx, ctx.tenant, missing)
        steps = []
        for event in events:
            linked = links.get(owners.get(event.run_id or "", ""))
            if linked is None or (event.run_id != linked.run_id and not event.type.startswith("approval.")):
                continue
            step = await self._step(ctx, linked, event)
            links[linked.run_id] = step.linked
            steps.append(step)
        return steps

    async def _root(self, ctx: Context, run_id: str) -> str:
        """Return the run that a child run, which asks a person, works for."""
        try:
            return (await self._work.get(ctx, run_id)).root_run_id
        except NotFound:
            return run_id

    async def _step(self, ctx: Context, linked: LinkedRun, event: Event) -> _Step:
        at = event.occurred_at
        if event.type in _ENDS:
            return await self._end(ctx, linked, event)
        if event.type in ("run.started", "run.reopened"):
            started = linked.started_at or at
            return _Step(
                replace(linked, status="running", started_at=started, finished_at=None), event, "running"
            )
        asked = str(event.data.get("approval") or "")
        if event.type == "approval.requested":
            approvals = (*(one for one in linked.approvals if one != asked), asked)
        else:
            approvals = tuple(one for one in linked.approvals if one != asked)
        if linked.finished_at is not None:
            return _Step(replace(linked, approvals=()), event, None)
        waiting = bool(approvals)
        return _Step(
            replace(linked, approvals=approvals, status="waiting" if waiting else "running"),
            event,
            "needs_you" if waiting else "running",
        )

    async def _end(self, ctx: Context, linked: LinkedRun, event: Event) -> _Step:
        actual = await self._links.actual(ctx, linked, until=event.occurred_at)
        ended = replace(
            linked, status=_ENDS[event.type], finished_at=event.occurred_at, approvals=(), actual=actual
        )
        if event.type == "run.succeeded":
            return _Step(ended, event, "done")
        if event.type == "run.cancelled":
            # Nobody said that the work is not wanted: it can be started again.
            return _Step(ended, event, "todo" if linked.before in ("todo", "failed") else linked.before)
        error: Any = event.data.get("error")
        said = error.get("message") if isinstance(error, dict) else None
        return _Step(ended, event, "failed", str(said or "its run failed")[:_LONGEST_REASON])

    async def _write(self, ctx: Context, steps: Sequence[_Step], *, before: int, after: int) -> int:
        """Write what the events mean, once: nothing when somebody else has read them meanwhile."""
        async with self._database.transaction() as tx:
            if not await self._rows.advance(tx, ctx.tenant, before=before, after=after):
                return 0
            items = await self._rows.standing(tx, ctx.tenant, [step.linked.item for step in steps])
            for step in steps:
                await self._rows.save(tx, ctx.tenant, step.linked)
                told = await self._move(tx, ctx, step, items)
                if told is not None:
                    chain = ctx.correlated(step.linked.run_id, step.event.id)
                    await self._journal.append(tx, chain, [told])
        return len(steps)

    async def _move(
        self, tx: Transaction, ctx: Context, step: _Step, items: dict[str, dict[str, Any]]
    ) -> NewEvent | None:
        item = items.get(step.linked.item)
        if item is None:
            return None  # it was removed
        # What a person has said of the item meanwhile counts: only what a run has set, a run changes.
        follows = item["status"] in ("running", "needs_you") or step.event.type == "run.reopened"
        status = step.status if step.status is not None and follows else str(item["status"])
        if await self._rows.has_children(tx, ctx.tenant, step.linked.item):
            status = str(item["status"])
        told = progressed(item, status=status, reason=step.reason, linked=step.linked)
        if status != item["status"]:
            await self._rows.set_status(
                tx, ctx.tenant, step.linked.item, status=status, reason=step.reason, at=step.event.occurred_at
            )
            item["status"] = status
        return told
