"""The kinds of step that order other steps or agents."""

from typing import Any

from mosaic.workflows.control_steps import (
    Case,
    DoStep,
    ForkStep,
    ForStep,
    HandoffStep,
    Join,
    SwitchStep,
    TryStep,
    VoteStep,
    WhileStep,
)
from mosaic.workflows.expressions import Template, Value
from mosaic.workflows.language.action_kinds import AGENT_NAME, WITH
from mosaic.workflows.language.nodes import MapNode
from mosaic.workflows.language.reading import Reading, join_pointer
from mosaic.workflows.language.shapes import (
    AnyValue,
    Choice,
    Condition,
    Expression,
    Key,
    ListOf,
    MapOf,
    Number,
    Obj,
    OneOf,
    Text,
    Whole,
)
from mosaic.workflows.language.step_keys import BOUNDED, CATCH, OUTPUT, RETRIED, VARIABLE
from mosaic.workflows.language.step_shapes import Branches, Kind, StepList, name_problem
from mosaic.workflows.spelling import nearest

__all__ = ["CONTROLS"]

_NONE = Template("", ())


def _do(own: dict[str, Any], common: dict[str, Any]) -> DoStep:
    return DoStep(do=own.get("do", ()), **common)


def _for(own: dict[str, Any], common: dict[str, Any]) -> ForStep:
    found = own.get("for", {})
    return ForStep(
        each=found.get("each", ""),
        index=found.get("index"),
        items=found.get("in") or Value([]),
        key=found.get("id"),
        needs_=found.get("needs"),
        parallel=found.get("parallel", 1),
        max_items=found.get("max", 1000),
        do=own.get("do", ()),
        **common,
    )


