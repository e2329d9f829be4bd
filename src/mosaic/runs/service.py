"""The front desk: start, show, cancel, fork and signal runs."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from mosaic.core.clock import Clock, now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Cancelled, Conflict, InvalidInput, MosaicError, NotFound
from mosaic.core.ids import new_id
from mosaic.core.money import Money
from mosaic.core.page import Page
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.cost import Cost
from mosaic.engine import Engine, ExecutionInfo, ExecutionStatus
from mosaic.events import Journal, NewEvent
from mosaic.runs.definitions import Definitions
from mosaic.runs.ending import Closer, Ending
from mosaic.runs.fork import fork_keys
from mosaic.runs.repository import RunRepository
from mosaic.runs.schemas import TERMINAL, Artifact, Run, RunOptions, RunStatus
from mosaic.storage import BlobStore, Database, Duplicate, Transaction
from mosaic.workflows import Bundle, Definition

__all__ = ["HANDLER", "Limits", "ModelChoice", "RunService"]

HANDLER = "run"
_A_MOMENT_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_WHERE_IT_BEGINS = ("base_commit", "repository", "store")


class ModelChoice(Protocol):
    """Says which model each agent of a definition will use."""

    async def resolve(self, candidates: Sequence[str]) -> str:
        """Return the first usable ``provider:model`` of `candidates`; a default when there are none.

        Raises:
            NotFound: when no model can be used; the hint says what to set.
        """
        ...


class Limits(Protocol):
    """The installation's own bounds of a run that names none."""

    @property
    def usd(self) -> float | None:
        """Dollars; None for no bound."""
        ...

    @property
    def tokens(self) -> int | None:
        """Tokens; None for no bound."""
        ...


