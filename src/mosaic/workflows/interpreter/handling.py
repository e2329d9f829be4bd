"""`catch`: choosing the clause for a failure, running its block, and what follows."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mosaic.core.errors import ExpressionFailed
from mosaic.core.money import Money
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Outcome, Safety
from mosaic.events import NewEvent
from mosaic.workflows.interpreter.events import head
from mosaic.workflows.interpreter.failure import Failure
from mosaic.workflows.interpreter.frame import Done, Frame
from mosaic.workflows.interpreter.paths import child, numbered, tried
from mosaic.workflows.steps import Catch, Step

__all__ = ["Handling", "RunBlock", "Verdict", "choose", "handle"]

RunBlock: TypeAlias = Callable[[tuple[Step, ...], Frame], Awaitable[Done]]


@dataclass(frozen=True, slots=True)
class Handling:
    """Where a failure is handled.

    Attributes:
        clauses: in the order they are tried.
        path: of what failed.
        frame: the scope its clauses see.
        mark: tells this failure from others at that path (`paths.tag`); it names what is recorded here.
        retries: how often each clause (by path and position) has asked for another try.
    """

    clauses: tuple[Catch, ...]
    path: str
    frame: Frame
    mark: str
    retries: Counter[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a failure that was handled."""

    then: Literal["continue", "retry", "end"]
    output: JsonValue = None


def choose(where: Handling, failure: Failure) -> int | None:
    """Return the position of the first clause that fits; None when none does.

    Raises:
        Failure: if a clause's condition cannot be evaluated.
    """
    for index, clause in enumerate(where.clauses):
        if clause.on and failure.code not in clause.on:
            continue
        scope = where.frame.scope.new_child({clause.error: failure.variable()})
        try:
            if clause.condition is None or clause.condition.evaluate_bool(scope):
                return index
        except ExpressionFailed as error:
            raise Failure(error, step=failure.step, path=failure.path) from None
    return None


async def handle(where: Handling, failure: Failure, run_block: RunBlock) -> Verdict:
    """Let the first clause that fits handle `failure`; `run_block` runs its block.

    Raises:
        Failure: the same one if no clause fits or the clause says that it stands; a new one if its block failed.
    """
    index = choose(where, failure)
    if index is None:
        raise failure
    clause, key = where.clauses[index], (where.path, index)
    if clause.then == "retry" and where.retries[key] >= clause.max_retries:
        raise failure
    await _journal(where, index, failure)
    if clause.then in ("continue", "end"):
        where.frame.run.visits_of(where.path).settled = True
    output = await _run(where, index, failure, run_block)
    await _extend(where, index)
    if clause.then == "fail":
        raise failure
    if clause.then == "retry":
        where.retries[key] += 1
        if not await _pay(where, index, failure):
            failure.error.data["retries"] = "budget_empty"
            raise failure
        return Verdict("retry")
    return Verdict(clause.then, output)


def _name(where: Handling, index: int, what: str) -> str:
    return numbered(f"catch{index}/{what}", where.mark)


async def _journal(where: Handling, index: int, failure: Failure) -> None:
    clause = where.clauses[index]
    data = {"clause": index, "then": clause.then, "code": failure.code, "message": failure.error.message}
    event = NewEvent("step.caught", {**head(where.path), **data}, path=where.path)
    await where.frame.run.at(where.path).emit(event, name=_name(where, index, "caught"))


async def _run(where: Handling, index: int, failure: Failure, run_block: RunBlock) -> JsonValue:
    clause = where.clauses[index]
    path = tried(child(where.path, f"catch{index}"), where.mark)
    frame = where.frame.inside(path, {clause.error: failure.variable()})
    try:
        return (await run_block(clause.do, frame)).output
    except Failure as second:
        second.error.data.setdefault(
            "while_handling", {"code": failure.code, "message": failure.error.message}
        )
        raise


async def _extend(where: Handling, index: int) -> None:
    """Raise the run's budget, once, if the clause says so."""
    clause = where.clauses[index]
    if clause.extend_usd_nanos is None and clause.extend_tokens is None:
        return
    run = where.frame.run
    usd = Money(clause.extend_usd_nanos) if clause.extend_usd_nanos is not None else None

    async def extend(_: EffectCall) -> Outcome:
        writes = run.services.budgets.extension(run.ctx, run.id, usd=usd, tokens=clause.extend_tokens)
        shown = {"usd": str(usd) if usd else None, "tokens": clause.extend_tokens, "clause": index}
        return Outcome(
            None, events=(NewEvent("budget.extended", shown, path=where.path),), writes=tuple(writes)
        )

    await run.at(where.path).effect(_name(where, index, "extend"), extend, safety=Safety.REPEATABLE)


async def _pay(where: Handling, index: int, failure: Failure) -> bool:
    """Take one retry from the run's budget, and journal it."""
    effects, clause, name = where.frame.run.at(where.path), where.clauses[index], _name(where, index, "retry")
    shown: JsonObject = {
        **head(where.path),
        "by": "catch",
        "attempt": where.retries[where.path, index],
        "max": clause.max_retries,
        "reason": failure.error.message,
        "code": failure.code,
    }

    async def pay(_: EffectCall) -> Outcome:
        left = await effects.take_retry(name)
        if left is None:
            return Outcome(None)
        event = NewEvent("step.retrying", {**shown, "budget_left": left}, path=where.path)
        return Outcome(left, events=(event,))

    return await effects.effect(name, pay, safety=Safety.REPEATABLE) is not None