def _for_object(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> dict[str, Any]:
    for key in ("each", "index"):
        problem = name_problem(values[key]) if values.get(key) else None
        if problem:
            reading.complain_at(join_pointer(pointer, key), f"{problem[0]}.", problem[1])
    if values.get("each") and values.get("each") == values.get("index"):
        reading.complain_at(join_pointer(pointer, "index"), "`each` and `index` need two names.")
    if "in" in values:
        _must_be(
            values["in"],
            (list, dict),
            reading,
            join_pointer(pointer, "in"),
            "a list, or an expression for one",
        )
    if "needs" in values:
        what = "an expression for the keys of other items, such as `${task.needs}`"
        _must_be(values["needs"], (), reading, join_pointer(pointer, "needs"), what)
    if "id" in values and "needs" not in values:
        message = "`id` names the items for `needs`, which is not here."
        reading.complain_at(join_pointer(pointer, "id"), message, "add `needs`, or leave it out")
    return values


def _must_be(value: Value, kinds: tuple[type, ...], reading: Reading, pointer: str, expected: str) -> None:
    tree = value.tree
    if isinstance(tree, kinds) or (isinstance(tree, Template) and (tree.is_whole or not tree.parts)):
        return
    hint = f"write `${{{tree}}}`" if isinstance(tree, str) and tree else None
    reading.complain_at(pointer, f"This must be {expected}.", hint)


def _fork(own: dict[str, Any], common: dict[str, Any]) -> ForkStep:
    branches = own.get("fork", ())
    join = own.get("join", "all")
    count = len(branches)
    if isinstance(join, str):
        return ForkStep(branches=branches, join=Join(join, count if join == "all" else 1), **common)  # type: ignore[arg-type]
    quorum = join.get("quorum", 1)
    if quorum > count:
        place = join_pointer(join_pointer(own["_pointer"], "join"), "quorum")
        message = f"`quorum` is {quorum}, but the fork has only {count} branches."
        own["_reading"].complain_at(place, message, f"at most {count}")
    return ForkStep(branches=branches, join=Join("quorum", quorum), **common)


def _case(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> tuple[str, Any]:
    if "default" in values:
        for key in ("when", "do"):
            if key in values:
                message = f"`default` stands alone; `{key}` does not belong to it."
                reading.complain_at(join_pointer(pointer, key), message, "put the steps below `default:`")
        return "default", values["default"]
    for key in ("when", "do"):
        if key not in values and "when" in node.entries:
            reading.complain(
                node, pointer, f"The key `{key}` is missing in this case.", "a case is {when: ..., do: [...]}"
            )
    return "case", Case(when=values.get("when", _NONE), do=values.get("do", ()))


CASE = Obj(
    "a case",
    {
        "when": Key(Condition(), "The case is taken when this is true."),
        "do": Key(StepList(), "The steps of the case."),
        "default": Key(
            OneOf((Choice(("continue", "fail")), StepList()), "`continue`, `fail` or a list of steps"),
            "What happens when no case is true: steps, `continue` (nothing) or `fail`.",
        ),
    },
    _case,
    any_of=("when", "default"),
    example="{when: ..., do: [...]}",
)


def _switch(own: dict[str, Any], common: dict[str, Any]) -> SwitchStep:
    reading, pointer = own["_reading"], join_pointer(own["_pointer"], "switch")
    cases: list[Case] = []
    default: Any = "continue"
    found = own.get("switch", ())
    for index, (kind, value) in enumerate(found):
        if kind == "case":
            cases.append(value)
            continue
        default = value
        if index < len(found) - 1:
            message = "`default` comes last: the cases after it would never be looked at."
            reading.complain_at(join_pointer(pointer, index), message)
    steps = {"continue": (), "fail": None}.get(default, ()) if isinstance(default, str) else default
    return SwitchStep(cases=tuple(cases), default=steps, **common)


def _try(own: dict[str, Any], common: dict[str, Any]) -> TryStep:
    if "catch" not in common and "finally" not in own:
        reading: Reading = own["_reading"]
        reading.complain(
            own["_node"], own["_pointer"], "A `try` needs `catch` or `finally`.", "or write `do:`"
        )
    return TryStep(do=own.get("try", ()), finally_=own.get("finally", ()), **common)


def _while(own: dict[str, Any], common: dict[str, Any]) -> WhileStep:
    return WhileStep(
        condition_=own.get("while", _NONE),
        max=own.get("max", 3),
        on_max=own.get("on_max", "continue"),
        do=own.get("do", ()),
        **common,
    )


def _handoff(own: dict[str, Any], common: dict[str, Any]) -> HandoffStep:
    found = own.get("handoff", {})
    return HandoffStep(
        start=found.get("start", ""),
        among=found.get("among", ()),
        max_turns=found.get("max_turns", 12),
        with_=own.get("with"),
        **common,
    )


def _handoff_object(values: dict[str, Any], reading: Reading, _node: MapNode, pointer: str) -> dict[str, Any]:
    start, among = values.get("start"), values.get("among", ())
    if start and among and start not in among:
        message = f"`start` names `{start}`, which is not in `among`."
        reading.complain_at(join_pointer(pointer, "start"), message, nearest(start, among))
    return values


def _vote(own: dict[str, Any], common: dict[str, Any]) -> VoteStep:
    found = own.get("vote", {})
    agents = found.get("agents", ())
    return VoteStep(
        agents=agents,
        rule=found.get("rule", "majority"),
        choices=found.get("choices", ("approve", "reject")),
        weights=found.get("weights", {}),
        quorum=found.get("quorum", len(agents)),
        with_=own.get("with"),
        **common,
    )


def _vote_object(values: dict[str, Any], reading: Reading, node: MapNode, pointer: str) -> dict[str, Any]:
    agents, rule, weights = (
        values.get("agents", ()),
        values.get("rule", "majority"),
        values.get("weights", {}),
    )
    if values.get("quorum", 1) > len(agents) > 0:
        message = f"`quorum` is {values['quorum']}, but only {len(agents)} agents vote."
        reading.complain_at(join_pointer(pointer, "quorum"), message, f"at most {len(agents)}")
    if weights and rule != "weighted":
        reading.complain_at(
            join_pointer(pointer, "weights"), f"The rule `{rule}` has no weights.", "write `rule: weighted`"
        )
    if rule == "weighted":
        for name in (name for name in agents if name not in weights):
            reading.complain(
                node, pointer, f"The rule `weighted` needs a weight for `{name}`.", f"weights: {{{name}: 1}}"
            )
    for name in (name for name in weights if agents and name not in agents):
        place = join_pointer(join_pointer(pointer, "weights"), name)
        reading.complain_at(place, f"`{name}` has a weight, but does not vote.", nearest(name, agents))
    if rule == "ranked" and "choices" not in values:
        message = "The rule `ranked` needs `choices` to rank."
        reading.complain_at(join_pointer(pointer, "rule"), message, "choices: [first, second, third]")
    return values


FOR = Obj(
    "a `for`",
    {
        "each": Key(VARIABLE, "Name of the item in the steps.", required=True),
        "in": Key(AnyValue(), "The items: a list, or an expression for one.", required=True),
        "index": Key(VARIABLE, "Name of the item's position, from 0."),
        "needs": Key(
            AnyValue(), "Expression for the keys of the items that must be finished before this one."
        ),
        "id": Key(
            Expression(), "Expression for the item's key; default: its `id` or `name`, else its position."
        ),
        "parallel": Key(Whole(1, 1000), "Items at the same time.", default=1),
        "max": Key(Whole(1, 100_000), "Items at most; more fail the step.", default=1000),
    },
    _for_object,
    example='{each: task, in: "${plan.tasks}"}',
)
JOIN = OneOf(
    (
        Choice(("all", "any")),
        Obj(
            "a join",
            {"quorum": Key(Whole(1, 1000), "So many branches must succeed.", required=True)},
            lambda values, _reading, _node, _pointer: values,
        ),
    ),
    "`all`, `any` or {quorum: 2}",
)
HANDOFF = Obj(
    "a handoff",
    {
        "start": Key(AGENT_NAME, "The agent that begins.", required=True),
        "among": Key(ListOf(AGENT_NAME, low=2), "The agents of the group.", required=True),
        "max_turns": Key(Whole(1, 1000), "Turns of the group at most.", default=12),
    },
    _handoff_object,
    example="{start: planner, among: [planner, architect]}",
)
VOTE = Obj(
    "a vote",
    {
        "agents": Key(ListOf(AGENT_NAME, low=2), "Who votes.", required=True),
        "rule": Key(
            Choice(("majority", "two_thirds", "unanimous", "weighted", "ranked")),
            "What it takes to win.",
            default="majority",
        ),
        "choices": Key(ListOf(Text(), low=2), "What is voted on.", default=["approve", "reject"]),
        "weights": Key(MapOf(Number(0, 1_000_000)), "Weight of each agent's vote, for `weighted`."),
        "quorum": Key(Whole(1, 1000), "Votes that must be cast; default: all."),
    },
    _vote_object,
    example="{agents: [a, b, c]}",
)

CONTROLS: tuple[Kind, ...] = (
    Kind(
        "for",
        "The block once per item, some at a time; with `needs` in the order of a graph. Output: list of results.",
        {
            "for": Key(FOR, "What to go through.", required=True),
            "do": Key(StepList(), "The block.", required=True),
        },
        {**BOUNDED, **OUTPUT},
        _for,
    ),
    Kind(
        "while",
        "The block again and again while a condition is true. Output: the result of the last time.",
        {
            "while": Key(Condition(), "Looked at before each time.", required=True),
            "do": Key(StepList(), "The block.", required=True),
            "max": Key(Whole(1, 1000), "Times at most.", default=3),
            "on_max": Key(
                Choice(("continue", "fail")),
                "What happens when it is still true after `max` times.",
                default="continue",
            ),
        },
        {**BOUNDED, **OUTPUT},
        _while,
    ),
    Kind(
        "fork",
        "Branches at the same time. Output: {branch: its output}.",
        {
            "fork": Key(Branches(), "The branches: each one step.", required=True),
            "join": Key(
                JOIN, "How many must succeed: `all`, `any` (the first) or {quorum: n}.", default="all"
            ),
        },
        {**BOUNDED, **OUTPUT},
        _fork,
    ),
    Kind(
        "switch",
        "The first case that is true. Output: its result.",
        {"switch": Key(ListOf(CASE, low=1, unique=False), "The cases, then `default`.", required=True)},
        {**BOUNDED, **OUTPUT},
        _switch,
    ),
    Kind(
        "try",
        "A block whose failure is handled. Output: its result, or that of the clause that handled the failure.",
        {
            "try": Key(StepList(), "The block.", required=True),
            "catch": Key(CATCH, "What happens when the block fails; the first clause that matches is taken."),
            "finally": Key(StepList(), "Runs after it in every case."),
        },
        {**BOUNDED, **OUTPUT},
        _try,
    ),
    Kind(
        "handoff",
        "A group of agents that hand over to each other until one answers. Output: the answer.",
        {"handoff": Key(HANDOFF, "The group.", required=True), "with": Key(WITH.shape, "The first prompt.")},
        {**RETRIED, **OUTPUT},
        _handoff,
    ),
    Kind(
        "vote",
        "Agents decide together. Output: {decision, passed, votes, tally}.",
        {"vote": Key(VOTE, "Who votes, and how.", required=True), "with": Key(WITH.shape, "The question.")},
        RETRIED,
        _vote,
    ),
    Kind(
        "do",
        "A block with names of its own. Output: the output of the last step that ran.",
        {"do": Key(StepList(), "The block.", required=True)},
        {**BOUNDED, **OUTPUT},
        _do,
    ),
)
