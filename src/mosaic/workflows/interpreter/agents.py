"""What agents do in a workflow: one alone, or a group that hands control around.

An agent's job runs as an execution of its own, from the queue of its pool. When it needs a person's decision the
job ends, this execution waits (holding no place in the queue), and the job starts again at the same path: it goes
on where it was.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from mosaic.agents import (
    AgentLimits,
    AgentSpec,
    Completed,
    HandedOff,
    HandoffContext,
    NeedsApproval,
    outcome_from_json,
)
from mosaic.core.errors import BudgetExceeded, Cancelled, LimitExceeded
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Execution, RetryPolicy
from mosaic.events import NewEvent
from mosaic.workflows.interpreter.failure import Stopped
from mosaic.workflows.interpreter.frame import Here, RunState
from mosaic.workflows.interpreter.paths import child, iteration, numbered, tag, tried
from mosaic.workflows.interpreter.people import decided
from mosaic.workflows.interpreter.retrying import retry_policy
from mosaic.workflows.steps import AgentStep, HandoffStep, VoteStep

__all__ = [
    "AGENT_HANDLER",
    "AGENT_QUEUE",
    "Assignment",
    "as_text",
    "converse",
    "prompt_of",
    "run_agent",
    "run_handoff",
    "tried_again",
]

AGENT_HANDLER = "agent"
AGENT_QUEUE = "agents"

_HANDOFFS_OF_ONE_STEP = 8
"""How often control may pass on in an `agent` step whose agent has `handoffs`; a group has its own `max_turns`."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the agents of one step are to do.

    Attributes:
        prompt: the task.
        specs: the agents that may get it, as this step wants them.
        policies: rules narrower than the agent's own.
        limits: bounds below the agent's own.
        continues: path of a job that ran out of budget: the first agent goes on with what was said there.
        task_kind: chooses among each agent's models.
    """

    prompt: JsonValue
    specs: Mapping[str, AgentSpec]
    policies: Mapping[str, str]
    limits: AgentLimits
    continues: str | None = None
    task_kind: str | None = None


async def run_agent(step: AgentStep, here: Here) -> JsonValue:
    """Let the agent work, and whoever it hands over to, until one answers."""
    agents = here.run.definition.agents
    first = agents[step.agent].spec
    schema = step.output_schema or first.output_schema
    specs = {
        name: replace(
            entry.spec,
            output_schema=schema,
            handoffs=tuple(other for other in entry.spec.handoffs if other in agents),
        )
        for name, entry in agents.items()
    }
    if step.tools is not None:
        specs[step.agent] = _narrowed(specs[step.agent], step.tools)
    prompt = prompt_of(step, here)
    limits = AgentLimits(max_turns=step.max_turns)
    continues = here.run.visits_of(here.path).job
    work = Assignment(prompt, specs, step.policies or {}, limits, continues, step.task_kind)

    async def attempt(number: int) -> JsonValue:
        base = tried(here.path, tag(here.number, number))
        return await converse(here, work, step.agent, base, turns=_HANDOFFS_OF_ONE_STEP + 1, first_path=base)

    return await tried_again(step, here, "try", attempt)


async def run_handoff(step: HandoffStep, here: Here) -> JsonValue:
    """Let a group of agents hand control around until one answers."""
    group = {name: here.run.definition.agents[name].spec for name in step.among}
    specs = {}
    for name, spec in group.items():
        inside = tuple(other for other in spec.handoffs if other in group)
        others = tuple(other for other in group if other != name)
        schema = step.output_schema or spec.output_schema
        specs[name] = replace(spec, handoffs=inside if spec.handoffs else others, output_schema=schema)
    work = Assignment(prompt_of(step, here), specs, {}, AgentLimits())

    async def attempt(number: int) -> JsonValue:
        base = tried(here.path, tag(here.number, number))
        return await converse(here, work, step.start, base, turns=step.max_turns)

    return await tried_again(step, here, "try", attempt)


async def tried_again(
    step: AgentStep | HandoffStep | VoteStep,
    here: Here,
    name: str,
    attempt: Callable[[int], Awaitable[JsonValue]],
) -> JsonValue:
    """Run `attempt`, again if it fails and the step's `retry` and the run's budget allow it."""
    policy = retry_policy(step.retry) if step.retry is not None else RetryPolicy(attempts=1)
    result: JsonValue = await here.effects.retrying(numbered(name, tag(here.number)), attempt, policy)
    return result


async def converse(
    here: Here, work: Assignment, start: str, base: str, *, turns: int, first_path: str | None = None
) -> JsonValue:
    """Let `start` work, then whoever it hands over to, at most `turns` agents in a row."""
    agent, context = start, None
    for turn in range(turns):
        path = first_path if turn == 0 and first_path is not None else iteration(child(base, agent), turn)
        outcome = await _job(here, work if turn == 0 else replace(work, continues=None), agent, path, context)
        if isinstance(outcome, Completed):
            return outcome.output
        await _journal_handoff(here, path, agent, outcome, turn)
        agent, context = outcome.to, outcome.context
    raise LimitExceeded(
        f"The agents of {here.path!r} handed over {turns} times and none has answered; that is the limit.",
        hint="Raise `max_turns`, or tell the agents who has to answer.",
        turns=turns,
    )


async def _journal_handoff(here: Here, path: str, agent: str, outcome: HandedOff, turn: int) -> None:
    data: JsonObject = {
        "from": agent,
        "to": outcome.to,
        "turn": turn,
        "task": outcome.context.task[:500],
        "kind": outcome.context.kind,
    }
    await here.run.at(path).emit(NewEvent("handoff.made", data, path=path))


async def _job(
    here: Here, work: Assignment, agent: str, path: str, context: HandoffContext | None
) -> Completed | HandedOff:
    """Run one agent's job to its end, waiting for people as often as it needs them."""
    run = here.run
    spec = work.specs[agent]
    payload: JsonObject = {
        "definition_hash": run.definition.content_hash,
        "job": _job_json(here, spec, work, context),
        "policies": dict(work.policies),
        "workspace": run.workspace_record,
        "continues": work.continues,
    }
    execution = run.execution.at(path)
    part = 1
    while True:
        async with run.slots:
            with run.touching_files():
                shown = await _call(execution, numbered("job", part), payload, run, spec.pool)
        outcome = outcome_from_json(shown if isinstance(shown, dict) else {})
        if not isinstance(outcome, NeedsApproval):
            return outcome
        with here.deadline.paused():
            await decided(run, path, outcome.approval_ids)
        part += 1


