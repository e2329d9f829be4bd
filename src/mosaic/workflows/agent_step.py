"""The handler "agent": one agent's job, taken from a queue and run wherever there is room."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mosaic.agents import AgentJob, AgentRunner, AgentSpec, Conversations
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Execution, Outcome, Safety
from mosaic.providers.ai import Message
from mosaic.tools import Policy, Toolbox
from mosaic.workflows.interfaces import Services
from mosaic.workflows.schemas import Definition

__all__ = ["AgentHandler"]

_GO_ON = "You were stopped because the budget was used up; there is more now. Go on where you were."


class AgentHandler:
    """Runs an agent's job and returns its outcome as JSON.

    Input: ``definition_hash``; ``job`` (`AgentJob.to_json`, without a worktree); ``policies``, narrower than the
    agent's own; ``workspace``, the run's, or null; ``continues``, the path of a job that ran out of budget, or null.
    It finds definition, tools and worktree itself, because it may run on another node than the workflow.

    Args:
        services: as for the workflow.
        runner: runs jobs.
        conversations: where a job that continues another finds what was said; without it, it starts anew.
    """

    def __init__(
        self, services: Services, runner: AgentRunner, *, conversations: Conversations | None = None
    ) -> None:
        self._services = services
        self._runner = runner
        self._conversations = conversations

    async def __call__(self, execution: Execution) -> JsonValue:
        """Run the job at the execution's path."""
        given: Any = execution.input
        ctx, services = execution.ctx, self._services
        definition = await services.definitions.load(ctx, given["definition_hash"])
        record: JsonObject | None = given["workspace"]
        worktree: Path | None = None
        if record is not None and services.worktrees is not None:
            worktree = await services.worktrees.open(ctx, record)
        async with services.tools.open(ctx, execution.run_id, definition) as toolbox:
            job = replace(self._job(execution, definition, toolbox), workspace=worktree)
            earlier = await self._earlier(execution, given.get("continues"))
            if earlier:
                job = replace(job, messages=earlier, prompt=_GO_ON)
            outcome = await self._runner.run(execution, job)
        return outcome.to_json()

    def _job(self, execution: Execution, definition: Definition, toolbox: Toolbox) -> AgentJob:
        given: Any = execution.input
        names = [spec.name for spec in toolbox.specs(None)]
        spec = AgentSpec.from_json(given["job"]["spec"])
        # The step's rules are narrower than the agent's, so both are laid here and the agent has none left.
        policy: Policy = self._services.tools.policy(execution.ctx, definition)
        policy = policy.narrowed(spec.policies, tools=names).narrowed(given["policies"], tools=names)
        plain = replace(spec, policies={})
        return AgentJob.from_json({**given["job"], "spec": plain.to_json()}, toolbox=toolbox, policy=policy)

    async def _earlier(self, execution: Execution, path: str | None) -> tuple[Message, ...]:
        """Return what was said in the job at `path`, as it was when this job began."""
        conversations = self._conversations
        if path is None or conversations is None:
            return ()

        async def read(_: EffectCall) -> Outcome:
            try:
                found = await conversations.conversation(execution.ctx, execution.run_id, path)
            except NotFound:
                return Outcome([])
            return Outcome([message.to_json() for message in found.messages])

        said: Any = await execution.effects.effect("earlier", read, safety=Safety.REPEATABLE)
        return tuple(Message.from_json(message) for message in said)
