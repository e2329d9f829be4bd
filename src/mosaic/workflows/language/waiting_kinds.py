"""The kinds of step that wait for a person, a signal or a time, and the one that tells others something."""

import datetime
from typing import Any

from mosaic.workflows.action_steps import (
    AskStep,
    EmitStep,
    ListenStep,
    WaitStep,
)
from mosaic.workflows.durations import parse_duration
from mosaic.workflows.expressions import Template
from mosaic.workflows.language.nodes import MapNode
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.shapes import (
    AnyValue,
    Choice,
    Duration,
    Expression,
    Flag,
    Key,
    ListOf,
    Obj,
    OneOf,
    Text,
    Whole,
)
from mosaic.workflows.language.step_keys import ALWAYS, SCHEMA
from mosaic.workflows.language.step_shapes import Kind

__all__ = ["QUORUM", "ROLES", "WAITING", "waits"]

ROLES = ListOf(Text("the name of a role", pattern=r"[A-Za-z][A-Za-z0-9_-]{0,62}"), single=True, low=1)

QUORUM: dict[str, Key] = {
    "quorum": Key(Whole(1, 100), "How many different people must say yes.", default=1),
    "counting": Key(
        Choice(("veto", "majority")),
        "One no rejects, or the larger side decides once so many have voted.",
        default="veto",
    ),
    "four_eyes": Key(
        Flag(),
        "Whoever the run belongs to may not say yes; always so with a quorum of more than one.",
        default=False,
    ),
}

SIGNAL = Text("a dotted name", pattern=r"[A-Za-z][A-Za-z0-9_.-]{0,126}", example="deploy.finished")


def waits(values: dict[str, Any], reading: Reading, pointer: str) -> float | None:
    """Return the seconds of `timeout`; an `on_timeout` without one is a problem."""
    if "on_timeout" in values and "timeout" not in values:
        message = "`on_timeout` has no `timeout`: it would never happen."
        reading.complain_at(join_pointer(pointer, "on_timeout"), message, "add `timeout: 24h`")
    found = values.get("timeout")
    return None if found is None else float(found)


def _ask(own: dict[str, Any], common: dict[str, Any]) -> AskStep:
    asked = own.get("ask", {})
    asked = {"question": asked} if isinstance(asked, Template) else asked
    on_timeout = asked.get("on_timeout", "fail")
    return AskStep(
        question=asked.get("question"),
        detail=asked.get("detail"),
        roles=asked.get("roles", ()),
        quorum=asked.get("quorum", 1),
        counting=asked.get("counting", "veto"),
        four_eyes=asked.get("four_eyes", False),
        choices=asked.get("choices", ()),
        answer_schema=asked.get("answer"),
        wait_s=asked.get("timeout"),
        on_timeout="reject" if on_timeout == "deny" else on_timeout,
        on_reject=asked.get("on_reject", "fail"),
        **common,
    )


