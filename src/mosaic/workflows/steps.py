"""The steps of a workflow: one frozen value per step kind. Import them from `mosaic.workflows.schemas`.

Scope, for the interpreter. An expression sees, innermost first:

* the outputs of earlier steps in the same block, by step name (a step that was skipped by `if:` is ``None``);
* what the enclosing construct adds (`ForStep.each`, `ForStep.index`, ``iteration``, ``value``, `Catch.error`);
* the same of every enclosing block (names of a nested block are *not* visible outside it);
* ``inputs`` (with defaults filled in), ``run`` (`RUN_FIELDS`), and ``feedback``.

``feedback`` is ``None`` until an `OnFail` jump happened in the block; then it is
``{"step": name, "attempt": n, "message": text, "data": {...}}`` of the failure that caused the jump (``attempt``
counts from 1). An `AgentStep` that runs after a jump and whose `with_` does not mention ``feedback`` gets the
feedback's message appended to its prompt.

Result of a block (a list of steps) = output of the last step that ran in it; ``None`` when none ran.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mosaic.core.values import JsonObject
from mosaic.workflows.expressions import ShellTemplate, Template, Value

__all__ = [
    "RUN_FIELDS",
    "AgentStep",
    "AskStep",
    "Case",
    "Catch",
    "Check",
    "DoStep",
    "EmitStep",
    "ForStep",
    "ForkStep",
    "HandoffStep",
    "HttpStep",
    "Join",
    "ListenStep",
    "OnFail",
    "Place",
    "Retry",
    "RunStep",
    "SecretRef",
    "SetStep",
    "Step",
    "StepBase",
    "SwitchStep",
    "ToolStep",
    "TryStep",
    "ValidateStep",
    "VoteRule",
    "VoteStep",
    "WaitStep",
    "WhileStep",
    "WorkflowStep",
]

RUN_FIELDS = ("id", "workflow", "version")
"""What the variable ``run`` holds: the run's id, the workflow's name and its version."""

VoteRule = Literal["majority", "two_thirds", "unanimous", "weighted", "ranked"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an effect is tried. Every further try also takes one from the run's one retry budget.

    Attributes:
        attempts: tries in all; 1 means no retry.
        delay_s: seconds before the second try.
        factor: by which the delay grows each time.
        max_delay_s: the longest delay.
        jitter: share of the delay that is random, 0 to 1.
        on: error codes to retry; empty = the errors that say they are retryable.
    """

    attempts: int = 3
    delay_s: float = 1.0
    factor: float = 2.0
    max_delay_s: float = 30.0
    jitter: float = 0.2
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catch:
    """What happens when a step, a `try` block or the run fails.

    The first clause whose `on` and `condition` match is taken. ``Cancelled`` and ``Fenced`` are never caught.

    Attributes:
        on: error codes of `mosaic.core.errors` (for a `StepFailed` the code of its reason); empty = any.
        error: the name under which the error is visible in `condition` and `do`, as
            ``{"code", "message", "data", "step"}`` (`step` = name of the step that failed).
        condition: must be true as well, when given.
        do: the steps that handle it; may be empty.
        then: what follows `do`. ``continue``: the failed step counts as done, its output is the result of `do`.
            ``retry``: the failed step (or `try` block) runs once more, at most `max_retries` times; then the
            failure stands. ``fail``: the failure stands. ``end``: (workflow level only) the run ends
            successfully; in `outputs` every step that did not finish is ``None``.
            On workflow level ``retry`` re-runs the top-level step that failed; ``continue`` does not occur.
        extend_usd_nanos: raises the run's money limit by so much before `then` (for ``budget_exceeded``).
        extend_tokens: raises the run's token limit likewise.
    """

    on: tuple[str, ...]
    error: str
    condition: Template | None
    do: "tuple[Step, ...]"
    then: Literal["continue", "retry", "fail", "end"]
    max_retries: int
    extend_usd_nanos: int | None
    extend_tokens: int | None
    place: Place


