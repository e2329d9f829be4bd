"""The `workflow` step: a child run of another definition."""

from collections.abc import Awaitable, Callable

from mosaic.core.errors import Cancelled, InvalidInput, MosaicError, StepFailed
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Outcome, RetryPolicy, Safety
from mosaic.workflows.interpreter.frame import Here
from mosaic.workflows.interpreter.paths import numbered, tag
from mosaic.workflows.interpreter.retrying import retry_policy
from mosaic.workflows.steps import WorkflowStep

__all__ = ["run_workflow"]


async def run_workflow(step: WorkflowStep, here: Here) -> JsonValue:
    """Start the child run, wait for its end and return its outputs."""
    inputs = step.with_.evaluate(here.scope) if step.with_ is not None else {}
    if not isinstance(inputs, dict):
        raise InvalidInput(f"`with` of {here.path!r} must give an object: the inputs of {step.workflow!r}.")
    bound = here.run.definition.children[step.workflow].bind_inputs(inputs)
    name = numbered("child", tag(here.number))

    async def attempt(number: int) -> JsonValue:
        return await _child(step, here, bound, f"{name}/{number}")

    policy = retry_policy(step.retry) if step.retry is not None else RetryPolicy(attempts=1)
    return await here.effects.retrying(name, attempt, policy)


async def _child(step: WorkflowStep, here: Here, inputs: JsonObject, name: str) -> JsonValue:
    effects, run, children = here.effects, here.run, here.run.services.children

    async def start(call: EffectCall) -> Outcome:
        child = await children.start(
            run.ctx,
            run.definition.children[step.workflow],
            inputs,
            parent_run_id=run.id,
            parent_path=here.path,
            key=call.idempotency_key,
            options=run.options,
        )
        return Outcome(child)

    # Repeatable: the key makes a repeated start the same run.
    child = str(await effects.effect(f"{name}/start", start, safety=Safety.REPEATABLE))
    if effects.is_recorded(f"{name}/end"):
        return await effects.effect(f"{name}/end", _told(None))
    run.children[here.path] = child
    outputs: JsonValue = None
    failure: MosaicError | None = None
    try:
        async with effects.waiting():
            outputs = await children.wait(run.ctx, child)
    except Cancelled:
        failure = StepFailed(
            f"The child run {child} was cancelled.", run_id=child, reason={"code": "cancelled"}
        )
    except MosaicError as error:
        failure = error
    del run.children[here.path]  # not when this branch is cancelled: whoever ends it ends the child
    return await effects.effect(f"{name}/end", _told(outputs, failure), safety=Safety.REPEATABLE)


def _told(
    outputs: JsonValue, failure: MosaicError | None = None
) -> Callable[[EffectCall], Awaitable[Outcome]]:
    async def tell(_: EffectCall) -> Outcome:
        if failure is not None:
            raise failure
        return Outcome(outputs)

    return tell