def _ask_object(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> dict[str, Any]:
    waits(values, reading, pointer)
    if "choices" in values and "answer" in values:
        message = "`choices` and `answer` both say what may be answered."
        reading.complain_at(join_pointer(pointer, "answer"), message, "keep one of them")
    return values


def _emit(own: dict[str, Any], common: dict[str, Any]) -> EmitStep:
    event = own.get("emit", "")
    event = {"event": event} if isinstance(event, str) else event
    return EmitStep(event=event.get("event", ""), data=event.get("data"), **common)


def _listen(own: dict[str, Any], common: dict[str, Any]) -> ListenStep:
    found = own.get("listen", {})
    found = {"signal": found} if isinstance(found, Template) else found
    return ListenStep(
        signal=found.get("signal") or Template("", ()),
        payload_schema=found.get("schema"),
        wait_s=found.get("timeout"),
        on_timeout=found.get("on_timeout", "fail"),
        **common,
    )


def _listen_object(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> dict[str, Any]:
    waits(values, reading, pointer)
    return values


def _wait(own: dict[str, Any], common: dict[str, Any]) -> WaitStep:
    reading, pointer, found = own["_reading"], join_pointer(own["_pointer"], "wait"), own.get("wait")
    if isinstance(found, Template):
        found, place = {"for": found}, pointer
    else:
        found, place = found or {}, join_pointer(pointer, "for")
    if len(found) != 1:
        reading.complain_at(
            pointer, "A `wait` needs either a duration or `until`.", "for example `wait: 30s`"
        )
    _check_literal(found.get("for"), reading, place, _duration_problem)
    _check_literal(found.get("until"), reading, join_pointer(pointer, "until"), _time_problem)
    return WaitStep(duration=found.get("for"), until=found.get("until"), **common)


def _check_literal(template: Template | None, reading: Reading, pointer: str, check: Any) -> None:
    if template is not None and template.parts and not template.expressions:
        problem = check(template.text)
        if problem:
            reading.complain_at(pointer, *problem)


def _duration_problem(text: str) -> tuple[str, str | None] | None:
    try:
        parse_duration(text)
    except ValueError:
        hint = f"write `{text}s` for seconds" if text.isdigit() else None
        return "`wait` must be a duration such as 90s, 2h or 1h30m, or an expression for one.", hint
    return None


def _time_problem(text: str) -> tuple[str, str | None] | None:
    try:
        aware = datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if aware:
        return None
    return (
        "`until` must be a time with its zone, or an expression for one.",
        "for example 2030-01-31T08:00:00Z",
    )


ASK = Obj(
    "a question",
    {
        "question": Key(Expression(), "What is asked."),
        "detail": Key(AnyValue(), "What the person sees with it."),
        "roles": Key(ROLES, "Who may answer; default: everyone who may approve."),
        **QUORUM,
        "choices": Key(ListOf(Text(), low=2), "Answers to pick from; without it: approve or reject."),
        "answer": Key(SCHEMA, "JSON Schema of the answer."),
        "timeout": Key(Duration(), "How long to wait; default: for ever."),
        "on_timeout": Key(
            Choice(("fail", "approve", "reject", "deny")), "What then; `deny` is `reject`.", default="fail"
        ),
        "on_reject": Key(Choice(("fail", "continue")), "Whether a rejection fails the step.", default="fail"),
    },
    _ask_object,
)


EMIT = Obj(
    "an event",
    {
        "event": Key(SIGNAL, "Name of the event; the journal shows it as `workflow.<name>`.", required=True),
        "data": Key(AnyValue(), "Its data."),
    },
    lambda values, _reading, _node, _pointer: values,
)


LISTEN = Obj(
    "a signal to wait for",
    {
        "signal": Key(Expression(), "Name of the signal.", required=True),
        "schema": Key(SCHEMA, "JSON Schema of the payload."),
        "timeout": Key(Duration(), "How long to wait; default: for ever."),
        "on_timeout": Key(Choice(("fail", "continue")), "What then; `continue` gives null.", default="fail"),
    },
    _listen_object,
)


WAIT = Obj(
    "a wait",
    {
        "for": Key(Expression(), "How long: a duration."),
        "until": Key(Expression(), "Until when: a time with its zone, such as 2030-01-31T08:00:00Z."),
    },
    lambda values, _reading, _node, _pointer: values,
)

WAITING: tuple[Kind, ...] = (
    Kind(
        "ask",
        "A person decides. Output: {approved, answer, note, decided_by, timed_out}.",
        {"ask": Key(OneOf((ASK, Expression()), "a question, or a mapping"), "The question.", required=True)},
        ALWAYS,
        _ask,
    ),
    Kind(
        "listen",
        "Waits for a signal sent to the run. Output: its payload.",
        {
            "listen": Key(
                OneOf((LISTEN, Expression()), "the signal's name, or a mapping"), "The signal.", required=True
            )
        },
        ALWAYS,
        _listen,
    ),
    Kind(
        "wait",
        "Waits. Output: null.",
        {
            "wait": Key(
                OneOf((WAIT, Expression()), "a duration, or {until: time}"), "How long.", required=True
            )
        },
        ALWAYS,
        _wait,
    ),
    Kind(
        "emit",
        "Writes an event into the run's journal. Output: its data.",
        {
            "emit": Key(
                OneOf((EMIT, SIGNAL), "the event's name, or {event: name, data: ...}"),
                "The event.",
                required=True,
            )
        },
        ALWAYS,
        _emit,
    ),
)
