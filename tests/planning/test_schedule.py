"""Schedule, statuses and progress: against slow and plain ways to work them out."""

import random
import sys
from datetime import UTC, datetime
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic.planning.breakdown import Breakdown
from mosaic.planning.keys import make_key
from mosaic.planning.picture import Picture
from mosaic.planning.schedule import find_cycle, make_schedule
from mosaic.planning.schemas import Estimate, Item, Plan
from mosaic.planning.standing import Standings

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def item(
    numbers: tuple[int, ...], *, hours: float | None = None, status: str = "todo", waits: tuple[str, ...] = ()
) -> Item:
    key = make_key(numbers)
    kind = ("epic", "feature", "story", "task")[len(numbers) - 1]
    parent = make_key(numbers[:-1]) if len(numbers) > 1 else None
    return Item(
        key, "p", parent, kind, numbers[-1], key, key, numbers[-1],
        status=status, estimate=Estimate(hours=hours), depends_on=waits,
    )  # fmt: skip


def plan(items: list[Item]) -> Picture:
    return Picture(Plan("p", "t", "j", "P", "", 1, 0, _MOMENT, "user:u", _MOMENT), items)


def test_the_critical_path_is_the_longest_chain_through_the_tree() -> None:
    picture = plan(
        [
            item((1,)),
            item((1, 1)), item((1, 1, 1)), item((1, 1, 1, 1), hours=5), item((1, 1, 1, 2), hours=2),
            item((1, 2), waits=("F.001.01",)), item((1, 2, 1)), item((1, 2, 1, 1), hours=1),
            item((1, 2, 1, 2), hours=3, waits=("T.001.02.01.01",)),
            item((2,)), item((2, 1)), item((2, 1, 1)), item((2, 1, 1, 1), hours=8),
        ]
    )  # fmt: skip
    schedule = picture.schedule
    assert schedule.total_hours == 9
    assert schedule.path == ("T.001.01.01.01", "T.001.02.01.01", "T.001.02.01.02")
    assert schedule.start["T.001.02.01.01"] == 5
    assert schedule.slack["T.001.01.01.02"] == 3
    assert schedule.slack["T.002.01.01.01"] == 1
    assert schedule.critical == {
        "E.001", "F.001.01", "S.001.01.01", "T.001.01.01.01", "F.001.02", "S.001.02.01", "T.001.02.01.01",
        "T.001.02.01.02",
    }  # fmt: skip


def test_what_is_done_takes_no_time_any_more_and_what_nobody_estimated_takes_the_usual() -> None:
    picture = plan(
        [
            item((1,)), item((1, 1)), item((1, 1, 1)), item((1, 1, 1, 1), hours=5, status="done"),
            item((1, 1, 1, 2), waits=("T.001.01.01.01",)),
        ]
    )  # fmt: skip
    assert picture.schedule.total_hours == 5.0  # a task without an estimate
    assert picture.schedule.path == ("T.001.01.01.02",)


@pytest.mark.requirement("STK-92")
def test_progress_rolls_up_weighted_by_hours_with_shares_by_status() -> None:
    picture = plan(
        [
            item((1,)), item((1, 1)), item((1, 1, 1)),
            item((1, 1, 1, 1), hours=9, status="done"), item((1, 1, 1, 2), hours=5, status="running"),
            item((1, 1, 1, 3), hours=4, status="blocked"), item((1, 1, 1, 4), hours=100, status="cancelled"),
            item((1, 2)), item((1, 2, 1)), item((1, 2, 1, 1), hours=2),
        ]
    )  # fmt: skip
    standings = picture.standings
    epic = standings["E.001"]
    assert epic.progress == 0.45
    assert epic.shares() == {"done": 0.45, "running": 0.25, "blocked": 0.2, "ready": 0.1}
    assert epic.counts == {"done": 1, "running": 1, "blocked": 1, "cancelled": 1, "ready": 1}
    assert standings["F.001.01"].progress == 0.5
    assert epic.planned.hours == 20, "what was cancelled is not planned any more"
    whole = standings.whole("p")
    assert (whole.progress, whole.planned.hours) == (0.45, 20)


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (["todo", "todo"], "ready"),
        (["done", "done"], "done"),
        (["done", "cancelled"], "done"),
        (["cancelled", "cancelled"], "cancelled"),
        (["done", "todo"], "running"),
        (["running", "todo"], "running"),
        (["needs_you", "failed"], "needs_you"),
        (["failed", "running"], "failed"),
        (["blocked", "done"], "blocked"),
        (["blocked", "todo"], "ready"),
    ],
)
def test_the_status_of_an_item_follows_from_its_children(below: list[str], expected: str) -> None:
    items = [item((1,)), *(item((1, number), status=status) for number, status in enumerate(below, 1))]
    assert plan(items).standings["E.001"].status == expected


@pytest.mark.requirement("STK-91", "STK-94")
def test_an_item_says_what_it_waits_for_and_why_it_is_blocked() -> None:
    items = [
        item((1,)), item((1, 1), status="failed"), item((1, 2), waits=("F.001.01",)), item((1, 3), waits=("F.001.02",)),
        item((2,), waits=("E.001",)), item((2, 1)), item((2, 2), status="done"),
    ]  # fmt: skip
    standings = plan(items).standings
    assert [standings[key].status for key in ("F.001.02", "F.001.03", "F.002.01")] == [
        "blocked",
        "todo",
        "blocked",
    ]
    assert standings["F.001.02"].reason == "waits for F.001.01 F.001.01, which is failed"
    assert standings["F.001.03"].waits_for == ("F.001.02",)
    assert standings["F.002.01"].waits_for == ("E.001",), "parts wait for what the whole waits for"


