"""The steps that order other steps or agents: one frozen value per kind. Import them from `mosaic.workflows.steps`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mosaic.workflows.expressions import Template, Value
from mosaic.workflows.step_base import StepBase

__all__ = [
    "Case",
    "DoStep",
    "ForStep",
    "ForkStep",
    "HandoffStep",
    "Join",
    "SwitchStep",
    "TryStep",
    "VoteRule",
    "VoteStep",
    "WhileStep",
]

VoteRule = Literal["majority", "two_thirds", "unanimous", "weighted", "ranked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoStep(StepBase):
    """A block with a scope of its own. Output: the block's result."""

    do: tuple[StepBase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForStep(StepBase):
    """The block once per item. Output: the list of the blocks' results, in item order.

    With `needs` it is a DAG: an item starts when the items it needs have finished; their results are visible in
    its block as ``needed``, an object by item key (empty without `needs`). A cycle, an unknown key or two items
    with one key raise `InvalidInput` naming them before any item starts. The first failure cancels the other items.

    Attributes:
        each: name of the item in the block.
        index: name of the item's position (from 0) in the block, or None.
        items: `in:`; evaluates to a list, or to an object (each item is then ``{"key", "value"}``).
        key: `id:`; evaluates (with the item in scope) to the item's key. None = the item's ``id`` or ``name`` if it is
            an object that has one, else its position as text.
        needs_: `needs:`; evaluates (with the item in scope) to a list of keys, or null.
        parallel: how many items at once; 1 = one after the other.
        max_items: more raise `LimitExceeded` before any starts.
    """

    each: str
    index: str | None
    items: Value
    key: Template | None
    needs_: Value | None
    parallel: int
    max_items: int
    do: tuple[StepBase, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """When a fork is done.

    Attributes:
        mode: ``all``: every branch succeeded; the first failure cancels the rest and fails the step.
            ``any``: the first success; ``quorum``: `quorum` successes. For these the rest is cancelled, and the
            step fails only when too few branches can still succeed.
        quorum: how many successes are needed: len(branches) for ``all``, 1 for ``any``.
    """

    mode: Literal["all", "any", "quorum"]
    quorum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkStep(StepBase):
    """Branches at the same time. Output: object of branch name -> output (``None`` for a branch that did not finish).

    Attributes:
        branches: each one step, named by its key; `StepBase.needs` makes them a DAG (no cycles: checked).
    """

    branches: tuple[StepBase, ...]
    join: Join


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `do` runs when `when` is true. An empty `do` is ``continue``."""

    when: Template
    do: tuple[StepBase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStep(StepBase):
    """The first case that is true. Output: its block's result; ``None`` when it has none.

    Attributes:
        default: when no case is true: a block, ``()`` = continue, or None = the file says ``default: fail``
            (raises `StepFailed`). A switch without a default has ``()``.
    """

    cases: tuple[Case, ...]
    default: tuple[StepBase, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TryStep(StepBase):
    """A block whose failure is handled by `StepBase.catch`. Output: the block's result, or the catch block's.

    Attributes:
        do: `try:`.
        finally_: runs after the block and its catch, in every case but cancellation; its output is dropped.
    """

    do: tuple[StepBase, ...]
    finally_: tuple[StepBase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhileStep(StepBase):
    """Bounded iteration. Output: the result of the last iteration's block; ``None`` if there was none.

    `condition_` is evaluated before each iteration. Both it and the block see ``iteration`` (0 for the first) and
    the outputs of the block's steps in the iteration before, by name; before the first iteration those names
    are what the enclosing scope has under that name, else ``None``. Inside the block a step that ran in this iteration
    replaces its value. (So a step in the block may have the name of a step outside: it hides it inside.)

    Attributes:
        condition_: `while:`; must be a bool.
        max: iterations at most.
        on_max: when `max` iterations ran and the condition is still true: ``continue`` (default) or ``fail`` (`LimitExceeded`).
    """

    condition_: Template
    max: int
    on_max: Literal["continue", "fail"]
    do: tuple[StepBase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffStep(StepBase):
    """A group of agents that hand control to each other until one answers. Output: that answer, as for `AgentStep`.

    Attributes:
        start: the agent that begins; one of `among`.
        among: the agents of the group. An agent may hand off to its own `AgentSpec.handoffs` inside the group, or to
            everyone in the group when it lists none.
        max_turns: handoffs plus one at most; the next raises `LimitExceeded`.
        with_: the first prompt, as for `AgentStep`.
    """

    start: str
    among: tuple[str, ...]
    max_turns: int
    with_: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteStep(StepBase):
    """Agents decide together.

    Output: ``{"decision": choice | None, "passed": bool, "votes": [{"agent", "choice" | "ranking", "reason"}],
    "tally": {choice: number}}``. No winner (a tie, or the rule not met): ``decision`` None and ``passed`` false.

    Attributes:
        rule: ``majority`` more than half of the votes cast; ``two_thirds`` at least two thirds; ``unanimous``
            all; ``weighted`` more than half of the weight cast; ``ranked`` instant run-off over rankings.
        choices: what is voted on; default ``("approve", "reject")``.
        weights: by agent, for ``weighted``; else empty.
        quorum: votes that must be cast (an agent that failed casts none), else `StepFailed`; default: all.
        with_: the question put to every agent, as for `AgentStep`.
    """

    agents: tuple[str, ...]
    rule: VoteRule
    choices: tuple[str, ...]
    weights: Mapping[str, float]
    quorum: int
    with_: Value | None = None
