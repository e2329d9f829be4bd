"""The steps that do something: one frozen value per kind. Import them from `mosaic.workflows.steps`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.workflows.expressions import ShellTemplate, Template, Value
from mosaic.workflows.step_base import Place, StepBase

__all__ = [
    "AgentStep",
    "AskStep",
    "Check",
    "EmitStep",
    "HttpStep",
    "ListenStep",
    "RunStep",
    "SecretRef",
    "SetStep",
    "ToolStep",
    "ValidateStep",
    "WaitStep",
    "WorkflowStep",
]


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
        task_kind: chooses among the agent's models per kind of task; those of its handoffs too, where they have it.
    """

    agent: str
    with_: Value | None = None
    tools: tuple[str, ...] | None = None
    max_turns: int | None = None
    policies: Mapping[str, str] | None = None
    task_kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStep(StepBase):
    """One tool call through the tool door. Output: the result's content. Default timeout: the tool's own; 3 attempts.

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
        quorum: how many different people must say yes; with ``majority``, how many must vote.
        counting: whether one no rejects (``veto``) or the larger side decides (``majority``).
        four_eyes: whoever the run belongs to may not say yes.
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
    quorum: int = 1
    counting: Literal["veto", "majority"] = "veto"
    four_eyes: bool = False
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