async def _call(execution: Execution, name: str, payload: JsonObject, run: RunState, pool: str) -> JsonValue:
    try:
        return await execution.call(
            name,
            AGENT_HANDLER,
            payload,
            queue=run.services.queues.get(pool, AGENT_QUEUE),
            priority=int(run.options.get("priority", 10)),
            path=execution.path,
        )
    except BudgetExceeded as error:
        error.data.setdefault("job", execution.path)
        raise
    except Cancelled:
        if execution.cancelled.is_set():
            raise
        raise Stopped from None


def _job_json(here: Here, spec: AgentSpec, work: Assignment, context: HandoffContext | None) -> JsonObject:
    """Return what `AgentJob.from_json` reads; tools, policy and worktree are the worker's to find."""
    agents = here.run.definition.agents
    model = here.run.options.get("model")
    return {
        "spec": spec.to_json(),
        "prompt": work.prompt,
        "handoff_context": None if context is None else context.to_json(),
        "models": [model] if model else [],
        "peers": {name: agents[name].spec.description for name in spec.handoffs if name in agents},
        "limits": {"max_turns": work.limits.max_turns} if work.limits.max_turns else {},
        **({"task_kind": work.task_kind} if work.task_kind else {}),
    }


def _narrowed(spec: AgentSpec, tools: tuple[str, ...]) -> AgentSpec:
    keep = set(tools)
    return replace(
        spec,
        tools=tools,
        required_tools=tuple(name for name in spec.required_tools if name in keep),
        preferred_tools=tuple(name for name in spec.preferred_tools if name in keep),
    )


def prompt_of(step: AgentStep | HandoffStep | VoteStep, here: Here) -> JsonValue:
    """Return what a step's agents are told: its `with`, or what came before; after a jump back also why."""
    prompt = here.previous if step.with_ is None else step.with_.evaluate(here.scope)
    feedback = here.scope.get("feedback")
    mentioned = step.with_ is not None and "feedback" in step.with_.variables
    if not isinstance(feedback, dict) or mentioned:
        return prompt
    return f"{as_text(prompt)}\n\nThe attempt before did not pass {feedback['step']!r}: {feedback['message']}"


def as_text(value: JsonValue) -> str:
    """Return a prompt as text: text as it is, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