class RunService:
    """Runs of workflows, scoped by the caller's tenant."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        blobs: BlobStore,
        engine: Engine,
        *,
        definitions: Definitions,
        cost: Cost,
        models: ModelChoice,
        limits: Limits,
        redactor: Redactor,
        closers: Sequence[Closer] = (),
        clock: Clock = now,
    ) -> None:
        self._ending = Ending(database, journal, redactor=redactor, closers=closers, clock=clock)
        self._redactor = redactor
        self._reconciled = ("", "")
        self._database = database
        self._journal = journal
        self._blobs = blobs
        self._engine = engine
        self._definitions = definitions
        self._cost = cost
        self._models = models
        self._limits = limits
        self._clock = clock
        self._rows = RunRepository()

    async def start(
        self, ctx: Context, bundle: Bundle, inputs: JsonObject, *, options: RunOptions | None = None
    ) -> Run:
        """Start a run of the definition in `bundle`; the run pins its content hash.

        Idempotent by `options.run_id`: a repeated start returns the run that exists.

        Raises:
            InvalidDefinition: if the definition is wrong.
            InvalidInput: if the inputs do not fit its schema; every problem is named.
            NotFound: if an agent has no model that can be used here.
        """
        options = options or RunOptions()
        definition = Definition.from_bundle(bundle)
        bound = definition.bind_inputs(inputs)
        if _holds_secret(self._redactor, bound):
            raise InvalidInput(
                "The inputs hold something that looks like a secret: agents and the journal would see it.",
                hint="Set it as a variable where MosAIc runs, and name it as {secret: NAME} where the workflow needs it.",
            )
        if definition.workspace is not None and options.workspace_source is None:
            raise InvalidInput(
                f"{definition.name} works on the folder {definition.workspace.source!r} beside its file, which a "
                "bundle does not hold.",
                hint="Say where it is: `workspace_source` in the options, a path on the machine that runs the work.",
            )
        return await self.start_definition(ctx, definition, bound, options=options)

    async def start_definition(
        self, ctx: Context, definition: Definition, inputs: JsonObject, *, options: RunOptions
    ) -> Run:
        """Start a run of a loaded definition with inputs that are bound already; see `start`."""
        await self._check_models(self._definitions.ready(definition), options)
        return await self._insert(ctx, self._new_run(ctx, definition, inputs, options), definition)

    def _new_run(self, ctx: Context, definition: Definition, inputs: JsonObject, options: RunOptions) -> Run:
        identifier = options.run_id or new_id("run")
        return Run(
            id=identifier,
            tenant=ctx.tenant,
            project=ctx.project,
            workflow=definition.name,
            version=definition.version,
            definition_hash=definition.content_hash,
            status=RunStatus.QUEUED,
            inputs=inputs,
            options=options.to_json(),
            created_at=self._clock(),
            root_run_id=identifier,
            parent_run_id=options.parent_run_id,
        )

    async def _check_models(self, definition: Definition, options: RunOptions) -> None:
        """Find out before the run starts whether every agent has a model, so that none fails half-way."""
        if options.model is not None:
            await self._models.resolve((options.model,))
            return
        for entry in definition.agents.values():
            if entry.spec.kind == "model":
                await self._models.resolve(entry.spec.model)

    async def _insert(
        self,
        ctx: Context,
        new: Run,
        definition: Definition,
        *,
        kept: tuple[str, tuple[str, ...]] | None = None,
    ) -> Run:
        """Accept the run and hand it to the engine in one transaction.

        Args:
            ctx: for whom.
            new: the run.
            definition: what it pins.
            kept: a run and the keys of those of its effects that the new run begins with.

        Raises:
            Conflict: if a run of that id does something else.
            Cancelled: if its parent has ended.
        """
        await self._definitions.store(definition)
        ctx = ctx.correlated(new.id)
        try:
            async with self._database.transaction() as tx:
                if (existing := await self._rows.get(tx, ctx, new.id)) is not None:
                    return _same(existing, new)
                new = await self._of_family(tx, ctx, new)
                await self._definitions.permit(tx, ctx, definition)
                await self._rows.insert(tx, new)
                await self._open_limits(tx, ctx, new, definition)
                if kept is not None:
                    await self._journal.copy_effects(tx, ctx, kept[0], new.id, kept[1])
                await self._hand_over(tx, ctx, new)
        except Duplicate:
            # Started twice at the same moment, and the other one was first.
            async with self._database.transaction(read_only=True) as tx:
                existing = await self._rows.get(tx, ctx, new.id)
            if existing is None:
                raise
            return _same(existing, new)
        return new

    async def _of_family(self, tx: Transaction, ctx: Context, new: Run) -> Run:
        if new.parent_run_id is None:
            return new
        parent = await self._rows.get(tx, ctx, new.parent_run_id)
        if parent is not None and parent.status in TERMINAL:
            raise Cancelled(f"The run {parent.id} that wants this child has ended: {parent.status}.")
        return replace(new, root_run_id=parent.root_run_id if parent else new.id)

    async def _hand_over(self, tx: Transaction, ctx: Context, new: Run) -> None:
        data: JsonObject = {
            "workflow": new.workflow,
            "version": new.version,
            "definition_hash": new.definition_hash,
            "inputs": new.inputs,
            "options": new.options,
            "parent_run_id": new.parent_run_id,
            "forked_from": new.forked_from,
        }
        await self._engine.start(
            ctx,
            execution_id=new.id,
            run_id=new.id,
            handler=HANDLER,
            input={"definition_hash": new.definition_hash},
            priority=int(new.options.get("priority", 10)),
            tx=tx,
        )
        await self._journal.append(tx, ctx, [NewEvent("run.created", data, run_id=new.id)])

    async def _open_limits(self, tx: Transaction, ctx: Context, new: Run, definition: Definition) -> None:
        options = new.options
        usd = options.get("usd")
        limit = Money.usd(usd) if usd is not None else definition.limits.usd
        if limit is None and self._limits.usd is not None:
            limit = Money.usd(self._limits.usd)
        given = (options.get("tokens"), definition.limits.tokens, self._limits.tokens)
        tokens = next((limit for limit in given if limit is not None), None)
        await self._cost.open_budget(tx, ctx, new.id, root_run_id=new.root_run_id, usd=limit, tokens=tokens)
        await self._engine.set_retry_budget(tx, ctx, new.id, definition.limits.retries)

    async def reconcile(self, *, limit: int = 200) -> int:
        """End runs whose execution is over although they are not; return how many there were.

        The engine gives up a run whose process keeps crashing, and a crash may come between the end of an
        execution and that of its run. Looks at `limit` runs, and at the next ones when called again.
        """
        async with self._database.transaction(read_only=True) as tx:
            unfinished = await self._rows.unfinished(tx, after=self._reconciled, limit=limit)
        last = unfinished[-1] if len(unfinished) == limit else None
        self._reconciled = (last.tenant, last.id) if last else ("", "")
        ended = 0
        for run in unfinished:
            ended += await self._settle(run)
        return ended

    async def _settle(self, run: Run) -> bool:
        """End a run whose execution is over; False when it is not, or the run has ended."""
        ctx = Context(run.tenant, run.project, Actor("system", "runs"), correlation=run.id)
        found = await self._engine.executions(ctx, run.id)
        own = next((item for item in found if item.id == run.id), None)
        if own is None or own.status in (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING):
            return False
        return await self._end_as(ctx, run.id, own)

    async def _end_as(self, ctx: Context, run_id: str, own: ExecutionInfo) -> bool:
        """End a run as its execution did."""
        if own.status is ExecutionStatus.DEAD:
            error = MosaicError(
                f"The process crashed {own.crashes} times in a row while it worked on this run.",
                hint=f"See `mosaic runs logs {run_id}`; `mosaic runs dead --requeue {run_id}` tries again.",
            )
            return await self._ending.end(ctx, run_id, RunStatus.FAILED, error=error.to_json())
        result = await self._engine.wait(run_id)
        status = RunStatus(own.status.value)
        problem = result.error.to_json() if result.error is not None else None
        return await self._ending.end(ctx, run_id, status, outputs=result.output, error=problem)

    async def requeue(self, ctx: Context, execution_id: str) -> str:
        """Start given-up work again and return its run; what it recorded is kept.

        A run that was ended for it is open again.

        Raises:
            NotFound: if the tenant has no such execution.
            Conflict: if it is not given up.
        """
        dead = await self._engine.dead_letters(ctx)
        letter = next((item for item in dead if item.id == execution_id), None)
        if letter is None:
            await self._engine.requeue(ctx, execution_id)  # says what is wrong with it
            raise Conflict(f"The execution {execution_id} was started again by somebody else.")
        if letter.id == letter.run_id:
            async with self._database.transaction() as tx:
                reopened = await tx.execute(self._rows.reopen(ctx, letter.run_id))
                if reopened.rowcount:
                    event = NewEvent("run.reopened", {"execution": execution_id}, run_id=letter.run_id)
                    await self._journal.append(tx, ctx.correlated(letter.run_id), [event])
        await self._engine.requeue(ctx, execution_id)
        return letter.run_id

    async def get(self, ctx: Context, run_id: str) -> Run:
        """Return one run.

        Raises:
            NotFound: if the tenant has no such run.
        """
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.get(tx, ctx, run_id)
        if found is None:
            raise NotFound(f"There is no run {run_id}.", hint="`mosaic runs list` shows the runs there are.")
        return found

    async def many(self, ctx: Context, run_ids: Collection[str]) -> list[Run]:
        """Return those of these runs that the tenant has, in no order."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.many(tx, ctx, run_ids)

    async def page(
        self,
        ctx: Context,
        *,
        statuses: Sequence[RunStatus] = (),
        workflow: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Run]:
        """Return a page of runs, newest first.

        Raises:
            InvalidInput: if the cursor is not one of ours.
        """
        before = _read_cursor(cursor) if cursor else None
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.page(
                tx, ctx, statuses=statuses, workflow=workflow, before=before, limit=limit + 1
            )
        more = found[limit - 1] if len(found) > limit else None
        return Page(tuple(found[:limit]), _write_cursor(more) if more else None)

    async def definition(self, ctx: Context, run_id: str) -> Definition:
        """Return the definition a run pinned, as it was when the run started.

        Raises:
            NotFound: if the tenant has no such run.
        """
        run = await self.get(ctx, run_id)
        return Definition.from_bundle(Bundle.from_bytes(await self._blobs.get(run.definition_hash)))

    async def wait(self, ctx: Context, run_id: str, *, timeout_s: float | None = None) -> Run:
        """Return the run once it has ended.

        Raises:
            TimedOut: if it has not in `timeout_s`.
        """
        await self._engine.wait(run_id, timeout_s=timeout_s)
        # The end of the run is written by whoever ended its execution: before that, or a moment later.
        for pause_s in _A_MOMENT_S:
            run = await self.get(ctx, run_id)
            if run.status in TERMINAL:
                return run
            await asyncio.sleep(pause_s)
        await self._settle(run)
        return await self.get(ctx, run_id)

    async def cancel(self, ctx: Context, run_id: str) -> Run:
        """Cancel a run, its children and everything they do, on whichever node.

        Raises:
            Conflict: if it has ended already.
        """
        run = await self.get(ctx, run_id)
        if run.status in TERMINAL:
            raise _ended_already(run)
        # The engine first: once it is told, nothing of the run begins any more. A crash before the row says so
        # leaves a run that can be cancelled again, and that `reconcile` ends.
        await self._engine.cancel(ctx, run_id)
        await self._ending.end(ctx, run_id, RunStatus.CANCELLED)
        async with self._database.transaction(read_only=True) as tx:
            children = await self._rows.children(tx, ctx, run_id)
        for child in children:
            if child.status not in TERMINAL:
                with contextlib.suppress(Conflict):  # it ended by itself meanwhile
                    await self.cancel(ctx, child.id)
        ended = await self.get(ctx, run_id)
        if ended.status is not RunStatus.CANCELLED:
            raise _ended_already(ended)
        return ended

    async def fork(
        self, ctx: Context, run_id: str, *, from_step: str, inputs: JsonObject | None = None
    ) -> Run:
        """Start a new run that keeps every result an old run had before `from_step`, and does the rest again.

        The old run is not touched. The new run works on the files as they were when the step began.

        Raises:
            NotFound: if the run never began that step; the hint lists the steps it began.
        """
        old = await self.get(ctx, run_id)
        definition = await self.definition(ctx, run_id)
        plan = await fork_keys(self._journal, ctx, run_id, from_step)
        options = RunOptions(
            model=old.options.get("model"),
            usd=old.options.get("usd"),
            tokens=old.options.get("tokens"),
            workspace_source=old.options.get("workspace_source"),
            workspace_sources=old.options.get("workspace_sources"),
            from_step=from_step,
        )
        bound = definition.bind_inputs({**old.inputs, **(inputs or {})})
        begins = {key: value for key, value in (old.workspace or {}).items() if key in _WHERE_IT_BEGINS}
        new = replace(
            self._new_run(ctx, definition, bound, options),
            forked_from=run_id,
            workspace={**begins, "checkpoint": plan.checkpoint} if plan.checkpoint else None,
        )
        return await self._insert(ctx, new, definition, kept=(run_id, plan.keys))

    async def signal(self, ctx: Context, run_id: str, name: str, payload: JsonValue) -> None:
        """Deliver a signal to the run's `listen` step of that name, now or when it comes to wait.

        Raises:
            Conflict: if the run has ended, or the signal was sent already.
        """
        run = await self.get(ctx, run_id)
        if run.status in TERMINAL:
            raise _ended_already(run)
        async with self._database.transaction() as tx:
            await self._engine.send_signal(tx, ctx, run_id, name, payload)

    async def artifacts(self, ctx: Context, run_id: str) -> list[Artifact]:
        """Return what a run kept, oldest first."""
        await self.get(ctx, run_id)
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.artifacts(tx, ctx, [run_id])

    async def artifacts_of(self, ctx: Context, run_ids: Collection[str]) -> list[Artifact]:
        """Return what these runs kept, oldest first; unknown runs kept nothing."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.artifacts(tx, ctx, run_ids)

    async def artifact(self, ctx: Context, artifact_id: str) -> tuple[Artifact, bytes]:
        """Return an artifact and its content.

        Raises:
            NotFound: if the tenant has no such artifact.
        """
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.artifact(tx, ctx, artifact_id)
        if found is None:
            raise NotFound(f"There is no artifact {artifact_id}.")
        return found, await self._blobs.get(found.digest)


def _same(existing: Run, new: Run) -> Run:
    """Return the run that was started before under this id.

    Raises:
        Conflict: if it is not the same run.
    """
    if (existing.definition_hash, existing.inputs) != (new.definition_hash, new.inputs):
        raise Conflict(
            f"There is a run {new.id} already, of another definition or with other inputs.",
            hint="Choose another run id, or none.",
        )
    return existing


def _ended_already(run: Run) -> Conflict:
    return Conflict(f"Run {run.id} has already ended: {run.status}.", status=run.status.value)


def _holds_secret(redactor: Redactor, value: JsonValue) -> bool:
    if isinstance(value, str):
        return redactor.text(value) != value
    if isinstance(value, dict):
        return any(_holds_secret(redactor, item) for item in value.values())
    return isinstance(value, list) and any(_holds_secret(redactor, item) for item in value)


def _write_cursor(run: Run) -> str:
    return f"{run.created_at.isoformat()}~{run.id}"


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    moment, _, identifier = cursor.partition("~")
    try:
        created_at = datetime.fromisoformat(moment.replace(" ", "+"))
    except ValueError:
        created_at = None
    if created_at is None or created_at.tzinfo is None or not identifier:
        raise InvalidInput(f"{json.dumps(cursor[:80])} is not a cursor of this listing.")
    return created_at, identifier
