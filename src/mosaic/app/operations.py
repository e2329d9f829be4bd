"""What every door can ask for, as plain JSON: the REST routes and the command line call exactly these."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mosaic.core.context import Context
from mosaic.core.errors import InvalidDefinition, InvalidInput
from mosaic.core.values import JsonObject, JsonValue, canonical_json, to_json
from mosaic.runs.progress import RunProgress
from mosaic.runs.schemas import TERMINAL, Run, RunOptions, RunStatus
from mosaic.workflows import Bundle, Definition

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from mosaic.app.build import Application

__all__ = ["Operations"]

_PROGRESS_TYPES = (
    "step.started",
    "step.completed",
    "step.failed",
    "step.skipped",
    "step.cancelled",
    "approval.requested",
    "approval.decided",
    "approval.expired",
)


class Operations:
    """The verbs of the product over one application. Every argument and result is JSON, every call is scoped."""

    def __init__(self, application: "Application") -> None:
        self._app = application

    async def start_run(self, ctx: Context, request: JsonObject) -> JsonObject:
        """Start a run from `bundle`, `inputs` and `options`; idempotent by ``options.run_id``.

        Raises:
            InvalidInput: when the bundle, the inputs or an option is wrong.
        """
        options = dict(request.get("options") or {})
        source = options.get("workspace_source")
        if source is not None and not await asyncio.to_thread(Path(source).is_dir):
            raise InvalidInput(f"There is no folder {source} on the machine that runs the work.")
        run = await self._app.runs.start(
            ctx, _bundle(request["bundle"]), dict(request.get("inputs") or {}), options=RunOptions(**options)
        )
        return await self.run(ctx, run.id)

    async def run(self, ctx: Context, run_id: str) -> JsonObject:
        """Return one run with its cost and the approvals it waits for."""
        return await self._show(ctx, await self._app.runs.get(ctx, run_id))

    async def _show(self, ctx: Context, run: Run) -> JsonObject:
        shown = run.to_json()
        if run.status not in TERMINAL:
            pending = await self._app.approvals.list(ctx, status="pending", run_id=run.id)
            shown["approvals"] = [approval.id for approval in pending]
            if pending and (await self._progress(ctx, run.id)).quiescent:
                shown["status"] = RunStatus.WAITING.value
        shown["cost"] = await self.cost(ctx, run.id)
        shown["link"] = f"{self._app.address}/api/v1/runs/{run.id}" if self._app.address else None
        return shown

    async def _progress(self, ctx: Context, run_id: str) -> RunProgress:
        progress, after = RunProgress(), 0
        while events := await self._app.journal.read(
            ctx, after=after, run_id=run_id, types=_PROGRESS_TYPES, limit=500
        ):
            progress.apply_all(event.to_json() for event in events)
            after = events[-1].seq
        return progress

    async def cost(self, ctx: Context, run_id: str) -> JsonObject:
        """Return what a run and its children have cost."""
        cost = await self._app.cost.run_cost(ctx, run_id)
        return {
            "usd": float(cost.money.as_usd),
            "limit_usd": float(cost.limit.as_usd) if cost.limit else None,
            "calls": cost.calls,
            "tokens": cost.usage.input_tokens + cost.usage.output_tokens,
            "unpriced_calls": cost.unpriced_calls,
            "scripted": cost.scripted,
        }

    async def runs(
        self, ctx: Context, *, status: str | None, workflow: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        """Return a page of runs, newest first. `waiting` runs are running ones that need an answer."""
        try:
            wanted = RunStatus(status) if status else None
        except ValueError:
            known = ", ".join(item.value for item in RunStatus)
            raise InvalidInput(f"There is no run status {status!r}.", hint=f"Statuses: {known}.") from None
        stored = (RunStatus.RUNNING,) if wanted is RunStatus.WAITING else (wanted,) if wanted else ()
        page = await self._app.runs.page(ctx, statuses=stored, workflow=workflow, cursor=cursor, limit=limit)
        items = [await self._show(ctx, run) for run in page.items]
        if wanted in (RunStatus.WAITING, RunStatus.RUNNING):
            items = [item for item in items if item["status"] == wanted]
        return {"items": items, "next_cursor": page.next_cursor}

    async def events(
        self, ctx: Context, *, run_id: str | None, after: int, follow: bool
    ) -> AsyncGenerator[JsonObject]:
        """Yield journal events in order, each once; follow for ever when asked to."""
        journal = self._app.journal
        if follow:
            async for event in journal.tail(ctx, after=after, run_id=run_id):
                yield event.to_json()
            return
        while events := await journal.read(ctx, after=after, run_id=run_id, limit=500):
            for event in events:
                yield event.to_json()
            after = events[-1].seq

    async def event_page(self, ctx: Context, *, run_id: str | None, after: int, limit: int) -> JsonObject:
        """Return events after a sequence, in order."""
        if run_id is not None:
            await self._app.runs.get(ctx, run_id)
        events = await self._app.journal.read(ctx, after=after, run_id=run_id, limit=limit)
        return {"items": [event.to_json() for event in events], "after": events[-1].seq if events else after}

    async def cancel(self, ctx: Context, run_id: str) -> JsonObject:
        """Cancel a run and everything it does."""
        await self._app.runs.cancel(ctx, run_id)
        return await self.run(ctx, run_id)

    async def fork(
        self, ctx: Context, run_id: str, *, from_step: str, inputs: JsonObject | None
    ) -> JsonObject:
        """Start a new run that keeps every result before a step."""
        run = await self._app.runs.fork(ctx, run_id, from_step=from_step, inputs=inputs)
        return await self.run(ctx, run.id)

    async def signal(self, ctx: Context, run_id: str, name: str, payload: JsonValue) -> JsonObject:
        """Deliver a signal to a run."""
        await self._app.runs.signal(ctx, run_id, name, payload)
        return {"run_id": run_id, "signal": name}

    async def approvals(self, ctx: Context, *, status: str | None, run_id: str | None) -> JsonObject:
        """Return approvals, oldest first."""
        found = await self._app.approvals.list(ctx, status=status, run_id=run_id)
        return {"items": [approval.to_json() for approval in found]}

    async def approval(self, ctx: Context, approval_id: str) -> JsonObject:
        """Return one approval."""
        shown: JsonObject = (await self._app.approvals.get(ctx, approval_id)).to_json()
        return shown

    async def decide(self, ctx: Context, approval_id: str, decision: JsonObject) -> JsonObject:
        """Answer an approval: `approve`, and perhaps `note`, `arguments` or `answer`."""
        decided = await self._app.approvals.decide(
            ctx,
            approval_id,
            approve=bool(decision["approve"]),
            note=decision.get("note"),
            arguments=decision.get("arguments"),
            answer=decision.get("answer"),
        )
        shown: JsonObject = decided.to_json()
        return shown

    async def agents(self, ctx: Context) -> JsonObject:
        """Return the agents and the registry's figures."""
        registry = self._app.agents
        agents = await registry.agents(ctx)
        metrics = await registry.metrics(ctx)
        return {"items": [agent.to_json() for agent in agents], "metrics": metrics.to_json()}

    async def artifacts(self, ctx: Context, run_id: str) -> JsonObject:
        """Return what a run kept."""
        return {"items": [artifact.to_json() for artifact in await self._app.runs.artifacts(ctx, run_id)]}

    async def artifact(self, ctx: Context, artifact_id: str) -> tuple[JsonObject, bytes]:
        """Return an artifact and its content."""
        artifact, content = await self._app.runs.artifact(ctx, artifact_id)
        return artifact.to_json(), content

    async def artifact_content(self, ctx: Context, artifact_id: str) -> bytes:
        """Return an artifact's content."""
        return (await self._app.runs.artifact(ctx, artifact_id))[1]

    async def dead_letters(self, ctx: Context) -> JsonObject:
        """Return executions that were given up."""
        return {"items": [_plain(letter) for letter in await self._app.engine.dead_letters(ctx)]}

    async def requeue(self, ctx: Context, execution_id: str) -> JsonObject:
        """Start a given-up execution again; its results are kept."""
        await self._app.runs.requeue(ctx, execution_id)
        return {"type": "result", "execution_id": execution_id, "status": "queued"}

    async def validate(self, _ctx: Context, bundle: JsonObject) -> JsonObject:
        """Return every problem of a bundle."""
        try:
            definition = Definition.from_bundle(_bundle(bundle))
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
        nodes = await self._app.engine.nodes()
        health: list[Any] = [item.to_json() for item in await self._app.inference.health()]
        return {
            "nodes": [_plain(node) for node in nodes],
            "database": {
                "dialect": self._app.database.dialect,
                "schema": await self._app.database.schema_version(),
            },
            "providers": health,
        }


def _plain(value: "DataclassInstance") -> JsonObject:
    """Return a frozen value of another room as JSON."""
    shown = to_json(asdict(value))
    return shown if isinstance(shown, dict) else {}


def _bundle(shown: JsonObject) -> Bundle:
    return Bundle.from_bytes(canonical_json(shown))
