"""The handler "run": everything a run does, from its first event to its report, and again after a crash."""

from collections.abc import Sequence
from typing import Any, Protocol

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Cancelled, Fenced, MosaicError
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.cost import Cost
from mosaic.engine import EffectCall, Effects, Execution, Outcome, Safety
from mosaic.events import Journal, NewEvent
from mosaic.observability import get_logger
from mosaic.runs.artifacts import Artifacts
from mosaic.runs.definitions import Definitions
from mosaic.runs.ending import Closer, Ending
from mosaic.runs.files import needs_files
from mosaic.runs.patience import patiently
from mosaic.runs.report import render_report
from mosaic.runs.repository import RunRepository
from mosaic.runs.schemas import TERMINAL, Run, RunStatus
from mosaic.storage import Database
from mosaic.workflows import Definition, WorkflowHandler

__all__ = ["RunHandler", "Workplace"]

_log = get_logger(__name__)

_REPORT_EVENTS = (
    "step.completed",
    "step.failed",
    "step.skipped",
    "approval.requested",
    "approval.decided",
    "approval.expired",
    "tool.called",
    "tool.failed",
    "model.called",
)


class Workplace(Protocol):
    """Where a run works on files: prepares a checkout, commits what came out, clears it away."""

    async def prepare(self, run: Run, source: str | None) -> JsonObject:
        """Return the run's workspace as JSON: path, repository, branch, base_commit. May be repeated.

        Without a source it is empty. A run that was forked begins with the files of ``workspace["checkpoint"]``.
        """
        ...

    async def commit(self, workspace: JsonObject, message: str, *, key: str) -> JsonObject | None:
        """Commit everything on the run's branch; None when nothing changed. Repeated with `key` it is one commit."""
        ...

    async def remove(self, workspace: JsonObject) -> None:
        """Remove the checkout; the branch stays. May be repeated."""
        ...


