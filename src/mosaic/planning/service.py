"""Plans: made, read, changed by reviewable change sets, taken back, removed; and the runs that work on their items."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.core.ids import new_id
from mosaic.core.page import Page
from mosaic.core.values import JsonObject
from mosaic.events import Journal, NewEvent
from mosaic.planning.diffs import diff_of, reversed_states
from mosaic.planning.draft import Draft
from mosaic.planning.errors import StalePlan
from mosaic.planning.keys import parse_key
from mosaic.planning.loading import LoadedPlan, PlanLoader
from mosaic.planning.operations import Add, Link, Move, Operation, Unlink
from mosaic.planning.picture import Picture, consequences
from mosaic.planning.repository import PlanRepository
from mosaic.planning.run_repository import ItemRunRepository
from mosaic.planning.schedule import find_cycle
from mosaic.planning.schemas import ACTIVE_RUN, ChangeSet, Item, Plan
from mosaic.storage import Database, Transaction

__all__ = ["Plans"]

_NAMED = 12


class _Unchanged(Exception):
    """A change changes nothing, so that nothing is written."""

    def __init__(self, change: ChangeSet) -> None:
        super().__init__()
        self.change = change


class Plans:
    """The plans of every tenant; each verb is scoped by the caller's."""

    def __init__(self, database: Database, journal: Journal, *, clock: Clock = now) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._rows = PlanRepository(database.dialect)
        self._runs = ItemRunRepository(database.dialect)
        self._loader = PlanLoader(self._rows, self._runs)

    # Reading

    async def picture(self, ctx: Context, plan_id: str) -> Picture:
        """Return a plan as it stands.

        Raises:
            NotFound: if the tenant has no such plan.
        """
        async with self._database.transaction(read_only=True) as tx:
            return (await self._loader.load(tx, ctx, await self._get(tx, ctx, plan_id))).picture()

    async def page(
        self, ctx: Context, *, project: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Picture]:
        """Return a page of plans as they stand, newest first.

        Raises:
            InvalidInput: if the cursor is not one of ours.
        """
        async with self._database.transaction(read_only=True) as tx:
            page = await self._page(tx, ctx, project, cursor, limit)
            loaded = await self._loader.load_all(tx, ctx, page.items)
        return Page(tuple(one.picture() for one in loaded), page.next_cursor)

    async def rows(
        self, ctx: Context, *, project: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Plan]:
        """Return a page of plans without their items, newest first.

        Raises:
            InvalidInput: if the cursor is not one of ours.
        """
        async with self._database.transaction(read_only=True) as tx:
            return await self._page(tx, ctx, project, cursor, limit)

    async def _page(
        self, tx: Transaction, ctx: Context, project: str | None, cursor: str | None, limit: int
    ) -> Page[Plan]:
        before = _read_place(cursor) if cursor else None
        found = await self._rows.page(tx, ctx.tenant, project=project, before=before, limit=limit + 1)
        more = found[limit - 1] if len(found) > limit else None
        return Page(tuple(found[:limit]), f"{more.created_at.isoformat()}~{more.id}" if more else None)

    async def counts(self, ctx: Context) -> dict[str, int]:
        """Return how many plans each project of the tenant has."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.counts(tx, ctx.tenant)

    async def changes(
        self, ctx: Context, plan_id: str, *, cursor: str | None = None, limit: int = 20
    ) -> Page[ChangeSet]:
        """Return a page of a plan's history, newest first.

        Raises:
            NotFound: if the tenant has no such plan.
            InvalidInput: if the cursor is not one of ours.
        """
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 18):
            raise InvalidInput(f"{cursor[:80]!r} is not a cursor of this listing.")
        async with self._database.transaction(read_only=True) as tx:
            await self._get(tx, ctx, plan_id)
            before = int(cursor) if cursor is not None else None
            found = await self._rows.changes(tx, ctx.tenant, plan_id, before=before, limit=limit + 1)
        more = found[limit - 1] if len(found) > limit else None
        return Page(tuple(found[:limit]), str(more.version) if more else None)

    async def _get(self, tx: Transaction, ctx: Context, plan_id: str) -> Plan:
        found = await self._rows.get(tx, ctx.tenant, plan_id)
        if found is None:
            raise _no_plan(plan_id)
        return found

    # Making and removing

    async def create(
        self,
        ctx: Context,
        *,
        name: str,
        description: str = "",
        project: str | None = None,
        operations: Sequence[Operation] = (),
    ) -> Picture:
        """Make a plan with the items that `operations` add.

        Raises:
            InvalidInput: naming everything that is wrong with the operations.
            Conflict: if items would wait for each other in a circle.
        """
        moment = self._clock()
        plan = Plan(
            new_id("plan"), ctx.tenant, project or ctx.project, name, description, 1, 0, moment, str(ctx.actor), moment
        )  # fmt: skip
        async with self._database.transaction() as tx:
            if operations:
                await self._rows.hold_links(tx, ctx.tenant)
            empty = await self._loader.load(tx, ctx, plan, named=_references(operations))
            draft = await _applied(empty, operations)
            made = await self._write(tx, ctx, empty, draft, base=0, note="", event="plan.created")
            await self._rows.add(tx, replace(draft.plan, version=1))
            await self._record(tx, ctx, made, draft.plan, event="plan.created")
        return await self.picture(ctx, plan.id)

    async def remove(self, ctx: Context, plan_id: str, *, base_version: int | None = None) -> None:
        """Remove a plan with its items and its history; what runs did stays.

        Raises:
            NotFound: if the tenant has no such plan.
            StalePlan: if it has another version than `base_version`.
            Conflict: while runs work on its items, or items of other plans wait for them.
        """
        async with self._database.transaction() as tx:
            await self._rows.hold_links(tx, ctx.tenant)
            plan = await self._counted(tx, ctx, plan_id, base_version)
            busy = [
                linked.run_id
                for linked in await self._runs.of_plans(tx, ctx.tenant, [plan_id])
                if linked.status in ACTIVE_RUN
            ]
            if busy:
                raise Conflict(
                    f"{len(busy)} runs work on items of {plan.name!r}: {', '.join(busy[:3])}.",
                    hint="Cancel them first, or wait for their end.",
                )
            if waiting := await self._rows.waiting_elsewhere(tx, ctx.tenant, plan_id):
                raise Conflict(
                    f"Items of other plans wait for items of {plan.name!r}.",
                    hint="Unlink them there first.",
                    plans=sorted({one.plan for one in waiting}),
                )
            await self._rows.remove(tx, ctx.tenant, plan_id)
            shown: JsonObject = {"plan": plan_id, "project": plan.project, "name": plan.name}
            await self._journal.append(tx, ctx, [NewEvent("plan.removed", shown)])

    # Changing

    async def preview(
        self,
        ctx: Context,
        plan_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        note: str = "",
    ) -> ChangeSet:
        """Return what `change` would do and mean; its id is empty.

        Raises:
            NotFound, StalePlan, InvalidInput, Conflict: as `change` does.
        """
        async with self._database.transaction(read_only=True) as tx:
            plan = await self._get(tx, ctx, plan_id)
            _require_version(plan, base_version)
            loaded = await self._loader.load(tx, ctx, plan, named=_references(operations))
        draft = await _applied(loaded, operations)
        return await self._worked_out(ctx, loaded, draft, base=plan.version, note=note)

    async def change(
        self,
        ctx: Context,
        plan_id: str,
        operations: Sequence[Operation],
        *,
        base_version: int | None = None,
        note: str = "",
    ) -> ChangeSet:
        """Apply operations to a plan, all or none, and journal ``plan.changed`` with the diff.

        Operations that change nothing are no change: the answer has no id then.

        Args:
            ctx: who changes it.
            plan_id: which plan.
            operations: what to do, in order.
            base_version: the version they were made for; None for whichever there is.
            note: why, for the history.

        Raises:
            NotFound: if the tenant has no such plan.
            StalePlan: if it has another version by now.
            InvalidInput: naming everything that cannot be done.
            Conflict: if items would wait for each other in a circle; it is named.
        """
        try:
            async with self._database.transaction() as tx:
                if any(isinstance(one, Add | Link | Move) for one in operations):
                    await self._rows.hold_links(tx, ctx.tenant)
                plan = await self._counted(tx, ctx, plan_id, base_version)
                loaded = await self._loader.load(tx, ctx, plan, named=_references(operations))
                draft = await _applied(loaded, operations)
                made = await self._write(tx, ctx, loaded, draft, base=plan.version, note=note)
                await self._rows.save(tx, draft.plan)
                await self._record(tx, ctx, made, draft.plan)
                return made
        except _Unchanged as unchanged:
            return unchanged.change

    async def undo(
        self,
        ctx: Context,
        plan_id: str,
        change_id: str,
        *,
        base_version: int | None = None,
        note: str = "",
        dry_run: bool = False,
    ) -> ChangeSet:
        """Take a change set back by one of the opposite, which can be taken back too.

        Raises:
            NotFound: if there is no such plan, or no such change of it.
            StalePlan: if the plan has another version than `base_version`.
            Conflict: if it was taken back already, or what it touched has changed again since.
        """
        async with self._database.transaction(read_only=dry_run) as tx:
            if dry_run:
                plan = await self._get(tx, ctx, plan_id)
                _require_version(plan, base_version)
            else:
                await self._rows.hold_links(tx, ctx.tenant)
                plan = await self._counted(tx, ctx, plan_id, base_version)
            change = await self._undoable(tx, ctx, plan_id, change_id)
            waits = {
                other
                for one in change.diff
                if "depends_on" in one.fields
                for other in one.fields["depends_on"].before or ()
            }
            loaded = await self._loader.load(tx, ctx, plan, named=waits)
            draft = loaded.draft()
            fields, states = reversed_states(plan, loaded.items, change.diff)
            draft.restore(states)
            draft.check_whole()
            draft.plan = replace(draft.plan, **fields)
            note = note or f"Undo: {change.note or change.id}"
            if dry_run:
                return await self._worked_out(ctx, loaded, draft, base=plan.version, note=note, undoes=change)
            made = await self._write(tx, ctx, loaded, draft, base=plan.version, note=note, undoes=change)
            await self._rows.save(tx, draft.plan)
            await self._record(tx, ctx, made, draft.plan)
            await self._rows.mark_undone(tx, ctx.tenant, change.id, by=made.id)
            if change.undoes is not None:
                await self._rows.mark_undone(tx, ctx.tenant, change.undoes, by=None)
            return made

    async def _undoable(self, tx: Transaction, ctx: Context, plan_id: str, change_id: str) -> ChangeSet:
        change = await self._rows.change(tx, ctx.tenant, plan_id, change_id)
        if change is None:
            raise NotFound(
                f"The plan {plan_id} has no change {change_id}.",
                hint=f"`mosaic plan diff {plan_id}` shows its changes.",
            )
        if change.undone_by is not None:
            raise Conflict(f"The change {change_id} was taken back already, by {change.undone_by}.")
        if change.base_version == 0:
            raise Conflict("That change made the plan.", hint=f"`mosaic plan remove {plan_id}` removes it.")
        return change

    async def _counted(self, tx: Transaction, ctx: Context, plan_id: str, base_version: int | None) -> Plan:
        """Hold the plan and count its version up; return it as it was before."""
        counted = await self._rows.count_up(tx, ctx.tenant, plan_id, at=self._clock())
        if counted is None:
            raise _no_plan(plan_id)
        plan = replace(counted, version=counted.version - 1)
        _require_version(plan, base_version)
        return plan

    async def _worked_out(
        self,
        ctx: Context,
        loaded: LoadedPlan,
        draft: Draft,
        *,
        base: int,
        note: str,
        undoes: ChangeSet | None = None,
    ) -> ChangeSet:
        """Return the change set that makes the draft of what was loaded; elsewhere, as a large plan takes a while."""
        return await asyncio.to_thread(self._change, ctx, loaded, draft, base=base, note=note, undoes=undoes)

    def _change(
        self,
        ctx: Context,
        loaded: LoadedPlan,
        draft: Draft,
        *,
        base: int,
        note: str,
        undoes: ChangeSet | None = None,
    ) -> ChangeSet:
        if circle := find_cycle((*draft.items.values(), *loaded.others)):
            raise _circle(circle, {**{item.id: item for item in loaded.others}, **draft.items}, draft.plan.id)
        before = loaded.picture()
        after = Picture(draft.plan, draft.items.values(), others=loaded.others, runs=loaded.runs)
        diff = diff_of((loaded.plan, loaded.items), (draft.plan, draft.items))
        return ChangeSet(
            id="",
            plan=draft.plan.id,
            base_version=base,
            version=base + bool(diff or base == 0),
            note=note,
            diff=diff,
            consequences=consequences(before, after),
            created_at=self._clock(),
            created_by=str(ctx.actor),
            undoes=undoes.id if undoes is not None else None,
        )

    async def _write(
        self,
        tx: Transaction,
        ctx: Context,
        loaded: LoadedPlan,
        draft: Draft,
        *,
        base: int,
        note: str,
        undoes: ChangeSet | None = None,
        event: str = "plan.changed",
    ) -> ChangeSet:
        change = await self._worked_out(ctx, loaded, draft, base=base, note=note, undoes=undoes)
        if not change.diff and event == "plan.changed":
            raise _Unchanged(change)
        made = replace(change, id=new_id("change"))
        items = _numbered(draft.items)
        await self._rows.write(tx, ctx.tenant, loaded.items, items, at=made.created_at)
        plans = {item.id: item.plan for item in (*loaded.others, *items.values())}
        await self._rows.write_links(tx, ctx.tenant, loaded.items, items, plans=plans)
        return made

    async def _record(
        self, tx: Transaction, ctx: Context, made: ChangeSet, plan: Plan, *, event: str = "plan.changed"
    ) -> None:
        await self._rows.add_change(tx, ctx.tenant, made)
        shown = made.to_json()
        data: JsonObject = {
            "plan": plan.id,
            "project": plan.project,
            "name": plan.name,
            "change": made.id,
            **{
                name: shown[name]
                for name in ("base_version", "version", "note", "undoes", "diff", "consequences")
            },
        }
        await self._journal.append(tx, ctx, [NewEvent(event, data)])


async def _applied(loaded: LoadedPlan, operations: Sequence[Operation]) -> Draft:
    """Return the draft that operations make of what was loaded."""
    draft = loaded.draft()
    await asyncio.to_thread(draft.apply, operations)
    return draft


def _numbered(items: dict[str, Item]) -> dict[str, Item]:
    """Return items whose highest number of a child is right, also of those that were put back."""
    highest: dict[str, int] = {}
    for item in items.values():
        if item.parent is not None:
            highest[item.parent] = max(highest.get(item.parent, 0), item.number)
    return {
        item_id: replace(item, last_child=highest[item_id])
        if highest.get(item_id, 0) > item.last_child
        else item
        for item_id, item in items.items()
    }


def _references(operations: Sequence[Operation]) -> Iterable[str]:
    """Return the names in operations that may be of items of other plans."""
    for operation in operations:
        if isinstance(operation, Add):
            yield from (one for one in operation.depends_on if parse_key(one) is None)
        elif isinstance(operation, Link | Unlink) and parse_key(operation.depends_on) is None:
            yield operation.depends_on


def _require_version(plan: Plan, base_version: int | None) -> None:
    if base_version is not None and base_version != plan.version:
        raise StalePlan(
            f"The plan {plan.id} has version {plan.version} by now; the change was made for {base_version}.",
            hint="Read the plan again, look at what has changed, and make the change for the new version.",
            version=plan.version,
            base_version=base_version,
        )


def _circle(circle: Sequence[tuple[str, str]], items: dict[str, Item], plan: str) -> Conflict:
    def name(item_id: str) -> str:
        item = items[item_id]
        return item.key if item.plan == plan else f"{item.plan}:{item.key}"

    shown = [f"{name(waiting)} waits for {name(other)}" for waiting, other in circle[:_NAMED]]
    more = f" and {len(circle) - _NAMED} more" if len(circle) > _NAMED else ""
    return Conflict(
        f"Items would wait for each other in a circle: {', '.join(shown)}{more}.",
        hint="Leave one of these out, or unlink one that is there.",
        cycle=[{"item": waiting, "key": name(waiting), "waits_for": other, "waits_for_key": name(other)}
               for waiting, other in circle],
    )  # fmt: skip


def _no_plan(plan_id: str) -> NotFound:
    return NotFound(f"There is no plan {plan_id}.", hint="`mosaic plan list` shows the plans there are.")


def _read_place(cursor: str) -> tuple[datetime, str]:
    moment, _, plan_id = cursor.partition("~")
    created_at: datetime | None = None
    try:
        read = datetime.fromisoformat(moment.replace(" ", "+"))
        created_at = read.astimezone(UTC) if read.tzinfo is not None else None
    except (ValueError, OverflowError):
        pass
    if created_at is None or not plan_id:
        raise InvalidInput(f"{cursor[:80]!r} is not a cursor of this listing.")
    return created_at, plan_id
