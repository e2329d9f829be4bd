"""The handler "agent": one agent's job, taken from a queue and run wherever there is room."""

from dataclasses import replace
from typing import Any

from mosaic.agents import AgentJob, AgentRunner, AgentSpec
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Execution
from mosaic.workflows.interfaces import Services

__all__ = ["AgentHandler"]


class AgentHandler:
    """Runs an agent's job and returns its outcome as JSON.

    Input: ``definition_hash``; ``job`` (`AgentJob.to_json`, without a worktree); ``policies``, narrower than the
    agent's own; ``workspace``, the run's, or null. It finds definition, tools and worktree itself, because it may
    run on another node than the workflow.
    """

    def __init__(self, services: Services, runner: AgentRunner) -> None:
        self._services = services
        self._runner = runner

    async def __call__(self, execution: Execution) -> JsonValue:
        """Run the job at the execution's path."""
        given: Any = execution.input
        ctx, services = execution.ctx, self._services
        definition = await services.definitions.load(ctx, given["definition_hash"])
        record: JsonObject | None = given["workspace"]
        worktree = None
        if record is not None and services.worktrees is not None:
            worktree = await services.worktrees.open(ctx, record)
        async with services.tools.open(ctx, execution.run_id, definition) as toolbox:
            names = [spec.name for spec in toolbox.specs(None)]
            spec = AgentSpec.from_json(given["job"]["spec"])
            policy = services.tools.policy(ctx, definition).narrowed(spec.policies, tools=names)
            job = AgentJob.from_json(
                {**given["job"], "spec": replace(spec, policies={}).to_json()},
                toolbox=toolbox,
                policy=policy.narrowed(given["policies"], tools=names),
            )
            outcome = await self._runner.run(execution, replace(job, workspace=worktree))
        return outcome.to_json()
