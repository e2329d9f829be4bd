"""Runs that work on items: linked before they start, followed while they go on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, NotFound
from mosaic.core.values import JsonObject
from mosaic.cost import Cost
from mosaic.events import Journal, NewEvent
from mosaic.planning.picture import Picture
from mosaic.planning.run_repository import ItemRunRepository
from mosaic.planning.schemas import ACTIVE_RUN, Actual, LinkedRun
from mosaic.runs.service import RunService
from mosaic.storage import Database, Duplicate

__all__ = ["ItemRuns", "progressed"]

_BEGUN_WITHIN = timedelta(minutes=2)
_MOST_LOOKED_AT = 100


def progressed(item: Mapping[str, Any], *, status: str, reason: str | None, linked: LinkedRun) -> NewEvent:
    """Return the event that tells what a run means to its item.

    Args:
        item: its id, key and present status.
        status: the status it gets.
        reason: why it is blocked or failed.
        linked: the run as it stands.
    """
    data: JsonObject = {
        "plan": linked.plan,
        "item": item["id"],
        "key": item["key"],
        "title": item["title"],
        "from": item["status"],
        "to": status,
        "reason": reason,
        "run_id": linked.run_id,
        "run_status": linked.status,
        "actual": linked.actual.to_json(),
    }
    return NewEvent("plan.progressed", data)


class ItemRuns:
    """Links runs with items, and looks up what they take."""

    def __init__(
        self, database: Database, journal: Journal, *, runs: RunService, cost: Cost, clock: Clock = now
    ) -> None:
        self._database = database
        self._journal = journal
        self._work = runs
        self._cost = cost
        self._clock = clock
        self._rows = ItemRunRepository(database.dialect)

    async def link(
        self, ctx: Context, picture: Picture, item_id: str, *, run_id: str, workflow: str, force: bool = False
    ) -> LinkedRun:
        """Say that a run is about to work on an item, before it starts; repeated with the same run it is one link.

        The item counts as running from now on, unless it has parts.

        Args:
            ctx: who starts it.
            picture: the plan as it stands.
            item_id: which item.
            run_id: the run that will be started.
            workflow: its workflow, for people.
            force: although something that the item waits for is not done.

        Raises:
            Conflict: if the item waits for others, is closed, or another run works on it; or the run is another item's.
        """
        linked = self._new(ctx, picture, item_id, run_id=run_id, workflow=workflow)
        # Read before our own transaction, which other writers of this process would wait for.
        head = await self._journal.head(ctx)
        try:
            async with self._database.transaction() as tx:
                if (known := (await self._rows.get(tx, ctx.tenant, [run_id])).get(run_id)) is not None:
                    return _same(known, item_id)
                items = await self._rows.standing(tx, ctx.tenant, [item_id])
                present = items.get(item_id)
                if present is None:
                    raise NotFound("The item has been removed meanwhile.")
                others = await self._rows.of_plans(tx, ctx.tenant, [linked.plan])
                _require_free(picture, item_id, [one for one in others if one.item == item_id], force=force)
                linked = replace(linked, before=present["status"])
                await self._rows.begin(tx, ctx.tenant, head)
                await self._rows.add(tx, ctx.tenant, linked)
                has_parts = await self._rows.has_children(tx, ctx.tenant, item_id)
                status = str(present["status"]) if has_parts else "running"
                await self._rows.set_status(
                    tx, ctx.tenant, item_id, status=status, reason=None, at=linked.linked_at
                )
                event = progressed(present, status=status, reason=None, linked=linked)
                await self._journal.append(tx, ctx.correlated(run_id), [event])
        except Duplicate:
            raise Conflict(f"The run {run_id} works on an item already.") from None
        return linked

    def _new(self, ctx: Context, picture: Picture, item_id: str, *, run_id: str, workflow: str) -> LinkedRun:
        return LinkedRun(
            item=item_id,
            plan=picture.plan.id,
            run_id=run_id,
            workflow=workflow[:200],
            status="queued",
            before="todo",
            actual=Actual(),
            linked_at=self._clock(),
            linked_by=str(ctx.actor),
        )

    async def unlink(self, ctx: Context, run_id: str) -> None:
        """Take back the link of a run that never started; the item stands as before."""
        async with self._database.transaction() as tx:
            linked = (await self._rows.get(tx, ctx.tenant, [run_id])).get(run_id)
            if linked is None or linked.status != "queued":
                return
            await self._rows.remove(tx, ctx.tenant, run_id)
            item = (await self._rows.standing(tx, ctx.tenant, [linked.item])).get(linked.item)
            if item is None or item["status"] != "running":
                return
            await self._rows.set_status(
                tx, ctx.tenant, linked.item, status=linked.before, reason=None, at=self._clock()
            )
            gone = replace(linked, status="cancelled")
            event = progressed(item, status=linked.before, reason=None, linked=gone)
            await self._journal.append(tx, ctx.correlated(run_id), [event])

    async def sweep(self, ctx: Context) -> int:
        """Take back links of runs that were never started because of a crash; return how many there were."""
        async with self._database.transaction(read_only=True) as tx:
            waiting = await self._rows.not_begun(tx, ctx.tenant, before=self._clock() - _BEGUN_WITHIN)
        swept = 0
        for linked in waiting:
            try:
                await self._work.get(ctx, linked.run_id)
            except NotFound:
                await self.unlink(ctx, linked.run_id)
                swept += 1
        return swept

    async def live(self, ctx: Context, runs: Mapping[str, list[LinkedRun]]) -> dict[str, LinkedRun]:
        """Return those runs that have not ended, with what they have taken up to now."""
        going = [linked for listed in runs.values() for linked in listed if linked.status in ACTIVE_RUN]
        found = {}
        for linked in going[:_MOST_LOOKED_AT]:
            found[linked.run_id] = replace(linked, actual=await self.actual(ctx, linked, until=self._clock()))
        return found

    async def actual(self, ctx: Context, linked: LinkedRun, *, until: datetime) -> Actual:
        """Return what a run and its child runs have taken: cost from the ledger, time from its start to `until`."""
        cost = await self._cost.run_cost(ctx, linked.run_id)
        start = linked.started_at
        hours = max((until - start).total_seconds(), 0.0) / 3600 if start is not None else 0.0
        tokens = cost.usage.input_tokens + cost.usage.output_tokens
        return Actual(hours, tokens, float(cost.money.as_usd))


def _same(known: LinkedRun, item_id: str) -> LinkedRun:
    if known.item != item_id:
        raise Conflict(
            f"The run {known.run_id} works on another item already.", hint="Choose another run id."
        )
    return known


def _require_free(picture: Picture, item_id: str, runs: list[LinkedRun], *, force: bool) -> None:
    item, standing = picture.tree.items[item_id], picture.standings[item_id]
    busy = next((linked for linked in runs if linked.status in ACTIVE_RUN), None)
    if busy is not None:
        raise Conflict(
            f"The run {busy.run_id} works on {item.key} already.",
            hint=f"Follow it with `mosaic runs watch {busy.run_id}`, or cancel it first.",
            run_id=busy.run_id,
        )
    if standing.status in ("done", "cancelled"):
        raise Conflict(f"{item.key} is {standing.status}.", hint="Set its status to todo to do it again.")
    if standing.waits_for and not force:
        names = [picture.name(other) for other in standing.waits_for[:5]]
        shown = ", ".join(f"{name['key']} ({name['status']})" for name in names)
        raise Conflict(
            f"{item.key} waits for {shown}.",
            hint="Do these first, unlink them, or start it all the same with `force`.",
            waits_for=names,
        )
