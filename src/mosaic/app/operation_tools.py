"""Runs, approvals and workflows as tools: what a client from outside may ask of MosAIc itself, under the same rules."""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mosaic.app.operations import Operations
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety
from mosaic.events import Journal
from mosaic.runs.definitions import Definitions
from mosaic.runs.fork import checkpoints
from mosaic.runs.schemas import RunOptions
from mosaic.runs.service import RunService
from mosaic.tools import BaseTool, Invocation, RiskClass, Tool, ToolEffect, ToolResult, ToolSpec
from mosaic.workflows import Definition

__all__ = ["RUN_STARTER", "WORKFLOW_PREFIX", "OperationTools"]

RUN_STARTER = "workflow"
"""The `source` of a tool that starts a run: its result names the run, which may take long."""
WORKFLOW_PREFIX = "workflow."

_FOLDER = "workspace_source"
_RUN: JsonObject = {"type": "string", "minLength": 1, "maxLength": 200, "description": "The run's id."}
_APPROVAL: JsonObject = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "The approval's id.",
}
_LIMIT: JsonObject = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}

Work = Callable[[Context, JsonObject], Awaitable[JsonValue]]


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation as a tool."""

    name: str
    description: str
    properties: JsonObject
    work: Work
    required: tuple[str, ...] = ()
    risk: RiskClass = RiskClass.READ_ONLY

    def spec(self) -> ToolSpec:
        reads = self.risk is RiskClass.READ_ONLY
        return ToolSpec(
            name=self.name,
            description=self.description,
            input_schema={
                "type": "object",
                "additionalProperties": False,
                "required": list(self.required),
                "properties": self.properties,
            },
            risk=self.risk,
            effects=frozenset({ToolEffect.READ if reads else ToolEffect.WRITE}),
            safety=Safety.REPEATABLE,
            source="mosaic",
        )


class _OperationTool(BaseTool):
    """One operation."""

    def __init__(self, operation: _Operation) -> None:
        super().__init__(operation.spec())
        self._work = operation.work

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Do it, for the tenant and the actor that call."""
        return ToolResult(await self._work(invocation.ctx, arguments))