@given(st.integers(0, 2**32), st.integers(2, 12), st.floats(0, 3))
def test_starts_and_finishes_agree_with_a_slow_way_to_work_them_out(
    seed: int, count: int, density: float
) -> None:
    items = _random_items(random.Random(seed), count, density)
    tree = Breakdown(items)
    circle = find_cycle(items)
    assert (circle is not None) == _has_cycle(tree)
    if circle is not None:
        for waiting, other in circle:
            assert other in tree.items[waiting].depends_on
        return
    left = {one.id: float(one.estimate.hours or 0) for one in items if tree.is_leaf(one.id)}
    schedule = make_schedule(tree, "p", left_hours=left)
    start, finish = _slowly(tree, left)
    assert schedule.start == start
    assert schedule.finish == finish
    assert schedule.total_hours == max(finish.values())
    # A delay up to the slack moves nothing, more of it does.
    for one, hours in left.items():
        late = make_schedule(tree, "p", left_hours={**left, one: hours + schedule.slack[one]})
        assert late.total_hours == pytest.approx(schedule.total_hours)
        later = make_schedule(tree, "p", left_hours={**left, one: hours + schedule.slack[one] + 1})
        assert later.total_hours == pytest.approx(schedule.total_hours + 1)
    # The path is a chain without gaps that ends at the finish.
    if schedule.path:
        assert sum(left[one] for one in schedule.path) == pytest.approx(schedule.total_hours)
        assert set(schedule.path) <= schedule.critical


def _random_items(dice: random.Random, count: int, density: float) -> list[Item]:
    numbers: list[tuple[int, ...]] = [(1,)]
    while len(numbers) < count:
        parent = dice.choice([(), *(one for one in numbers if len(one) < 4)])
        number = 1 + sum(one[:-1] == parent and len(one) == len(parent) + 1 for one in numbers)
        numbers.append((*parent, number))
    waits: dict[tuple[int, ...], set[str]] = {one: set() for one in numbers}
    for _ in range(int(count * density)):
        one, other = dice.sample(numbers, 2)
        if one[: len(other)] != other and other[: len(one)] != one:
            waits[one].add(make_key(other))
    return [item(one, hours=dice.randint(0, 5), waits=tuple(sorted(waits[one]))) for one in numbers]


def _after(tree: Breakdown, one: str) -> set[str]:
    """What must be finished before an item starts: what it or anything above it waits for, with everything below."""
    waits = {other for above in (one, *tree.ancestors(one)) for other in tree.items[above].depends_on}
    return {inner for other in waits for inner in tree.subtree(other) if tree.is_leaf(inner)}


def _has_cycle(tree: Breakdown) -> bool:
    leaves = {one for one in tree.items if tree.is_leaf(one)}
    while leaves:
        free = {one for one in leaves if not _after(tree, one) & leaves}
        if not free:
            return True
        leaves -= free
    return False


def _slowly(tree: Breakdown, left: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    start = dict.fromkeys(tree.items, 0.0)
    finish = dict.fromkeys(tree.items, 0.0)
    for _ in range(4 * len(tree.items)):
        for one, here in tree.items.items():
            waits = [
                finish[other]
                for above in (one, *tree.ancestors(one))
                for other in tree.items[above].depends_on
            ]
            start[one] = max(waits, default=0.0)
            below = tree.below(one)
            finish[one] = max(finish[child] for child in below) if below else start[one] + left[one]
            assert here.id == one
    return start, finish


def test_two_thousand_items_are_read_changed_and_laid_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints how long it takes; asserts only what comes out."""
    items = [item((epic,)) for epic in range(1, 6)]
    items += [item((epic, f)) for epic in range(1, 6) for f in range(1, 9)]
    items += [item((epic, f, s)) for epic in range(1, 6) for f in range(1, 9) for s in range(1, 8)]
    places = [
        (epic, f, s, t) for epic in range(1, 6) for f in range(1, 9) for s in range(1, 8) for t in range(1, 8)
    ]
    items += [
        item(here, hours=1 + here[3] % 3, waits=(make_key(before),) if before[0] == here[0] else ())
        for before, here in zip([(9, 1, 1, 1), *places], places, strict=False)
    ]
    begun = perf_counter()
    picture = plan(items)
    graph = picture.graph_json(0)
    drawn = perf_counter()
    assert find_cycle(items) is None
    checked = perf_counter()
    assert len(graph["items"]) == 5 + 40 + 280 + 1960
    assert picture.schedule.total_hours == sum(1 + place[3] % 3 for place in places if place[0] == 1)
    assert len(picture.schedule.path) == 392
    Standings(picture.tree)
    took = f"drawn in {1e3 * (drawn - begun):.0f} ms, circles looked for in {1e3 * (checked - drawn):.0f} ms"
    with capsys.disabled():
        sys.stdout.write(f"\n{len(items)} items: {took}\n")
