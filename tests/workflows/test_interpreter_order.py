"""Paths, DAG order, branches and undo logs: the parts of the interpreter that touch nothing."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.core.errors import InvalidInput, MosaicError, ToolFailed
from mosaic.workflows.interpreter import paths
from mosaic.workflows.interpreter.branches import Branches
from mosaic.workflows.interpreter.failure import Failure
from mosaic.workflows.interpreter.graph import check_needs, find_cycle
from mosaic.workflows.interpreter.saga import Undo, UndoLog

pytestmark = pytest.mark.anyio


def failure(text: str) -> Failure:
    return Failure(ToolFailed(text), step="step", path="step")


def test_a_path_without_marks_is_the_path_in_the_definition() -> None:
    path = paths.child(paths.item(paths.child("", "build"), 2), "code")
    assert path == "build[2]/code"
    path = paths.child(paths.iteration(paths.visit(path, 3), 1), "check")
    assert path == "build[2]/code~3(1)/check"
    assert paths.static(path) == "build/code/check"
    assert paths.static(paths.tried("a/b", paths.tag(2, 3))) == "a/b"


def test_every_try_has_a_mark_of_its_own() -> None:
    marks = [paths.tag(run, attempt) for run in range(1, 13) for attempt in range(1, 13)]
    assert len(set(marks)) == len(marks)
    assert marks[0] == ""


def test_inside_does_not_mistake_a_longer_name_or_another_visit() -> None:
    assert paths.inside("build/code", "build")
    assert paths.inside("build[1]/code", "build")
    assert not paths.inside("builder/code", "build")
    assert not paths.inside("build~2/code", "build")
    assert not paths.inside("build", "build")


def test_a_cycle_is_named_in_order() -> None:
    with pytest.raises(InvalidInput, match=r"a -> c -> b -> a|b -> a -> c -> b|c -> b -> a -> c"):
        check_needs(["a", "b", "c", "d"], {"a": ["c"], "b": ["a"], "c": ["b"], "d": []}, where="build")


def test_every_unknown_and_double_key_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_needs(["a", "b", "b"], {"a": ["x"], "b": ["y"]}, where="build")
    assert [problem.message for problem in caught.value.problems] == [
        "Two items have the key 'b'.",
        "The item 'a' needs 'x', and there is no such item.",
        "The item 'b' needs 'y', and there is no such item.",
        "The item 'b' needs 'y', and there is no such item.",
    ]


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=3), max_size=9))
def test_a_cycle_found_is_a_cycle_and_none_found_means_an_order_exists(needs: dict[int, list[int]]) -> None:
    keys = sorted(needs)
    cycle = find_cycle(keys, needs)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(after in needs[before] for before, after in itertools.pairwise(cycle))
    else:
        done: set[int] = set()
        while left := [key for key in keys if key not in done]:
            ready = [key for key in left if all(need in done or need not in needs for need in needs[key])]
            assert ready
            done.update(ready)


async def test_branches_start_when_what_they_need_is_done_and_in_order() -> None:
    begun: list[str] = []

    async def run(key: str) -> str:
        begun.append(key)
        await asyncio.sleep(0)
        return key.upper()

    branches = Branches(["d", "a", "b", "c"], {"d": ["b"], "b": ["a"]}, run, parallel=4)
    finished = await branches.finish()
    assert begun == ["a", "c", "b", "d"]
    assert finished.results == {"a": "A", "b": "B", "c": "C", "d": "D"}


async def test_never_more_branches_run_than_allowed() -> None:
    running = most = 0

    async def run(_: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await Branches([str(n) for n in range(20)], {}, run, parallel=3).finish()
    assert most == 3


async def test_the_first_failure_cancels_the_rest() -> None:
    cancelled: list[str] = []

    async def run(key: str) -> None:
        if key == "bad":
            raise failure("no")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(key)
            raise

    with pytest.raises(Failure, match="no"):
        async with asyncio.timeout(5):
            await Branches(["x", "bad", "y"], {}, run, parallel=3).finish()
    assert cancelled == ["x", "y"]


async def test_a_quorum_ends_it_and_stops_the_losers() -> None:
    async def run(key: str) -> str:
        if key.startswith("slow"):
            await asyncio.Event().wait()
        if key == "bad":
            raise failure("no")
        return key

    async with asyncio.timeout(5):
        finished = await Branches(["slow", "bad", "x", "y"], {}, run, parallel=4, enough=2).finish()
    assert list(finished.results) == ["x", "y"]
    assert list(finished.failures) == ["bad"]
    assert finished.stopped == ("slow",)


async def test_it_ends_as_soon_as_too_few_can_still_succeed() -> None:
    async def run(key: str) -> str:
        if key == "slow":
            await asyncio.Event().wait()
        raise failure(key)

    async with asyncio.timeout(5):
        needs = {"after": ["a"]}
        finished = await Branches(["slow", "a", "b", "after"], needs, run, parallel=4, enough=2).finish()
    assert set(finished.failures) == {"a", "b"}
    assert finished.stopped == ("slow",)


async def test_cancelling_the_whole_cancels_every_branch() -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def run(key: str) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append(key)

    task = asyncio.ensure_future(Branches(["a", "b"], {}, run, parallel=2).finish())
    async with asyncio.timeout(5):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == ["a", "b"]


def undo(path: str, at: int) -> Undo:
    return Undo(path, path, at, {})


def test_undos_come_back_latest_first_and_only_once() -> None:
    whole = UndoLog()
    inner = UndoLog(whole)
    whole.add(undo("book", 1))
    inner.add(undo("pay", 3))
    inner.add(undo("ship", 2))
    inner.add(undo("ship", 9))  # brought again by a replay
    assert [entry.path for entry in inner.take()] == ["pay", "ship"]
    assert inner.take() == []
    assert [entry.path for entry in whole.take()] == ["book"]


def test_undos_survive_as_json() -> None:
    log = UndoLog()
    log.add(Undo("pay", "pay", 5, {"order": {"id": 7}}))
    assert [Undo.from_json(shown) for shown in log.to_json()] == [Undo("pay", "pay", 5, {"order": {"id": 7}})]


def test_a_failure_survives_as_json_with_its_place() -> None:
    first = Failure(ToolFailed("exit 1", exit_code=1), step="check", path="build[1]/check")
    again = Failure.from_json(first.to_json())
    assert (again.step, again.path, again.code) == ("check", "build[1]/check", "tool_failed")
    assert again.error.data == {"exit_code": 1}
    wrapped: MosaicError = again.as_run_error()
    assert Failure(wrapped, step="child", path="child").code == "tool_failed"
