"""The handler "workflow": one run of a definition, from its first step to its outputs."""

import asyncio
from typing import Any

from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Execution
from mosaic.workflows.interfaces import Services
from mosaic.workflows.interpreter import BODIES, RunState, compensations, execute
from mosaic.workflows.schemas import Definition

__all__ = ["WorkflowHandler"]


class WorkflowHandler:
    """Executes definitions durably: run again after a crash, it goes on where it was and repeats nothing."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, execution: Execution) -> JsonValue:
        """Run the definition that the execution's input names.

        Input: ``definition_hash``; ``inputs``, already checked; ``workspace``, the run's as JSON, or null;
        ``options``: ``model`` replaces every agent's, ``priority`` is that of its agents' jobs.

        Returns:
            ``{"outputs": ...}``
        """
        given: Any = execution.input
        definition = await self._services.definitions.load(execution.ctx, given["definition_hash"])
        return await self.run(
            execution,
            definition,
            given.get("inputs") or {},
            workspace=given.get("workspace"),
            options=given.get("options") or {},
        )

    async def run(
        self,
        execution: Execution,
        definition: Definition,
        inputs: JsonObject,
        *,
        workspace: JsonObject | None = None,
        options: JsonObject | None = None,
    ) -> JsonObject:
        """Run `definition` inside an execution of the caller's, at the execution's path.

        Args:
            execution: whose effects record the run; its path must be empty.
            definition: what to do.
            inputs: checked, defaults filled in.
            workspace: the run's files, as `Worktrees` understands them; None when it has none.
            options: see `__call__`.

        Raises:
            StepFailed: naming the step that failed; ``data["reason"]`` is its error.
            ContractViolation: if the outputs do not fit the definition's schema.
        """
        services, ctx = self._services, execution.ctx
        worktree = None
        if workspace is not None and services.worktrees is not None:
            worktree = await services.worktrees.open(ctx, workspace)
        async with services.tools.open(ctx, execution.run_id, definition) as toolbox:
            state = RunState(
                execution=execution,
                definition=definition,
                services=services,
                toolbox=toolbox,
                policy=services.tools.policy(ctx, definition),
                workspace=worktree,
                workspace_record=workspace,
                options=options or {},
                bodies=BODIES,
                slots=asyncio.Semaphore(definition.limits.concurrency),
                compensations=dict(
                    compensations(definition.steps, *(clause.do for clause in definition.catch))
                ),
            )
            return {"outputs": await execute(state, inputs)}
