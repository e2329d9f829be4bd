"""The `workflow` step: a child run of another definition."""

import asyncio

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonValue
from mosaic.engine import EffectCall, Outcome, RetryPolicy, Safety
from mosaic.workflows.interpreter.frame import Here
from mosaic.workflows.interpreter.paths import numbered, tag
from mosaic.workflows.interpreter.retrying import retry_policy
from mosaic.workflows.steps import WorkflowStep

__all__ = ["run_workflow_step"]


async def run_workflow_step(step: WorkflowStep, here: Here) -> JsonValue:
    """Start the child run, wait for its end and return its outputs."""
    definition = here.run.definition.children[step.workflow]
    inputs = step.with_.evaluate(here.scope) if step.with_ is not None else {}
    if not isinstance(inputs, dict):
        raise InvalidInput(f"`with` of {here.path!r} must give an object: the inputs of {step.workflow!r}.")
    bound = definition.bind_inputs(inputs)
    name = numbered("child", tag(here.number))

    async def attempt(number: int) -> JsonValue:
        effects, children = here.effects, here.run.services.children
        attempt_name = f"{name}/{number}"

        async def start(call: EffectCall) -> Outcome:
            run_id = await children.start(
                here.run.ctx,
                definition,
                bound,
                parent_run_id=here.run.id,
                parent_path=here.path,
                key=call.idempotency_key,
                options=here.run.options,
            )
            return Outcome({"run_id": run_id})

        # Repeatable: the key makes a repeated start the same run.
        started = await effects.effect(f"{attempt_name}/start", start, safety=Safety.REPEATABLE)
        run_id = str(started["run_id"]) if isinstance(started, dict) else ""

        async def end(_: EffectCall) -> Outcome:
            return Outcome(await children.outputs(here.run.ctx, run_id))

        if not effects.is_recorded(f"{attempt_name}/end"):
            try:
                async with effects.waiting():
                    await children.wait(here.run.ctx, run_id)
            except asyncio.CancelledError:
                here.run.services.abandon(here.run, run_id)
                raise
        return await effects.effect(f"{attempt_name}/end", end, safety=Safety.REPEATABLE)

    policy = retry_policy(step.retry) if step.retry is not None else RetryPolicy(attempts=1)
    return await here.effects.retrying(name, attempt, policy)
