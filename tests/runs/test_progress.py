"""What a run is doing is computed from its events alone."""

from typing import Any

from mosaic.runs.progress import RunProgress


def fold(*events: tuple[str, str, dict[str, Any]]) -> RunProgress:
    return RunProgress().apply_all(
        {"seq": seq, "type": kind, "path": path, "data": data}
        for seq, (kind, path, data) in enumerate(events, 1)
    )


def test_a_run_whose_only_active_step_asks_is_quiescent() -> None:
    progress = fold(
        ("step.started", "fix", {}),
        ("step.started", "fix/code", {}),
        ("approval.requested", "fix/code", {"approval": "apr_1"}),
    )
    assert progress.leaves == {"fix/code"}
    assert progress.quiescent


def test_a_run_with_another_branch_at_work_is_not() -> None:
    progress = fold(
        ("step.started", "review", {}),
        ("step.started", "review/security", {}),
        ("step.started", "review/speed", {}),
        ("approval.requested", "review/security", {"approval": "apr_1"}),
    )
    assert not progress.quiescent
    progress.apply({"seq": 9, "type": "step.completed", "path": "review/speed", "data": {}})
    assert progress.quiescent


def test_an_ask_deeper_inside_the_step_counts_for_the_step() -> None:
    progress = fold(
        ("step.started", "build[0]/code", {}),
        ("approval.requested", "build[0]/code/coder(2)", {"approval": "a"}),
    )
    assert progress.quiescent


def test_an_answered_ask_is_no_longer_waited_for() -> None:
    progress = fold(
        ("step.started", "a", {}),
        ("approval.requested", "a", {"approval": "apr_1"}),
        ("approval.decided", "a", {"approval": "apr_1", "status": "approved"}),
    )
    assert not progress.quiescent


def test_a_step_named_like_the_beginning_of_another_does_not_contain_it() -> None:
    progress = fold(("step.started", "code", {}), ("step.started", "codex", {}))
    assert progress.leaves == {"code", "codex"}


def test_a_step_that_ends_takes_what_is_inside_along() -> None:
    progress = fold(
        ("step.started", "race", {}),
        ("step.started", "race/slow", {}),
        ("approval.requested", "race/slow", {"approval": "apr_1"}),
        ("step.completed", "race", {}),
        ("step.started", "next", {}),
    )
    assert progress.leaves == {"next"}
    assert not progress.pending
