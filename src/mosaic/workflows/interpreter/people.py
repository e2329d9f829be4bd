"""Steps that wait: for a person (ask), for a signal (listen), for a time (wait)."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mosaic.core.errors import ContractViolation, InvalidInput, PolicyDenied, TimedOut
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Outcome, Safety
from mosaic.tools import Approval, ApprovalRequest, ApprovalRule
from mosaic.workflows.durations import parse_duration
from mosaic.workflows.inputs import schema_problems
from mosaic.workflows.interpreter.frame import Here, RunState
from mosaic.workflows.interpreter.paths import numbered, tag
from mosaic.workflows.steps import AskStep, ListenStep, WaitStep

__all__ = ["decided", "run_ask", "run_listen", "run_wait"]

_BY_SILENCE = "system:timeout"


async def decided(run: RunState, path: str, approval_ids: Sequence[str]) -> None:
    """Wait until every one of these approvals is decided, by a person or by silence."""
    for approval_id in approval_ids:
        approval = await run.services.approvals.get(run.ctx, approval_id)
        await run.services.approvals.wait(run.execution.at(path), approval)


async def run_ask(step: AskStep, here: Here) -> JsonValue:
    """Ask, wait for the answer and return it."""
    approvals, mark = here.run.services.approvals, tag(here.number)
    asked = await approvals.request(here.effects, numbered("ask", mark), _request(step, here))
    answered = await approvals.wait(here.execution, asked)

    async def note(_: EffectCall) -> Outcome:
        return Outcome(_answer(answered))

    # Recorded, so that a replay needs no approval row.
    answer = await here.effects.effect(numbered("answer", mark), note, safety=Safety.REPEATABLE)
    return _checked(step, here, answer if isinstance(answer, dict) else {})


def _request(step: AskStep, here: Here) -> ApprovalRequest:
    scope = here.scope
    question = step.question.evaluate_text(scope) if step.question is not None else f"{step.name}: go on?"
    detail = step.detail.evaluate(scope) if step.detail is not None else None
    shown: JsonObject = {"step": here.path, "question": question}
    if detail is not None:
        shown["detail"] = detail
    if step.choices:
        shown["choices"] = list(step.choices)
    silence = "approve" if step.on_timeout == "approve" else "deny"
    rule = ApprovalRule(
        roles=step.roles,
        timeout_s=step.wait_s,
        quorum=step.quorum,
        counting=step.counting,
        four_eyes=step.four_eyes,
    )
    schema: JsonObject | None = {"enum": list(step.choices)} if step.choices else step.answer_schema
    return ApprovalRequest(
        kind="ask",
        title=question.strip().partition("\n")[0],
        detail=shown,
        rule=replace(rule, on_timeout="approve") if silence == "approve" else rule,
        arguments_schema=schema,
    )


def _answer(answered: Approval) -> JsonObject:
    return {
        "approved": answered.approved,
        "answer": answered.answer,
        "note": answered.note,
        "decided_by": answered.decided_by,
        "timed_out": answered.decided_by == _BY_SILENCE,
    }


def _checked(step: AskStep, here: Here, answer: JsonObject) -> JsonObject:
    if answer["timed_out"] and step.on_timeout == "fail":
        raise TimedOut(f"Nobody answered {here.path!r} within {step.wait_s:g} s.", step=here.path)
    if not answer["approved"] and not answer["timed_out"] and step.on_reject == "fail":
        note = f": {answer['note']}" if answer["note"] else ""
        raise PolicyDenied(f"{answer['decided_by']} said no to {here.path!r}{note}.", step=here.path)
    if not answer["approved"] and answer["timed_out"] and step.on_reject == "fail":
        raise PolicyDenied(f"Nobody answered {here.path!r} in time, which means no.", step=here.path)
    return answer


async def run_listen(step: ListenStep, here: Here) -> JsonValue:
    """Wait for a signal and return its payload."""
    name = step.signal.evaluate_text(here.scope)
    signal = await here.execution.wait_signal(
        name, timeout_s=step.wait_s, key=numbered(name, tag(here.number))
    )
    if signal is None:
        if step.on_timeout == "continue":
            return None
        raise TimedOut(f"The signal {name!r} did not come within {step.wait_s:g} s.", signal=name)
    if step.payload_schema is not None:
        problems = schema_problems(step.payload_schema, signal.payload, "payload")
        if problems:
            shown = "; ".join(str(problem) for problem in problems[:5])
            raise ContractViolation(f"The payload of the signal {name!r} does not fit: {shown}", signal=name)
    return signal.payload


async def run_wait(step: WaitStep, here: Here) -> JsonValue:
    """Wait for a time."""
    name = numbered("wait", tag(here.number))
    if step.until is not None:
        await here.execution.sleep_until(name, _moment(step.until.evaluate_text(here.scope), here))
    elif step.duration is not None:
        await here.execution.sleep(name, _seconds(step.duration.evaluate(here.scope), here))
    return None


def _moment(text: str, here: Here) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"`until` of {here.path!r} is {text[:100]!r}; it must be a time with a zone, such as 2030-01-31T09:00:00Z."
        )
    return moment


def _seconds(value: JsonValue, here: Here) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise InvalidInput(f"`wait` of {here.path!r} is {str(value)[:100]!r}: {error}.") from None