class RunHandler:
    """Executes runs for the engine."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        *,
        definitions: Definitions,
        workflow: WorkflowHandler,
        workplace: Workplace,
        artifacts: Artifacts,
        cost: Cost,
        redactor: Redactor,
        closers: Sequence[Closer] = (),
        clock: Clock = now,
    ) -> None:
        self._ending = Ending(database, journal, redactor=redactor, closers=closers, clock=clock)
        self._database = database
        self._journal = journal
        self._definitions = definitions
        self._workflow = workflow
        self._workplace = workplace
        self._artifacts = artifacts
        self._cost = cost
        self._clock = clock
        self._rows = RunRepository()

    async def __call__(self, execution: Execution) -> JsonValue:
        """Run, record how it ended, and return the outputs.

        Raises:
            MosaicError: what the run failed with, after it is recorded.
        """
        ctx, run_id = execution.ctx, execution.run_id
        run = await patiently(lambda: self._run(ctx, run_id), what=f"run {run_id}")
        if run.status in TERMINAL:
            await self._tidy(run.status, run_id, run.workspace)
            kept: JsonValue = run.outputs
            return kept
        try:
            outputs, workspace = await self._work(execution, run)
        except Fenced:
            raise
        except Cancelled as error:  # not this run: that ends the task itself; something it waited for
            await self._end(ctx, run_id, RunStatus.CANCELLED, error=error)
            raise
        except MosaicError as error:
            await self._end(ctx, run_id, RunStatus.FAILED, error=error)
            raise
        except Exception as error:  # a worker: a mistake of ours must not leave the run without an end
            _log.exception("run failed by a mistake of the program", extra={"run": run_id})
            failure = MosaicError(
                f"Something failed inside MosAIc: {type(error).__name__}: {error}",
                hint="The log of the node says where; please report it.",
            )
            await self._end(ctx, run_id, RunStatus.FAILED, error=failure)
            raise failure from error
        await self._end(ctx, run_id, RunStatus.SUCCEEDED, outputs=outputs)
        await self._tidy(RunStatus.SUCCEEDED, run_id, workspace)
        return outputs

    async def _work(self, execution: Execution, run: Run) -> tuple[JsonValue, JsonObject | None]:
        """Do everything of the run but its end; return its outputs and its workspace."""
        definition = await patiently(
            lambda: self._definitions.load(execution.ctx, run.definition_hash), what=f"run {run.id}"
        )
        await self._begin(execution, run, definition)
        workspace = await self._workspace(execution.effects, run, definition)
        answer = await self._workflow.run(
            execution, definition, run.inputs, workspace=workspace, options=run.options
        )
        outputs: JsonValue = answer["outputs"]
        commit = await self._commit(execution.effects, run, workspace)
        await self._report(execution.effects, run, commit, outputs)
        return outputs, workspace

    async def _end(
        self,
        ctx: Context,
        run_id: str,
        status: RunStatus,
        *,
        outputs: JsonValue = None,
        error: MosaicError | None = None,
    ) -> None:
        """Record the end; when the run has ended otherwise meanwhile, that stands."""
        problem = error.to_json() if error is not None else None
        await patiently(
            lambda: self._ending.end(ctx, run_id, status, outputs=outputs, error=problem),
            what=f"run {run_id}",
        )

    async def _tidy(self, status: RunStatus, run_id: str, workspace: JsonObject | None) -> None:
        """Remove the checkout of a run that succeeded; any other end leaves it for a person to look at."""
        if status is not RunStatus.SUCCEEDED or workspace is None or "path" not in workspace:
            return
        try:
            await self._workplace.remove(workspace)
        except (MosaicError, OSError) as error:
            # The run is done and its commit kept: a checkout that cannot be cleared away takes nothing from that.
            _log.warning("the checkout of a finished run is left behind: %s", error, extra={"run": run_id})

    async def _run(self, ctx: Context, run_id: str) -> Run:
        async with self._database.transaction(read_only=True) as tx:
            run = await self._rows.get(tx, ctx, run_id)
        if run is None:
            raise MosaicError(f"The run {run_id} has no row.")
        return run

    async def _begin(self, execution: Execution, run: Run, definition: Definition) -> None:
        """Mark the run as running, once; say so when it continues in another process."""
        effects = execution.effects

        async def start(_call: EffectCall) -> Outcome:
            at = self._clock()
            agents = {name: list(entry.spec.model) for name, entry in definition.agents.items()}
            event = NewEvent("run.started", {"agents": agents, "node": execution.id}, run_id=run.id)
            mark = self._rows.mark(effects.ctx, run.id, status=RunStatus.RUNNING.value, started_at=at)
            return Outcome(at.isoformat(), events=(event,), writes=(mark,))

        known = effects.is_recorded("run:start")
        await effects.effect("run:start", start, safety=Safety.REPEATABLE)
        if known and execution.attempt > 1:
            # No effect: the engine takes a new one for progress, and would never give up a run that only crashes.
            event = NewEvent("run.resumed", {"attempt": execution.attempt}, run_id=run.id)
            async with self._database.transaction() as tx:
                await self._journal.append(tx, effects.ctx, [event])

    async def _workspace(self, effects: Effects, run: Run, definition: Definition) -> JsonObject | None:
        source: str | None = run.options.get("workspace_source")
        if source is None and not needs_files(definition):
            return None

        async def prepare(_call: EffectCall) -> Outcome:
            made = await self._workplace.prepare(run, source)
            event = NewEvent("run.workspace", made, run_id=run.id)
            write = self._rows.set_workspace(effects.ctx, run.id, made)
            return Outcome(made, events=(event,), writes=(write,))

        made: Any = await effects.effect("run:workspace", prepare, safety=Safety.REPEATABLE)
        return dict(made)

    async def _commit(self, effects: Effects, run: Run, workspace: JsonObject | None) -> JsonObject | None:
        if workspace is None:
            return None

        async def commit(call: EffectCall) -> Outcome:
            message = f"{run.workflow}: {_subject(run)}\n\nMosaic-Run: {run.id}\n"
            made = await self._workplace.commit(workspace, message, key=call.idempotency_key)
            if made is None:
                return Outcome(None)
            made = {**made, "branch": workspace["branch"]}
            event = NewEvent("run.committed", made, run_id=run.id)
            write = self._rows.set_workspace(effects.ctx, run.id, {**workspace, "commit": made["sha"]})
            return Outcome(made, events=(event,), writes=(write,))

        made: Any = await effects.effect("run:commit", commit, safety=Safety.KEYED)
        return None if made is None else dict(made)

    async def _report(
        self, effects: Effects, run: Run, commit: JsonObject | None, outputs: JsonValue
    ) -> None:
        if effects.is_recorded("artifact:report.md"):
            return
        events: list[JsonObject] = []
        after = 0
        while page := await self._journal.read(
            effects.ctx, after=after, run_id=run.id, types=_REPORT_EVENTS, limit=500
        ):
            events += [event.to_json() for event in page]
            after = page[-1].seq
        cost = await self._cost.run_cost(effects.ctx, run.id)
        figures: JsonObject = {
            "usd": f"{cost.money.as_usd:.4f}",
            "calls": cost.calls,
            "tokens": cost.usage.input_tokens + cost.usage.output_tokens,
            "scripted": cost.scripted,
        }
        text = render_report(run, events, cost=figures, commit=commit, outputs=outputs)
        await self._artifacts.keep(
            effects, "report.md", data=text.encode(), media_type="text/markdown; charset=utf-8"
        )


def _subject(run: Run) -> str:
    """Return a commit subject: the first line of the goal when the run has one."""
    goal = run.inputs.get("goal")
    text = goal.strip().splitlines()[0] if isinstance(goal, str) and goal.strip() else f"run {run.id}"
    return text if len(text) <= 60 else text[:59] + "…"
