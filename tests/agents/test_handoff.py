"""The handoff context: checked for shape, size and secrets."""

import pytest

from mosaic.agents import (
    HandedOff,
    HandoffContext,
    NeedsApproval,
    SuccessCriterion,
    TurnUsage,
    outcome_from_json,
)
from mosaic.agents.handoff import HANDOFF_MAX_BYTES
from mosaic.agents.schemas import Completed
from mosaic.core.errors import InvalidInput

SECRET = "ghp_" + "a1b2c3d4e5f6a7b8c9d0e1f2"

CONTEXT = HandoffContext(
    task="Fix the failing test.",
    next_agent="coder",
    kind="planning_to_implementation",
    state={"branch": "mosaic/run_1"},
    decisions=("The bug is in add().",),
    continuation="Start in calc.py.",
    success_criteria=(SuccessCriterion("All tests pass", "pytest -q"),),
    files_to_read=("calc.py",),
    warnings=("Do not touch the tests.",),
    evidence=("1 failed",),
    constraints={"timeout_min": 30},
    session="run_1",
    chain=("planner",),
)


def test_a_context_survives_its_trip_through_json() -> None:
    assert HandoffContext.from_json(CONTEXT.to_json()) == CONTEXT


def test_a_wrong_context_is_told_every_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        HandoffContext.from_json(
            {"task": "", "next_agent": "x", "files_to_read": [1], "password": "y", "kind": "odd"}
        )
    said = "\n".join(str(problem) for problem in caught.value.problems)
    assert len(caught.value.problems) == 4
    for word in ("files_to_read[0]", "kind", "password", "task"):
        assert word in said


def test_a_context_stays_under_ten_kilobytes() -> None:
    room = HANDOFF_MAX_BYTES - len(b'{"next_agent":"b","task":""}') - 1
    HandoffContext.from_json({"task": "x" * room, "next_agent": "b"})
    with pytest.raises(InvalidInput) as caught:
        HandoffContext.from_json({"task": "x" * (room + 1), "next_agent": "b"})
    assert "under 10000 bytes" in str(caught.value.problems[0])


@pytest.mark.parametrize(
    "extra",
    [{"warnings": [f"use {SECRET}"]}, {"state": {"deep": [{"token": SECRET}]}}, {"state": {SECRET: 1}}],
)
def test_a_secret_is_refused_and_never_repeated(extra: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        HandoffContext.from_json({"task": "t", "next_agent": "b", **extra})
    assert "looks like a secret" in str(caught.value.problems[0])
    assert SECRET not in str(caught.value.to_json())


def test_something_that_is_no_object_is_refused() -> None:
    for value in (None, "text", ["list"], {"task": float("nan"), "next_agent": "b"}):
        with pytest.raises(InvalidInput):
            HandoffContext.from_json(value)


def test_every_outcome_survives_its_trip_through_json() -> None:
    usage = TurnUsage(2, 100, 20, 3)
    for outcome in (
        Completed({"a": [1]}, "sha256:x", usage, 2, "openai:m"),
        NeedsApproval(("apr_1", "apr_2"), 1),
        HandedOff("coder", CONTEXT, "sha256:x", usage, 2),
    ):
        assert outcome_from_json(outcome.to_json()) == outcome
    with pytest.raises(InvalidInput):
        outcome_from_json({"outcome": "odd"})