class _WorkflowTool(BaseTool):
    """One workflow: calling it starts a run of it."""

    def __init__(self, definition: Definition, runs: RunService) -> None:
        super().__init__(_workflow_spec(definition))
        self._definition = definition
        self._runs = runs

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Start a run, once for each call however often that is repeated, and name it."""
        inputs = dict(arguments)
        folder = inputs.pop(_FOLDER, None) if self._definition.workspace is not None else None
        # Known by the call: a repeated one finds the run that it started.
        run_id = "run_" + hashlib.sha256(invocation.idempotency_key.encode()).hexdigest()[:26]
        options = RunOptions(run_id=run_id, workspace_source=folder)
        run = await self._runs.start(invocation.ctx, self._definition.bundle, inputs, options=options)
        return ToolResult({"run": run.id, "workflow": run.workflow, "status": run.status.value})


class OperationTools:
    """Makes these tools.

    Args:
        operations: what every door can ask for.
        runs: starts runs.
        definitions: the workflows that a tenant has run.
        journal: holds the checkpoints of runs.
    """

    def __init__(
        self, operations: Operations, runs: RunService, definitions: Definitions, journal: Journal
    ) -> None:
        self._journal = journal
        self._operations = operations
        self._runs = runs
        self._definitions = definitions
        self._fixed: tuple[Tool, ...] = tuple(
            _OperationTool(entry) for entry in (*self._of_runs(), *self._of_others())
        )

    async def all(self, ctx: Context) -> Iterable[Tool]:
        """Return the tools of a tenant."""
        newest = await self._definitions.newest(ctx)
        return (*self._fixed, *(_WorkflowTool(definition, self._runs) for definition in newest))

    def _of_runs(self) -> Iterable[_Operation]:
        yield _Operation(
            "runs.list",
            "List runs, newest first, with status and cost.",
            {"status": {"type": "string"}, "workflow": {"type": "string"}, "limit": _LIMIT},
            self._list_runs,
        )
        yield _Operation(
            "runs.show", "Show one run: status, outputs, error, cost.", {"run": _RUN}, self._run, ("run",)
        )
        yield _Operation(
            "runs.events",
            "Show what happened in a run, in order, after the sequence number `after`.",
            {"run": _RUN, "after": {"type": "integer", "minimum": 0, "default": 0}, "limit": _LIMIT},
            self._events,
            ("run",),
        )
        yield _Operation(
            "runs.artifacts",
            "List what a run kept: reports, patches.",
            {"run": _RUN},
            self._artifacts,
            ("run",),
        )
        yield _Operation(
            "runs.artifact",
            "Read one artifact of a run by its name, such as report.md; one that is no text comes as base64.",
            {"run": _RUN, "name": {"type": "string", "minLength": 1, "maxLength": 255}},
            self._artifact,
            ("run", "name"),
        )
        yield _Operation(
            "runs.checkpoints",
            "List the steps of a run that it can begin again from, with the commit of the files as they were then.",
            {"run": _RUN},
            self._checkpoints,
            ("run",),
        )
        yield _Operation(
            "runs.cancel",
            "Cancel a run and everything it does.",
            {"run": _RUN},
            self._cancel,
            ("run",),
            RiskClass.DESTRUCTIVE,
        )
        yield _Operation(
            "runs.signal",
            "Send a run a signal that it listens for, with data: how agents of different runs tell each other things.",
            {
                "run": _RUN,
                # What answers an approval wakes its run by a signal, too: that is not to be sent by others.
                "name": {"type": "string", "pattern": "^(?!apr_).", "maxLength": 200},
                "data": {"description": "Any JSON value."},
            },
            self._signal,
            ("run", "name"),
            RiskClass.EXTERNAL_API,
        )

    def _of_others(self) -> Iterable[_Operation]:
        yield _Operation(
            "agents.list",
            "List the agents that have worked here, with load and capabilities; for a task, the fittest first.",
            {
                "capabilities": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 200},
                    "maxItems": 50,
                    "description": "Only agents that have all of these, such as code.write.",
                },
                "task_kind": {"type": "string", "maxLength": 200},
                "task": {"type": "string", "maxLength": 10_000, "description": "What is to be done."},
            },
            self._agents,
        )
        yield _Operation(
            "approvals.list",
            "List what waits for a person's answer, oldest first.",
            {"status": {"type": "string", "default": "pending"}, "run": _RUN},
            self._approvals,
        )
        yield _Operation(
            "approvals.show",
            "Show what is asked, by whom and why.",
            {"approval": _APPROVAL},
            self._approval,
            ("approval",),
        )

    async def _list_runs(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.runs(
            ctx,
            status=asked.get("status"),
            workflow=asked.get("workflow"),
            limit=asked.get("limit", 20),
            cursor=None,
        )

    async def _run(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.run(ctx, asked["run"])

    async def _events(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.event_page(
            ctx, run_id=asked["run"], after=asked.get("after", 0), limit=asked.get("limit", 20)
        )

    async def _checkpoints(self, ctx: Context, asked: JsonObject) -> JsonValue:
        run = await self._operations.run(ctx, asked["run"])
        return {"items": await checkpoints(self._journal, ctx, run["id"])}

    async def _artifacts(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.artifacts(ctx, asked["run"])

    async def _artifact(self, ctx: Context, asked: JsonObject) -> JsonValue:
        artifact, data = await self.artifact(ctx, asked["run"], asked["name"])
        try:
            return {**artifact, "text": data.decode()}
        except UnicodeDecodeError:
            return {**artifact, "base64": base64.b64encode(data).decode()}

    async def artifact(self, ctx: Context, run_id: str, name: str) -> tuple[JsonObject, bytes]:
        """Return an artifact of a run by its name, and its content.

        Raises:
            NotFound: if the run kept none of that name; the hint lists those it kept.
        """
        kept: list[dict[str, Any]] = (await self._operations.artifacts(ctx, run_id))["items"]
        found = next((item for item in kept if item["name"] == name), None)
        if found is None:
            names = ", ".join(item["name"] for item in kept) or "none"
            raise NotFound(f"The run {run_id} kept no artifact {name[:200]!r}.", hint=f"It kept: {names}.")
        return await self._operations.artifact(ctx, found["id"])

    async def _cancel(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.cancel(ctx, asked["run"])

    async def _signal(self, ctx: Context, asked: JsonObject) -> JsonValue:
        await self._operations.signal(ctx, asked["run"], asked["name"], asked.get("data"))
        return {"run": asked["run"], "signal": asked["name"]}

    async def _agents(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.agents(ctx, **asked)

    async def _approvals(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.approvals(
            ctx, status=asked.get("status", "pending"), run_id=asked.get("run")
        )

    async def _approval(self, ctx: Context, asked: JsonObject) -> JsonValue:
        return await self._operations.approval(ctx, asked["approval"])


def _workflow_spec(definition: Definition) -> ToolSpec:
    schema = dict(definition.inputs_schema) or {"type": "object"}
    schema.setdefault("type", "object")
    if definition.workspace is not None:
        if _FOLDER in schema.get("properties", {}):
            raise InvalidInput(f"The workflow {definition.name} has an input called {_FOLDER}.")
        folder = {
            "type": "string",
            "description": "The folder or git repository to work on: a whole path on the machine that runs the work.",
        }
        schema["properties"] = {**schema.get("properties", {}), _FOLDER: folder}
        schema["required"] = [*schema.get("required", []), _FOLDER]
    about = definition.description.strip() or f"The workflow {definition.name}."
    return ToolSpec(
        name=f"{WORKFLOW_PREFIX}{definition.name}",
        description=f"{about}\n\nStarts a run of the workflow {definition.name}, and returns what came out of it.",
        input_schema=schema,
        risk=RiskClass.GENERATIVE,
        effects=frozenset({ToolEffect.WRITE}),
        safety=Safety.KEYED,
        source=RUN_STARTER,
    )