@dataclass(frozen=True, slots=True)
class OnFail:
    """Jump back: when the step fails (and no retry is left), go on at `goto`, a step before it or itself.

    Attributes:
        goto: name of an earlier step in the same block (or of the step itself).
        max: how many jumps at most in one execution of the block; then the failure stands (and `catch` applies).
    """

    goto: str
    max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBase:
    """What every step has.

    Attributes:
        name: unique in its block; its output is bound to it.
        path: static path of the step, unique in the definition: the names of the enclosing steps joined by
            ``/``, such as ``build/code``. Blocks other than a plain `do` add a segment so that it is unique:
            ``case0``, ``default``, ``catch0``, ``finally``, ``compensate``; the workflow's own catch is
            ``catch0/<name>``. The interpreter adds iteration numbers, as in ``build[2]/code``.
        place: where it stands in its file.
        description: for people; may be empty.
        condition: `if:`; false = the step is skipped, its output is ``None``, and it is not "the last that ran".
        retry: None = this kind of step is never retried as a whole (control words, ask, listen, wait, set, emit).
        timeout_s: seconds for the whole step, every try included its own; None = no bound of its own.
            Passing it raises `TimedOut`. Filled with the kind's default.
        catch: clauses tried in order when the step failed for good (after retry and `on_fail`).
        compensate: steps that undo this one (saga). When this step succeeded and later the enclosing `try`
            block or the run fails, the compensations of all finished steps run in reverse order of finishing,
            before the `catch` clauses of that `try` (or run). They see what the step saw, its output under its
            own name, and the failure as ``error``.
        on_fail: jump back.
        needs: names of sibling branches that must succeed before this branch of a `ForkStep` starts; their
            outputs are visible in it. Empty everywhere else.
        output_schema: JSON Schema (draft 2020-12, self-contained: no outside ``$ref``) the output must meet;
            else `ContractViolation`. For an `AgentStep` it overrides the agent's own.
    """

    name: str
    path: str
    place: Place
    description: str = ""
    condition: Template | None = None
    retry: Retry | None = None
    timeout_s: float | None = None
    catch: tuple[Catch, ...] = ()
    compensate: "tuple[Step, ...]" = ()
    on_fail: OnFail | None = None
    needs: tuple[str, ...] = ()
    output_schema: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStep(StepBase):
    """One agent works until it has an answer.

    Output: the value of the output schema when there is one (the step's, else the agent's), else the answer's text.

    Attributes:
        agent: key into `Definition.agents`.
        with_: the prompt. Text is sent as it is; any other JSON value as JSON. None = the agent's instructions
            and the previous step's output (JSON unless text), or ``inputs`` for the first step.
        tools: narrows the agent's tools for this step; None = all of the agent's.
        max_turns: overrides the agent's.
        policies: narrows the policies for this step; see `Definition.policies`.
    """

    agent: str
    with_: Value | None = None
    tools: tuple[str, ...] | None = None
    max_turns: int | None = None
    policies: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep(StepBase):
    """One tool call through the tool door. Output: the result's content. Default timeout 30 s, 3 attempts.

    Attributes:
        tool: name of a tool: a key of `Definition.tools`, ``<key>.<tool>`` of an MCP server entry, or a built-in.
        with_: the arguments; evaluates to an object (``{}`` when absent).
    """

    tool: str
    with_: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep(StepBase):
    """One command in the run's workspace, sandboxed (risk class of ``shell.run``; policy ``exec``).

    Output: ``{"exit_code": int, "stdout": str, "stderr": str, "truncated": bool}`` and, when `parse` is
    ``json`` or ``lines``, ``"value"``. Any exit code not in `ok` raises `ToolFailed` with that object in `data`.
    Default timeout 300 s; attempts 1 (a command may not be safe to repeat).

    Attributes:
        shell: a script for ``sh -c``; values are passed as environment variables, never pasted into the text.
        argv: a program and its arguments, no shell. Exactly one of `shell` and `argv` is set.
        env: added environment variables; values become text.
        cwd: directory inside the workspace; None = its top.
        stdin: text given on standard input.
        ok: exit codes that count as success.
        parse: what to make of stdout: ``text`` nothing, ``lines`` a list, ``json`` a value (`ContractViolation` if it is none).
    """

    shell: ShellTemplate | None = None
    argv: tuple[Template, ...] | None = None
    env: Mapping[str, Template]
    cwd: Template | None = None
    stdin: Template | None = None
    ok: tuple[int, ...] = (0,)
    parse: Literal["text", "lines", "json"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a `ValidateStep`.

    Attributes:
        kind: ``run``: the command exits with 0. ``schema``: `value` (or the JSON/YAML file `file` in the
            workspace) meets `schema`. ``expect``: the condition is true; it may use ``value``.
        name: shown in reports; defaults to the command, the schema's file or the expression.
        message: said when the check fails; may use expressions.
    """

    kind: Literal["run", "schema", "expect"]
    name: str
    place: Place
    shell: ShellTemplate | None = None
    argv: tuple[Template, ...] | None = None
    timeout_s: float = 300.0
    schema: JsonObject | None = None
    file: Template | None = None
    expect: Template | None = None
    message: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateStep(StepBase):
    """Checks that all must pass; every check runs even when an earlier one failed.

    Output: the value that was checked, so that a block that ends in a check yields what was checked.
    A failure raises `ContractViolation` with ``data={"checks": [{"name", "kind", "passed", "message",
    "output"?}]}`` (`output`: tail of the command's output, bounded) and a message that names the failed checks.

    Attributes:
        value: what is checked; None = the output of the step before it in the block (``inputs`` if it is the
            first). Visible to `Check.expect`, `Check.message` and commands' expressions as ``value``.
    """

    checks: tuple[Check, ...]
    value: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskStep(StepBase):
    """A person decides; the run waits durably.

    Output: ``{"approved": bool, "answer": <value or None>, "note": str | None, "decided_by": str | None,
    "timed_out": bool}``.

    Attributes:
        question: None = "<name>: go on?".
        detail: shown with the question: any JSON value.
        roles: who may decide; empty = anyone who may approve in the project.
        choices: answers to pick from; the pick is `answer`. Empty = approve or reject.
        answer_schema: JSON Schema of `answer`; None = free (with `choices`: one of them).
        wait_s: seconds to wait; None = for ever.
        on_timeout: ``fail`` raises `TimedOut`; ``approve`` and ``reject`` (``deny`` in the file is the same)
            decide with ``timed_out`` true.
        on_reject: ``fail`` raises `PolicyDenied`; ``continue`` goes on with ``approved`` false.
    """

    question: Template | None = None
    detail: Value | None = None
    roles: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    answer_schema: JsonObject | None = None
    wait_s: float | None = None
    on_timeout: Literal["fail", "approve", "reject"] = "fail"
    on_reject: Literal["fail", "continue"] = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowStep(StepBase):
    """A child run of another definition. Output: its outputs. A failed child raises its error.

    Attributes:
        workflow: key into `Definition.children`.
        with_: the child's inputs; evaluates to an object (``{}`` when absent).
    """

    workflow: str
    with_: Value | None = None


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A secret by name, resolved by the node at the moment of the call; never in scope, never journaled.

    Attributes:
        name: name of the environment variable (or of the secret store's entry).
        prefix: put before the value, such as ``"Bearer "``.
    """

    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpStep(StepBase):
    """One HTTP request. Risk class external_api; policy ``network``. Default timeout 30 s, 3 attempts.

    Output: ``{"status": int, "headers": {lower-case name: value}, "body": JSON value or text}``. A status outside
    `ok` raises `ToolFailed` (408, 429 and 5xx: `Unavailable`, retryable). GET, HEAD and OPTIONS may be
    repeated; the others carry an ``Idempotency-Key`` header.

    Attributes:
        ok: accepted statuses; empty = 200 to 299.
        body: JSON body, or text when it evaluates to text.
    """

    method: str
    url: Template
    headers: Mapping[str, "Template | SecretRef"]
    query: Mapping[str, Template]
    body: Value | None = None
    ok: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitStep(StepBase):
    """Writes an event ``workflow.<event>`` into the journal. Output: the data."""

    event: str
    data: Value | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenStep(StepBase):
    """Waits durably for a signal sent to the run.

    Output: the signal's payload; ``None`` after a timeout with ``on_timeout: continue``.

    Attributes:
        signal: the signal's name.
        payload_schema: JSON Schema the payload must meet; else `ContractViolation`.
        wait_s: seconds to wait; None = for ever.
        on_timeout: ``fail`` raises `TimedOut`.
    """

    signal: Template
    payload_schema: JsonObject | None = None
    wait_s: float | None = None
    on_timeout: Literal["fail", "continue"] = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(StepBase):
    """A durable timer. Output: None. Exactly one is set.

    Attributes:
        duration: evaluates to a duration text (``1h30m``, see `parse_duration`) or a number of seconds.
        until: evaluates to an RFC 3339 time; a time in the past does not wait.
    """

    duration: Template | None = None
    until: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStep(StepBase):
    """Output: `value`, evaluated."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class DoStep(StepBase):
    """A block with a scope of its own. Output: the block's result."""

    do: "tuple[Step, ...]"


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
    do: "tuple[Step, ...]"


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

    branches: "tuple[Step, ...]"
    join: Join


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `do` runs when `when` is true. An empty `do` is ``continue``."""

    when: Template
    do: "tuple[Step, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStep(StepBase):
    """The first case that is true. Output: its block's result; ``None`` when it has none.

    Attributes:
        default: when no case is true: a block, ``()`` = continue, or None = the file says ``default: fail``
            (raises `StepFailed`). A switch without a default has ``()``.
    """

    cases: tuple[Case, ...]
    default: "tuple[Step, ...] | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class TryStep(StepBase):
    """A block whose failure is handled by `StepBase.catch`. Output: the block's result, or the catch block's.

    Attributes:
        do: `try:`.
        finally_: runs after the block and its catch, in every case but cancellation; its output is dropped.
    """

    do: "tuple[Step, ...]"
    finally_: "tuple[Step, ...]"


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
    do: "tuple[Step, ...]"


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


Step: TypeAlias = (
    AgentStep
    | ToolStep
    | RunStep
    | ValidateStep
    | AskStep
    | WorkflowStep
    | HttpStep
    | EmitStep
    | ListenStep
    | WaitStep
    | SetStep
    | DoStep
    | ForStep
    | ForkStep
    | SwitchStep
    | TryStep
    | WhileStep
    | HandoffStep
    | VoteStep
)
