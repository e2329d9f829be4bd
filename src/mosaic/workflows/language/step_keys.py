"""The keys that steps share: conditions, retries, timeouts, and what happens on failure."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from mosaic.core import errors
from mosaic.core.errors import MosaicError
from mosaic.core.money import Money
from mosaic.workflows.action_steps import SecretRef
from mosaic.workflows.language.json_schemas import JsonSchema
from mosaic.workflows.language.nodes import MapNode, Node
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.shapes import (
    Choice,
    Condition,
    Dollars,
    Duration,
    Expression,
    Key,
    ListOf,
    Named,
    Number,
    Obj,
    OneOf,
    Text,
    Whole,
)
from mosaic.workflows.language.step_shapes import NAME, StepList, name_problem
from mosaic.workflows.step_base import Catch, OnFail, Retry

__all__ = [
    "ALWAYS",
    "BOUNDED",
    "OUTPUT",
    "RETRIED",
    "SCHEMA",
    "TEXT_OR_SECRET",
    "VARIABLE",
    "WORKFLOW_CATCH",
    "error_codes",
]


_OF_TOOLS = ("invalid_arguments", "unknown_tool")  # errors of the tools room that a step can meet
_NEVER_CAUGHT = frozenset({"cancelled", "fenced"})


def error_codes() -> tuple[str, ...]:
    """Return the codes of the errors that a clause may name, sorted; the same whatever else is imported."""
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.code for kind in kinds if isinstance(kind, type) and issubclass(kind, MosaicError)}
    return tuple(sorted((codes | {*_OF_TOOLS}) - _NEVER_CAUGHT))


CODES = Named(
    "errors",
    ListOf(
        Choice(("any", *error_codes()), "the code of an error, such as `timed_out`, or `any`"),
        single=True,
        low=1,
    ),
)
SCHEMA = Named("schema", JsonSchema())
VARIABLE = Text("a name: letters, digits and `_`", pattern=NAME)


def _codes(found: tuple[str, ...]) -> tuple[str, ...]:
    return () if "any" in found else found


def _retry(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> Retry:
    made = Retry(
        attempts=values.get("attempts", 3),
        delay_s=values.get("delay", 1.0),
        factor=values.get("factor", 2.0),
        max_delay_s=values.get("max_delay", max(30.0, values.get("delay", 1.0))),
        jitter=values.get("jitter", 0.2),
        on=_codes(values.get("on", ())),
    )
    if made.max_delay_s < made.delay_s:
        reading.complain_at(join_pointer(pointer, "max_delay"), "`max_delay` is shorter than `delay`.")
    return made


class _Attempts(Whole):
    """`retry: 5` is short for `retry: {attempts: 5}`."""

    __slots__ = ()

    def read(self, node: Node, reading: Reading, pointer: str) -> Any:
        """Return the retry policy."""
        return Retry(attempts=super().read(node, reading, pointer))


RETRY_OBJECT = Obj(
    "a retry policy",
    {
        "attempts": Key(Whole(1, 20), "Tries in all; 1 means no retry.", default=3),
        "delay": Key(Duration(), "How long to wait before the second try.", default="1s"),
        "factor": Key(Number(1, 10), "By how much the delay grows each time.", default=2),
        "max_delay": Key(Duration(), "The longest delay.", default="30s"),
        "jitter": Key(Number(0, 1), "Share of the delay that is random.", default=0.2),
        "on": Key(CODES, "Which errors to retry. Without it: those that say they are worth retrying."),
    },
    _retry,
)
RETRY = Named(
    "retry", OneOf((_Attempts(1, 20), RETRY_OBJECT), "a number of attempts from 1 to 20, or a retry policy")
)


def _on_fail(values: dict[str, Any], _reading: Reading, _node: MapNode, _pointer: str) -> OnFail:
    return OnFail(goto=values.get("goto", ""), max=values.get("max", 3))


ON_FAIL = Named(
    "on_fail",
    Obj(
        "an `on_fail`",
        {
            "goto": Key(
                VARIABLE, "Where to go on: an earlier step of the same list, or this one.", required=True
            ),
            "max": Key(Whole(1, 100), "How many times at most; then the failure stands.", default=3),
        },
        _on_fail,
    ),
)


def _extend(values: dict[str, Any], _reading: Reading, _node: MapNode, _pointer: str) -> dict[str, Any]:
    return values


EXTEND = Obj(
    "an extension of limits",
    {
        "usd": Key(Dollars(), "Raise the run's money limit by so many US dollars."),
        "tokens": Key(Whole(1), "Raise the run's token limit by so many tokens."),
    },
    _extend,
    any_of=("usd", "tokens"),
)


def _catch(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str, *, default: str) -> Catch:
    then = values.get("then", default)
    name = values.get("as", "error")
    problem = name_problem(name) if name and name != "error" else None
    if problem:
        reading.complain_at(join_pointer(pointer, "as"), f"{problem[0]}.", problem[1])
    if "max" in values and then != "retry":
        reading.complain_at(
            join_pointer(pointer, "max"), "`max` says how often to retry.", "add `then: retry`"
        )
    extend = values.get("extend", {})
    if extend and then != "retry":
        hint = "add `then: retry`, so that the step that failed runs under the new limit"
        reading.complain_at(
            join_pointer(pointer, "extend"), "`extend` raises a limit that nothing uses then.", hint
        )
    usd = cast("Money | None", extend.get("usd"))
    return Catch(
        on=_codes(values.get("on", ())),
        error=name,
        condition=values.get("if"),
        do=values.get("do", ()),
        then=cast('Literal["continue", "retry", "fail", "end"]', then),
        max_retries=values.get("max", 1) if then == "retry" else 0,
        extend_usd_nanos=usd.nanos if usd else None,
        extend_tokens=extend.get("tokens"),
        place=reading.place(node),
    )


def _step_catch(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> Catch:
    return _catch(values, reading, node, pointer, default="continue")


def _workflow_catch(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> Catch:
    return _catch(values, reading, node, pointer, default="fail")


def _catch_keys(then: Choice, default: str, doc: str) -> Mapping[str, Key]:
    return {
        "on": Key(CODES, "Codes of the errors that this clause handles; `any` or nothing: every error."),
        "as": Key(VARIABLE, "The error's name in this clause: {code, message, data, step}.", default="error"),
        "if": Key(Condition(), "Must be true as well."),
        "do": Key(StepList(), "The steps that handle it."),
        "then": Key(then, doc, default=default),
        "max": Key(Whole(1, 100), "With `then: retry`: how often at most.", default=1),
        "extend": Key(EXTEND, "With `then: retry`: raise a limit of the run first."),
    }


CATCH = Named(
    "catch",
    ListOf(
        Obj(
            "a catch clause",
            _catch_keys(
                Choice(("continue", "retry", "fail")),
                "continue",
                "`continue`: the step counts as done, with the result of `do`. `retry`: it runs again. `fail`: it fails.",
            ),
            _step_catch,
        ),
        low=1,
        unique=False,
    ),
)
WORKFLOW_CATCH = ListOf(
    Obj(
        "a catch clause",
        _catch_keys(
            Choice(("fail", "retry", "end")),
            "fail",
            "`fail`: the run fails after `do`. `retry`: the step that failed runs again. `end`: the run succeeds as it is.",
        ),
        _workflow_catch,
    ),
    low=1,
    unique=False,
)

ALWAYS: dict[str, Key] = {
    "description": Key(Text(), "What the step is for; shown to people."),
    "if": Key(Condition(), "The step is skipped, with null as its output, when this is false."),
    "catch": Key(CATCH, "What happens when the step fails for good; the first clause that matches is taken."),
    "compensate": Key(
        StepList(), "Undoes this step when a later one makes the run (or the `try` around it) fail."
    ),
    "on_fail": Key(ON_FAIL, "Go back to an earlier step when this one fails."),
    "needs": Key(
        ListOf(VARIABLE, single=True), "Branches of the same fork that must succeed before this one starts."
    ),
}
BOUNDED: dict[str, Key] = {
    **ALWAYS,
    "timeout": Key(Duration(), "How long the step may take, all its tries together."),
}
RETRIED: dict[str, Key] = {**BOUNDED, "retry": Key(RETRY, "How often to try when it fails.")}
OUTPUT: dict[str, Key] = {"output": Key(SCHEMA, "JSON Schema that the step's output must meet.")}


def _secret(values: dict[str, Any], _reading: Reading, _node: MapNode, _pointer: str) -> Any:
    return SecretRef(name=values.get("secret", ""), prefix=values.get("prefix", ""))


SECRET = Obj(
    "a secret",
    {
        "secret": Key(
            Text(
                "the name of an environment variable", pattern="[A-Za-z_][A-Za-z0-9_]*", example="OPS_TOKEN"
            ),
            "Name of the environment variable that holds it where MosAIc runs.",
            required=True,
        ),
        "prefix": Key(Text(may_be_empty=True), "Text before it, such as `Bearer `.", default=""),
    },
    _secret,
)
TEXT_OR_SECRET = OneOf((SECRET, Expression()), "text, or {secret: NAME}")
