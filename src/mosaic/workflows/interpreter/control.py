"""What the control words do: do, switch, while, for, fork, try."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from mosaic.core.errors import InvalidInput, LimitExceeded, StepFailed
from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.interpreter.block import run_block
from mosaic.workflows.interpreter.branches import Branches
from mosaic.workflows.interpreter.failure import Failure
from mosaic.workflows.interpreter.frame import Done, Here
from mosaic.workflows.interpreter.graph import check_needs
from mosaic.workflows.interpreter.handling import Handling, handle
from mosaic.workflows.interpreter.paths import child, item, iteration, tag, tried
from mosaic.workflows.interpreter.saga import UndoLog
from mosaic.workflows.interpreter.undoing import compensate
from mosaic.workflows.steps import DoStep, ForkStep, ForStep, SwitchStep, TryStep, WhileStep

__all__ = ["run_do", "run_for", "run_fork", "run_switch", "run_try", "run_while"]


async def run_do(step: DoStep, here: Here) -> JsonValue:
    """Run the block."""
    return (await run_block(step.do, here.block(here.path))).output


async def run_switch(step: SwitchStep, here: Here) -> JsonValue:
    """Run the first case that is true."""
    for index, case in enumerate(step.cases):
        if case.when.evaluate_bool(here.scope):
            return (await run_block(case.do, here.block(child(here.path, f"case{index}")))).output
    if step.default is None:
        raise StepFailed(f"No case of {here.path!r} is true.", hint="Add a case, or a `default`.")
    return (await run_block(step.default, here.block(child(here.path, "default")))).output


async def run_while(step: WhileStep, here: Here) -> JsonValue:
    """Run the block while the condition holds, at most `max` times."""
    values: dict[str, JsonValue] = {inner.name: here.scope.get(inner.name) for inner in step.do}
    output: JsonValue = None
    for index in range(step.max + 1):
        around = {**values, "iteration": index}
        if not step.condition_.evaluate_bool(here.scope.new_child(dict(around))):
            return output
        if index == step.max:
            break
        frame = here.block(iteration(here.path, index), {"iteration": index})
        done = await run_block(step.do, frame, values=values)
        values.pop("feedback", None)
        output = done.output if done.ran else output
    if step.on_max == "fail":
        raise LimitExceeded(
            f"{here.path!r} ran {step.max} times and its condition still holds.", max=step.max
        )
    return output


async def run_for(step: ForStep, here: Here) -> JsonValue:
    """Run the block once per item; with `needs`, each item when those it needs have finished."""
    items = _items(step, here)
    keys = [str(index) for index in range(len(items))]
    names: Sequence[str] = keys
    needs: dict[str, list[str]] = {}
    if step.needs_ is not None:
        names = [_key(step, here, index, value) for index, value in enumerate(items)]
        wanted = {key: _needs(step, here, index, items[index]) for index, key in enumerate(names)}
        check_needs(names, wanted, where=here.path)
        needs = {
            str(index): [str(names.index(need)) for need in wanted[key]] for index, key in enumerate(names)
        }

    async def run(key: str) -> Done:
        index = int(key)
        needed = {names[int(need)]: branches.finished.results[need].output for need in needs.get(key, ())}
        variables = {**_variables(step, index, items[index]), "needed": needed}
        return await run_block(step.do, here.block(item(here.path, index), variables))

    branches = Branches(keys, needs, run, parallel=step.parallel)
    finished = await branches.finish()
    return [finished.results[key].output for key in keys]


def _items(step: ForStep, here: Here) -> list[JsonValue]:
    found = step.items.evaluate(here.scope)
    if isinstance(found, dict):
        # Sorted: a recorded object does not keep the order of its keys.
        found = [{"key": key, "value": value} for key, value in sorted(found.items())]
    if not isinstance(found, list):
        raise InvalidInput(
            f"`in` of {here.path!r} gives {type(found).__name__}; it must give a list or an object."
        )
    if len(found) > step.max_items:
        raise LimitExceeded(
            f"{here.path!r} has {len(found)} items; at most {step.max_items} are allowed.",
            hint="Raise `max_items`, or loop over fewer.",
            items=len(found),
        )
    return found


def _variables(step: ForStep, index: int, value: JsonValue) -> dict[str, JsonValue]:
    return {step.each: value, **({step.index: index} if step.index else {})}


def _key(step: ForStep, here: Here, index: int, value: JsonValue) -> str:
    if step.key is not None:
        return step.key.evaluate_text(here.scope.new_child(_variables(step, index, value)))
    if isinstance(value, dict):
        for name in ("id", "name"):
            if isinstance(value.get(name), str | int) and not isinstance(value.get(name), bool):
                return str(value[name])
    return str(index)


def _needs(step: ForStep, here: Here, index: int, value: JsonValue) -> list[str]:
    if step.needs_ is None:
        return []
    found = step.needs_.evaluate(here.scope.new_child(_variables(step, index, value)))
    if found is None:
        return []
    if not isinstance(found, list):
        raise InvalidInput(
            f"`needs` of {here.path!r} must give a list of keys; for item {index} it gives {found!r}."
        )
    return list(dict.fromkeys(need if isinstance(need, str) else str(need) for need in found))


async def run_fork(step: ForkStep, here: Here) -> JsonValue:
    """Run the branches at the same time, until as many have succeeded as `join` wants."""
    by_name = {branch.name: branch for branch in step.branches}
    needs = {branch.name: list(branch.needs) for branch in step.branches}

    async def run(name: str) -> Done:
        needed = {need: branches.finished.results[need].output for need in needs[name]}
        frame = replace(here.block(here.path, needed), previous=here.previous)
        return await run_block((by_name[name],), frame)

    enough = None if step.join.mode == "all" else step.join.quorum
    branches = Branches(list(by_name), needs, run, parallel=len(by_name), enough=enough)
    finished = await branches.finish()
    if enough is not None and len(finished.results) < enough:
        raise _too_few(here, len(finished.results), enough, finished.failures)
    return {name: finished.results[name].output if name in finished.results else None for name in by_name}


def _too_few(here: Here, succeeded: int, enough: int, failures: Mapping[str, Failure]) -> StepFailed:
    shown: JsonObject = {name: failure.error.to_json() for name, failure in failures.items()}
    why = "; ".join(f"{name}: {failure.error.message}" for name, failure in failures.items())
    first = next(iter(failures.values()))
    return StepFailed(
        f"{succeeded} of the {enough} branches that {here.path!r} needs have succeeded, and no more can. {why}",
        step=here.path,
        reason={**first.error.to_json(), "code": first.code},
        failures=shown,
    )


async def run_try(step: TryStep, here: Here) -> JsonValue:
    """Run the block; when it fails, undo what it finished, then let `catch` handle it; `finally` comes last."""
    try:
        output = await _try(step, here)
    except Failure:
        await _finally(step, here)
        raise
    await _finally(step, here)
    return output


async def _try(step: TryStep, here: Here) -> JsonValue:
    retries: Counter[tuple[str, int]] = Counter()
    for attempt in count(1):
        mark = tag(here.number, attempt)
        log = UndoLog(here.undo)
        try:
            frame = replace(here.block(tried(here.path, mark)), undo=log)
            return (await run_block(step.do, frame)).output
        except Failure as failure:
            await compensate(log, failure, here.run, root=here.frame.root)
            around = replace(here.frame, undo=here.undo)
            verdict = await handle(Handling(step.catch, here.path, around, mark, retries), failure, run_block)
        if verdict.then != "retry":
            return verdict.output
    raise AssertionError("counting ended")


async def _finally(step: TryStep, here: Here) -> None:
    if step.finally_:
        path = tried(child(here.path, "finally"), tag(here.number))
        await run_block(step.finally_, here.block(path))
