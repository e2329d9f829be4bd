"""What every step of a workflow has, and what happens when one fails."""

from dataclasses import dataclass
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.workflows.expressions import Template

__all__ = ["Catch", "OnFail", "Place", "Retry", "StepBase"]


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
    do: "tuple[StepBase, ...]"
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
    compensate: "tuple[StepBase, ...]" = ()
    on_fail: OnFail | None = None
    needs: tuple[str, ...] = ()
    output_schema: JsonObject | None = None
