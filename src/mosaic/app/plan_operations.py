"""What every door can ask about plans, as plain JSON: beside `Operations`, for work breakdowns."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol

from mosaic.app.operations import Operations, require_text
from mosaic.app.settings import Settings
from mosaic.core.clock import Clock, now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Problem
from mosaic.core.ids import new_id
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, canonical_json
from mosaic.cost import Cost
from mosaic.events import Bus, Journal
from mosaic.planning import KINDS, STATUSES, ChangeSet, Picture, Plans, read_operations
from mosaic.planning.documents import PlanFile, read_plan, write_plan
from mosaic.planning.following import RunFollower
from mosaic.planning.item_runs import ItemRuns
from mosaic.planning.listing import list_items
from mosaic.planning.operations import Operation
from mosaic.runs.definitions import Definitions
from mosaic.runs.service import RunService
from mosaic.storage import Database
from mosaic.workflows import Bundle, Definition

__all__ = ["PlanOperations", "PlanRooms", "graph_tag"]

_FOLLOWER = Actor("system", "planning")
_LONGEST_NAME = 300
_LONGEST_PROJECT = 64


class PlanRooms(Protocol):
    """The rooms that the verbs on plans ask; the application has them."""

    settings: Settings
    database: Database
    journal: Journal
    bus: Bus
    runs: RunService
    definitions: Definitions
    cost: Cost
    operations: Operations
    redactor: Redactor


class PlanOperations:
    """Plans of one application. Every argument and result is JSON, every call is scoped."""

    def __init__(self, rooms: PlanRooms, *, clock: Clock = now) -> None:
        self._rooms = rooms
        self._clock = clock
        self._plans = Plans(rooms.database, rooms.journal, clock=clock)
        self._links = ItemRuns(rooms.database, rooms.journal, runs=rooms.runs, cost=rooms.cost, clock=clock)
        self._follower = RunFollower(
            rooms.database, rooms.journal, rooms.bus, links=self._links, runs=rooms.runs
        )
        self._follows = False

    async def follow(self) -> None:
        """Move items as their runs go on, for ever; carries on where the last process stopped."""
        settings = self._rooms.settings
        self._follows = True
        try:
            await self._follower.run(_follower(Context(settings.tenant, settings.project, _FOLLOWER)))
        finally:
            self._follows = False

    async def _caught_up(self, ctx: Context) -> None:
        """Where nobody follows the journal, as in a command, look before reading."""
        if not self._follows:
            await self._follower.catch_up(_follower(ctx))

    async def catch_up(self, ctx: Context) -> None:
        """Read what runs have reported up to now."""
        await self._follower.catch_up(_follower(ctx))

    # Plans

    async def create_plan(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Make a plan from `name`, `description`, `project` and `operations`, or from a YAML `document`.

        Raises:
            InvalidInput: naming everything that is wrong.
        """
        require_text(wanted, "plan")
        document = wanted.get("document")
        if document is not None:
            given = [name for name in ("name", "description", "operations") if wanted.get(name)]
            if given:
                raise InvalidInput(
                    f"A plan is made from a document, or from {given[0]}, not both.",
                    hint="Leave one of them out.",
                )
            file = await asyncio.to_thread(read_plan, str(document), str(wanted.get("file") or "plan.yaml"))
        else:
            operations = self._operations(wanted.get("operations") or [])
            file = PlanFile(_name(wanted.get("name")), str(wanted.get("description") or ""), operations)
        self._refuse_secrets(file.to_json())
        picture = await self._plans.create(
            ctx,
            name=file.name,
            description=file.description,
            project=_project(wanted.get("project")),
            operations=file.operations,
        )
        return picture.plan_json(self._clock())

    async def plans(
        self, ctx: Context, *, project: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of plans, newest first."""
        question = ("plans", project, limit, cursor)
        return await self._rooms.operations.remembered.of(
            ctx, question, lambda: self._page(ctx, project=project, limit=limit, cursor=cursor)
        )

    async def _page(self, ctx: Context, *, project: str | None, limit: int, cursor: str | None) -> JsonObject:
        await self._caught_up(ctx)
        page = await self._plans.page(ctx, project=project, cursor=cursor, limit=limit)
        moment = self._clock()
        pictures = [await self._live(ctx, picture) for picture in page.items]
        shown = await asyncio.to_thread(lambda: [picture.plan_json(moment) for picture in pictures])
        return {"items": shown, "next_cursor": page.next_cursor}

    async def plan_rows(
        self, ctx: Context, *, project: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of plans by id and project only, newest first: cheap, whatever their size."""
        page = await self._plans.rows(ctx, project=project, cursor=cursor, limit=limit)
        rows = [{"id": plan.id, "project": plan.project} for plan in page.items]
        return {"items": rows, "next_cursor": page.next_cursor}

    async def plan_counts(self, ctx: Context) -> dict[str, int]:
        """Return how many plans each project has."""
        return await self._plans.counts(ctx)

    async def plan(self, ctx: Context, plan_id: str) -> JsonObject:
        """Return one plan and where it stands."""
        return await asyncio.to_thread((await self._picture(ctx, plan_id)).plan_json, self._clock())

    async def update_plan(
        self, ctx: Context, plan_id: str, fields: JsonObject, *, base_version: int | None = None
    ) -> JsonObject:
        """Set a plan's `name` or `description`.

        Raises:
            StalePlan: if it has another version than `base_version`.
        """
        await self.change_plan(
            ctx,
            plan_id,
            {"operations": [{"op": "update_plan", "set": fields}], "base_version": base_version},
            dry_run=False,
        )
        return await self.plan(ctx, plan_id)

    async def remove_plan(self, ctx: Context, plan_id: str, *, base_version: int | None = None) -> JsonObject:
        """Remove a plan with its items."""
        await self._caught_up(ctx)
        await self._plans.remove(ctx, plan_id, base_version=base_version)
        return {"id": plan_id, "removed": True}

    async def export_plan(self, ctx: Context, plan_id: str) -> JsonObject:
        """Return the plan as a YAML `document` that can be imported."""
        picture = await self._picture(ctx, plan_id)
        return {"plan": plan_id, "document": write_plan(picture)}

    # Items

    async def plan_items(
        self,
        ctx: Context,
        plan_id: str,
        *,
        status: Sequence[str] = (),
        kind: Sequence[str] = (),
        assignee: str | None = None,
        parent: str | None = None,
        fields: Sequence[str] = (),
        limit: int = 100,
        cursor: str | None = None,
    ) -> JsonObject:
        """Return a page of items, parents before children.

        Raises:
            InvalidInput: for a status, kind, field or cursor that there is not.
        """
        _require_known(status, STATUSES, "status")
        _require_known(kind, KINDS, "kind")
        picture = await self._picture(ctx, plan_id)
        page = await asyncio.to_thread(
            list_items,
            picture,
            statuses=status,
            kinds=kind,
            assignee=assignee,
            parent=parent,
            limit=limit,
            cursor=cursor,
        )
        shown = [_sparse(picture.item_json(item.id), fields) for item in page.items]
        return {"items": shown, "next_cursor": page.next_cursor, "version": picture.plan.version}

    async def plan_item(self, ctx: Context, plan_id: str, item: str) -> JsonObject:
        """Return one item by its id or its key."""
        picture = await self._picture(ctx, plan_id)
        return picture.item_json(picture.find(item))

    async def plan_graph(self, ctx: Context, plan_id: str) -> JsonObject:
        """Return the whole plan at once, with the journal's sequence that it is true for."""
        return await self._rooms.operations.remembered.of(
            ctx, ("graph", plan_id), lambda: self._graph(ctx, plan_id)
        )

    async def _graph(self, ctx: Context, plan_id: str) -> JsonObject:
        await self._caught_up(ctx)
        seq = await self._rooms.journal.head(ctx)
        picture = await self._live(ctx, await self._plans.picture(ctx, plan_id))
        return await asyncio.to_thread(picture.graph_json, seq)

    # Changes

    async def change_plan(
        self, ctx: Context, plan_id: str, wanted: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Apply `operations`, or show what they would do; `base_version` and `note` as in `Plans.change`.

        Raises:
            StalePlan: if the plan has another version by now.
            InvalidInput: naming everything that cannot be done.
            Conflict: if items would wait for each other in a circle.
        """
        require_text(wanted, "change set")
        operations = self._operations(wanted.get("operations"))
        note, base = str(wanted.get("note") or ""), wanted.get("base_version")
        self._refuse_secrets({"operations": wanted.get("operations"), "note": note})
        await self._caught_up(ctx)
        if dry_run:
            made = await self._plans.preview(ctx, plan_id, operations, base_version=base, note=note)
        else:
            made = await self._plans.change(ctx, plan_id, operations, base_version=base, note=note)
        return _shown(made, dry_run=dry_run)

    async def plan_changes(
        self, ctx: Context, plan_id: str, *, limit: int = 20, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of a plan's history, newest first."""
        page = await self._plans.changes(ctx, plan_id, cursor=cursor, limit=limit)
        return {"items": [_shown(made) for made in page.items], "next_cursor": page.next_cursor}

    async def undo_change(
        self,
        ctx: Context,
        plan_id: str,
        change_id: str,
        wanted: JsonObject | None = None,
        *,
        dry_run: bool = False,
    ) -> JsonObject:
        """Take a change set back, or show what that would do.

        Raises:
            Conflict: if it was taken back already, or what it touched has changed again since.
        """
        wanted = wanted or {}
        require_text(wanted, "undo")
        self._refuse_secrets(wanted)
        await self._caught_up(ctx)
        made = await self._plans.undo(
            ctx,
            plan_id,
            change_id,
            base_version=wanted.get("base_version"),
            note=str(wanted.get("note") or ""),
            dry_run=dry_run,
        )
        return _shown(made, dry_run=dry_run)

    # Runs

    async def run_item(self, ctx: Context, plan_id: str, item: str, wanted: JsonObject) -> JsonObject:
        """Start a run for an item: `workflow` (a name or content hash) or `bundle`, `inputs`, `options`, `force`.

        The link is written before the run starts, so no run works unseen; idempotent by ``options.run_id``.

        Raises:
            NotFound: if there is no such workflow.
            Conflict: if the item waits for others, is closed, or another run works on it.
            InvalidInput: if the inputs or options are wrong.
        """
        options = dict(wanted.get("options") or {})
        run_id = str(options.setdefault("run_id", new_id("run")))
        bundle, workflow = await self._bundle(ctx, wanted)
        picture = await self._picture(ctx, plan_id)
        item_id = picture.find(item)
        await self._links.link(
            ctx, picture, item_id, run_id=run_id, workflow=workflow, force=bool(wanted.get("force"))
        )
        request: JsonObject = {"bundle": bundle, "inputs": wanted.get("inputs") or {}, "options": options}
        try:
            run = await self._rooms.operations.start_run(ctx, request)
        except MosaicError:
            await self._forget(ctx, run_id)
            raise
        return {"run": run, "item": await self.plan_item(ctx, plan_id, item_id)}

    async def _forget(self, ctx: Context, run_id: str) -> None:
        """Take a link back, unless its run exists: started before under the same id."""
        try:
            await self._rooms.runs.get(ctx, run_id)
        except NotFound:
            await self._links.unlink(ctx, run_id)

    async def _bundle(self, ctx: Context, wanted: JsonObject) -> tuple[JsonObject, str]:
        """Return the bundle that shall run, and its name."""
        bundle, name = wanted.get("bundle"), wanted.get("workflow")
        if (bundle is None) == (name is None):
            raise InvalidInput(
                "A run needs a workflow.",
                hint="Give `workflow`, the name of one that ran before, or a `bundle`.",
            )
        if bundle is not None:
            # Looked at before the item is touched, so that a wrong one leaves no trace.
            return bundle, Definition.from_bundle(Bundle.from_bytes(_bytes(bundle))).name
        known = await self._rooms.definitions.newest(ctx)
        found = next((one for one in known if name in (one.name, one.content_hash)), None)
        if found is None:
            names = ", ".join(sorted(one.name for one in known)[:20]) or "none yet"
            raise NotFound(
                f"There is no workflow {str(name)[:80]!r} that ran here before.",
                hint=f"Known: {names}. `mosaic plan run` sends a file.",
            )
        shown: Any = json.loads(found.bundle.to_bytes())
        return shown, found.name

    # Parts

    async def _picture(self, ctx: Context, plan_id: str) -> Picture:
        await self._caught_up(ctx)
        return await self._live(ctx, await self._plans.picture(ctx, plan_id))

    async def _live(self, ctx: Context, picture: Picture) -> Picture:
        """Return the picture with what its active runs have taken up to now."""
        going = await self._links.live(ctx, picture.runs)
        return picture.with_runs(going) if going else picture

    def _operations(self, given: Any) -> list[Operation]:
        return read_operations(given)

    def _refuse_secrets(self, value: JsonObject) -> None:
        if self._rooms.redactor.value(value) != value:
            raise InvalidInput(
                "A plan holds no secrets: everybody who works on it, agents too, would see them.",
                hint="Name the secret instead of writing it.",
            )


def _follower(ctx: Context) -> Context:
    return ctx.acting_as(_FOLLOWER)


def _bytes(bundle: JsonObject) -> bytes:
    try:
        return canonical_json(bundle)
    except (ValueError, RecursionError):  # NaN, half of a character, thousands of levels
        raise InvalidInput("The bundle holds a value that JSON has no form for.") from None


def graph_tag(shown: JsonObject) -> str:
    """Return the ETag of a plan's graph: another one whenever something in it is different."""
    content = canonical_json({name: value for name, value in shown.items() if name != "seq"})
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _shown(made: ChangeSet, *, dry_run: bool = False) -> JsonObject:
    return {**made.to_json(), "id": made.id or None, "dry_run": dry_run}


def _sparse(shown: JsonObject, fields: Sequence[str]) -> JsonObject:
    if not fields:
        return shown
    _require_known(fields, tuple(shown), "field")
    return {name: shown[name] for name in shown if name in fields}


def _require_known(given: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise InvalidInput(f"There is no {what} {name[:60]!r}.", hint=f"Known: {', '.join(known)}.")


def _name(given: Any) -> str:
    if not isinstance(given, str) or not given.strip() or len(given) > _LONGEST_NAME:
        problem = Problem(f"must be 1 to {_LONGEST_NAME} characters", path="name")
        raise InvalidInput("A plan needs a name.", problems=[problem])
    return given


def _project(given: Any) -> str | None:
    if given is None:
        return None
    if (
        not isinstance(given, str)
        or not given.strip()
        or len(given) > _LONGEST_PROJECT
        or not given.isprintable()
    ):
        problem = Problem(f"must be 1 to {_LONGEST_PROJECT} printable characters", path="project")
        raise InvalidInput("That is no project.", problems=[problem])
    return given
