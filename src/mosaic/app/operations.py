"""What every door can ask for, as plain JSON: the REST routes and the command line call exactly these."""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaic.agents import AgentRegistry
from mosaic.app.remembered import Remembered
from mosaic.app.requests import INSTALLED_TOOLS
from mosaic.app.webhooks import Webhooks
from mosaic.core.context import Context
from mosaic.core.errors import InvalidDefinition, InvalidInput, Problem
from mosaic.core.values import JsonObject, JsonValue, canonical_json, to_json
from mosaic.cost import Cost, RunCost
from mosaic.engine import Engine
from mosaic.events import Journal
from mosaic.inference import Inference
from mosaic.runs.progress_reader import ProgressReader
from mosaic.runs.schemas import TERMINAL, Run, RunOptions, RunStatus
from mosaic.runs.service import RunService
from mosaic.storage import Database
from mosaic.tools import Answer, Approvals, ApprovalScope
from mosaic.workflows import Bundle, load_bundle

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Operations", "Rooms"]

_MOST_PAGES = 20
_MOST_APPROVALS = 1_000
_SCOPES: tuple[ApprovalScope, ...] = ("once", "run", "always")
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms that the verbs ask.

    Attributes:
        address: where this process serves; None while it does not.
    """

    runs: RunService
    journal: Journal
    approvals: Approvals
    cost: Cost
    agents: AgentRegistry
    engine: Engine
    inference: Inference
    database: Database
    webhooks: Webhooks
    address: Callable[[], str | None]


class Operations:
    """The verbs of the product over one application. Every argument and result is JSON, every call is scoped."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._progress = ProgressReader(rooms.journal)
        self.remembered = Remembered(rooms.journal)

    async def start_run(self, ctx: Context, request: JsonObject) -> JsonObject:
        """Start a run from `bundle`, `inputs` and `options`; idempotent by ``options.run_id``.

        Raises:
            InvalidInput: when the bundle, the inputs or an option is wrong.
        """
        inputs, options = dict(request.get("inputs") or {}), dict(request.get("options") or {})
        require_text(inputs, "inputs")
        require_text(options, "options")
        for source in (options.get("workspace_source"), *(options.get("workspace_sources") or {}).values()):
            if source is not None and not await asyncio.to_thread(_is_folder, source):
                raise InvalidInput(
                    f"There is no folder {source} on the machine that runs the work.",
                    hint="Give its whole path, from the root.",
                )
        run = await self._rooms.runs.start(
            ctx, _bundle(request["bundle"]), inputs, options=RunOptions(**options)
        )
        return await self.run(ctx, run.id)

    async def run(self, ctx: Context, run_id: str) -> JsonObject:
        """Return one run with its cost and the approvals it waits for."""
        return await self.remembered.of(ctx, ("run", run_id), lambda: self._run(ctx, run_id))

    async def _run(self, ctx: Context, run_id: str) -> JsonObject:
        run = await self._rooms.runs.get(ctx, run_id)
        pending: list[str] = []
        if run.status not in TERMINAL:
            found = await self._rooms.approvals.list(ctx, status="pending", run_id=run.id)
            pending = [approval.id for approval in found]
        return (await self._shown(ctx, [run], {run.id: pending}))[0]

    async def runs_by_id(self, ctx: Context, run_ids: Sequence[str]) -> dict[str, JsonObject]:
        """Return those of these runs that there are, as `run` shows them; one question for all of them each."""
        runs = await self._rooms.runs.many(ctx, run_ids)
        pending = await self._rooms.approvals.open_by_run(ctx)
        return {shown["id"]: shown for shown in await self._shown(ctx, runs, pending)}

    async def _shown(
        self, ctx: Context, runs: Sequence[Run], pending: Mapping[str, Sequence[str]]
    ) -> list[JsonObject]:
        """Return runs with what they cost and wait for; one question for all of them each."""
        if not runs:
            return []
        costs = await self._rooms.cost.run_costs(ctx, [run.id for run in runs])
        open_runs = [run for run in runs if run.status not in TERMINAL]
        asking = [run.id for run in open_runs if pending.get(run.id)]
        progress = await self._progress.of(ctx, asking)
        address = self._rooms.address()
        items = []
        for run in runs:
            shown = run.to_json()
            if run.status not in TERMINAL:
                shown["approvals"] = list(pending.get(run.id, ()))
                if run.id in progress and progress[run.id].quiescent:
                    shown["status"] = RunStatus.WAITING.value
            shown["cost"] = _cost(costs[run.id])
            shown["link"] = f"{address}/api/v1/runs/{run.id}" if address else None
            items.append(shown)
        return items

    async def cost(self, ctx: Context, run_id: str) -> JsonObject:
        """Return what a run and its children have cost."""
        return _cost(await self._rooms.cost.run_cost(ctx, run_id))

    async def runs(
        self, ctx: Context, *, status: str | None, workflow: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        """Return a page of runs, newest first. `waiting` runs are running ones that need an answer."""
        try:
            wanted = RunStatus(status) if status else None
        except ValueError:
            known = ", ".join(item.value for item in RunStatus)
            raise InvalidInput(f"There is no run status {status!r}.", hint=f"Statuses: {known}.") from None
        question = ("runs", wanted, workflow, limit, cursor)
        return await self.remembered.of(
            ctx, question, lambda: self._runs(ctx, wanted, workflow=workflow, limit=limit, cursor=cursor)
        )

    async def _runs(
        self, ctx: Context, wanted: RunStatus | None, *, workflow: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        stored = (RunStatus.RUNNING,) if wanted is RunStatus.WAITING else (wanted,) if wanted else ()
        pending = await self._rooms.approvals.open_by_run(ctx)
        items: list[JsonObject] = []
        for _ in range(_MOST_PAGES):
            page = await self._rooms.runs.page(
                ctx, statuses=stored, workflow=workflow, cursor=cursor, limit=limit - len(items)
            )
            shown = await self._shown(ctx, page.items, pending)
            # Whether a running run waits is seen in its journal only, so these are picked out here.
            items += [item for item in shown if wanted is None or item["status"] == wanted]
            cursor = page.next_cursor
            if cursor is None or len(items) >= limit:
                break
        return {"items": items, "next_cursor": cursor}

    async def events(
        self, ctx: Context, *, run_id: str | None, after: int, follow: bool
    ) -> AsyncGenerator[JsonObject]:
        """Yield journal events in order, each once; follow for ever when asked to.

        Raises:
            NotFound: if there is no such run.
        """
        if run_id is not None:
            await self._rooms.runs.get(ctx, run_id)
        journal = self._rooms.journal
        if follow:
            async with contextlib.aclosing(journal.tail(ctx, after=after, run_id=run_id)) as tail:
                async for event in tail:
                    yield event.to_json()
            return
        while events := await journal.read(ctx, after=after, run_id=run_id, limit=500):
            for event in events:
                yield event.to_json()
            after = events[-1].seq

    async def event_page(self, ctx: Context, *, run_id: str | None, after: int, limit: int) -> JsonObject:
        """Return events after a sequence, in order."""
        if run_id is not None:
            await self._rooms.runs.get(ctx, run_id)
        events = await self._rooms.journal.read(ctx, after=after, run_id=run_id, limit=limit)
        return {"items": [event.to_json() for event in events], "after": events[-1].seq if events else after}

    async def cancel(self, ctx: Context, run_id: str) -> JsonObject:
        """Cancel a run and everything it does."""
        await self._rooms.runs.cancel(ctx, run_id)
        return await self.run(ctx, run_id)

    async def fork(
        self, ctx: Context, run_id: str, *, from_step: str, inputs: JsonObject | None
    ) -> JsonObject:
        """Start a new run that keeps every result before a step."""
        require_text(inputs or {}, "inputs")
        run = await self._rooms.runs.fork(ctx, run_id, from_step=from_step, inputs=inputs)
        return await self.run(ctx, run.id)

    async def signal(self, ctx: Context, run_id: str, name: str, payload: JsonValue) -> JsonObject:
        """Deliver a signal to a run."""
        require_text(payload, "payload")
        await self._rooms.runs.signal(ctx, run_id, name, payload)
        return {"run_id": run_id, "signal": name}

    async def approvals(
        self,
        ctx: Context,
        *,
        status: str | None,
        run_id: str | None,
        limit: int = _MOST_APPROVALS,
        cursor: str | None = None,
    ) -> JsonObject:
        """Return a page of approvals, oldest first; events after ``seq`` tell what has changed since."""
        question = ("approvals", status, run_id, limit, cursor)
        return await self.remembered.of(
            ctx,
            question,
            lambda: self._approvals(ctx, status=status, run_id=run_id, limit=limit, cursor=cursor),
        )

    async def _approvals(
        self, ctx: Context, *, status: str | None, run_id: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        seq = await self._rooms.journal.head(ctx)
        found = await self._rooms.approvals.list(ctx, status=status, run_id=run_id, limit=limit, after=cursor)
        return {
            "items": [approval.to_json() for approval in found],
            "next_cursor": found[-1].id if len(found) == limit else None,
            "seq": seq,
        }

    async def approval(self, ctx: Context, approval_id: str) -> JsonObject:
        """Return one approval."""
        shown: JsonObject = (await self._rooms.approvals.get(ctx, approval_id)).to_json()
        return shown

    async def approval_webhooks(self, ctx: Context) -> JsonObject:
        """Return the webhooks of the settings and what each has not heard yet."""
        return await self._rooms.webhooks.status(ctx)

    async def preview_approval(self, ctx: Context, approval_id: str, wanted: JsonObject) -> JsonObject:
        """Return what a yes would mean: the arguments it is for, what they would do, the calls it would hold for."""
        answer = _answer({**wanted, "approve": True})
        return await self._rooms.approvals.preview(ctx, approval_id, answer)

    async def decide(self, ctx: Context, approval_id: str, decision: JsonObject) -> JsonObject:
        """Answer an approval: `approve`, and perhaps `note`, `arguments` or `set`, `answer`, `scope`, `match`."""
        answer = _answer(decision)
        decided = await self._rooms.approvals.decide(
            ctx,
            approval_id,
            approve=answer.approve,
            note=answer.note,
            arguments=answer.arguments,
            changes=answer.changes,
            answer=answer.answer,
            scope=answer.scope,
            match=answer.match,
        )
        shown: JsonObject = decided.to_json()
        return shown

    async def agents(
        self,
        ctx: Context,
        *,
        capabilities: Sequence[str] = (),
        task_kind: str | None = None,
        task: str = "",
    ) -> JsonObject:
        """Return the agents and the registry's figures; for a task, those that can do it now, the fittest first."""
        registry = self._rooms.agents
        if capabilities or task_kind or task:
            agents = await registry.find(ctx, capabilities=capabilities, task_kind=task_kind, task=task)
        else:
            agents = await registry.agents(ctx)
        metrics = await registry.metrics(ctx)
        return {"items": [agent.to_json() for agent in agents], "metrics": metrics.to_json()}

    async def artifacts(self, ctx: Context, run_id: str) -> JsonObject:
        """Return what a run kept."""
        return {"items": [artifact.to_json() for artifact in await self._rooms.runs.artifacts(ctx, run_id)]}

    async def artifacts_by_run(self, ctx: Context, run_ids: Sequence[str]) -> dict[str, list[JsonObject]]:
        """Return what runs kept, by run, in one question."""
        found: dict[str, list[JsonObject]] = {run_id: [] for run_id in run_ids}
        for artifact in await self._rooms.runs.artifacts_of(ctx, run_ids):
            found[artifact.run_id].append(artifact.to_json())
        return found

    async def artifact(self, ctx: Context, artifact_id: str) -> tuple[JsonObject, bytes]:
        """Return an artifact and its content."""
        artifact, content = await self._rooms.runs.artifact(ctx, artifact_id)
        return artifact.to_json(), content

    async def artifact_content(self, ctx: Context, artifact_id: str) -> bytes:
        """Return an artifact's content."""
        return (await self._rooms.runs.artifact(ctx, artifact_id))[1]

    async def dead_letters(self, ctx: Context) -> JsonObject:
        """Return executions that were given up."""
        return {"items": [_plain(letter) for letter in await self._rooms.engine.dead_letters(ctx)]}

    async def requeue(self, ctx: Context, execution_id: str) -> JsonObject:
        """Start a given-up execution again; its results are kept."""
        run_id = await self._rooms.runs.requeue(ctx, execution_id)
        return {"type": "result", "execution_id": execution_id, "run_id": run_id, "status": "queued"}

    async def validate(self, _ctx: Context, bundle: JsonObject) -> JsonObject:
        """Return every problem of a bundle."""
        try:
            definition = load_bundle(_bundle(bundle), tools=INSTALLED_TOOLS)
        except InvalidDefinition as error:
            return {"valid": False, **error.to_json()}
        return {
            "valid": True,
            "name": definition.name,
            "content_hash": definition.content_hash,
            "problems": [],
        }

    async def system(self, _ctx: Context) -> JsonObject:
        """Return nodes, schema version and providers."""
        nodes = await self._rooms.engine.nodes()
        health: list[Any] = [item.to_json() for item in await self._rooms.inference.health()]
        return {
            "nodes": [_plain(node) for node in nodes],
            "database": {
                "dialect": self._rooms.database.dialect,
                "schema": await self._rooms.database.schema_version(),
            },
            "providers": health,
        }


def _cost(cost: RunCost) -> JsonObject:
    return {
        "usd": float(cost.money.as_usd),
        "limit_usd": float(cost.limit.as_usd) if cost.limit else None,
        "calls": cost.calls,
        "tokens": cost.usage.input_tokens + cost.usage.output_tokens,
        "unpriced_calls": cost.unpriced_calls,
        "scripted": cost.scripted,
    }


def _answer(said: JsonObject) -> Answer:
    require_text({key: said.get(key) for key in ("note", "arguments", "set", "answer", "match")}, "decision")
    wanted = said.get("scope") or "once"
    scope = next((scope for scope in _SCOPES if scope == wanted), None)
    if scope is None:
        raise InvalidInput(f"A yes cannot hold {wanted!r}.", hint=f"One of: {', '.join(_SCOPES)}.")
    return Answer(
        approve=bool(said["approve"]),
        note=said.get("note"),
        arguments=said.get("arguments"),
        changes=said.get("set"),
        answer=said.get("answer"),
        scope=scope,
        match=said.get("match"),
    )


def _plain(value: "DataclassInstance") -> JsonObject:
    """Return a frozen value of another room as JSON."""
    shown = to_json(asdict(value))
    return shown if isinstance(shown, dict) else {}


def _bundle(shown: JsonObject) -> Bundle:
    try:
        return Bundle.from_bytes(canonical_json(shown))
    except (ValueError, RecursionError):  # NaN, half of a character, thousands of levels
        raise InvalidInput("The bundle holds a value that JSON has no form for.") from None


def _is_folder(source: str) -> bool:
    path = Path(source)
    try:
        return path.is_absolute() and path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or no name at all
        return False


def require_text(value: JsonValue, where: str) -> None:
    """Check that every text in a value can be stored and printed, and every number written as JSON.

    Raises:
        InvalidInput: naming each place that holds a zero byte, half of a character, or no finite number.
    """
    problems = list(_unstorable(value, where))
    if problems:
        raise InvalidInput(f"The {where} cannot be stored.", problems=problems)


def _unstorable(value: JsonValue, path: str, depth: int = 0) -> Iterator[Problem]:
    if depth > _DEEPEST:
        yield Problem(f"is nested deeper than {_DEEPEST} levels", path=path[:200])
    elif isinstance(value, str):
        if "\0" in value:
            yield Problem("holds a zero byte", path=path)
        elif not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            yield Problem("holds half of a character (a lone surrogate)", path=path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem("is not a finite number", path=path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _unstorable(key, f"{path} (a name)", depth + 1)
            yield from _unstorable(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _unstorable(item, f"{path}[{index}]", depth + 1)
