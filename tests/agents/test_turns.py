"""The turn state machine."""

from itertools import product

import pytest

from mosaic.agents.turns import TRANSITIONS, Trigger, TurnMachine, TurnState
from mosaic.core.errors import Conflict


@pytest.mark.requirement("MOZ-07", "MOZ-08", "MOZ-09", "MOZ-10", "MOZ-11", "MOZ-12", "MOZ-13")
def test_a_job_with_a_tool_an_approval_and_a_handoff_goes_through_its_states() -> None:
    machine = TurnMachine("coder")
    path = [
        (Trigger.SPAWN, "ready"),
        (Trigger.INVOKE, "running"),
        (Trigger.TOOL_CALL, "awaiting_tool"),
        (Trigger.APPROVAL_NEEDED, "awaiting_approval"),
        (Trigger.DECIDED, "awaiting_tool"),
        (Trigger.TOOL_RESULT, "running"),
        (Trigger.HANDOFF, "handoff"),
        (Trigger.HANDOFF_COMPLETE, "complete"),
        (Trigger.TERMINATE, "idle"),
    ]
    assert [machine.move(trigger).value for trigger, _ in path] == [state for _, state in path]


@pytest.mark.parametrize(("state", "trigger"), list(product(TurnState, Trigger)))
@pytest.mark.requirement("MOZ-07")
def test_what_the_table_does_not_hold_is_refused_and_names_both_states(
    state: TurnState, trigger: Trigger
) -> None:
    machine = TurnMachine("coder")
    machine.state = state
    goal = TRANSITIONS.get((state, trigger))
    if goal is not None:
        assert machine.move(trigger) is goal
        return
    with pytest.raises(Conflict) as caught:
        machine.move(trigger)
    assert machine.state is state
    assert repr(state.value) in caught.value.message
    assert all(repr(goal) in caught.value.message for goal in caught.value.data["to"])
    assert machine.take_unwritten() == []


@pytest.mark.requirement("MOZ-19", "MOZ-12")
def test_every_open_state_can_fail_and_be_cancelled_and_every_final_one_only_ends() -> None:
    for state in TurnState:
        leaves = {trigger for (before, trigger) in TRANSITIONS if before is state}
        if state.final:
            assert leaves == {Trigger.TERMINATE}
        elif state is not TurnState.IDLE:
            assert {Trigger.FAIL, Trigger.CANCEL} <= leaves


def test_every_state_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(TurnState)
    assert {before for before, _ in TRANSITIONS} == set(TurnState)


def test_moves_are_kept_until_somebody_writes_them() -> None:
    machine = TurnMachine("coder")
    machine.turn = 3
    machine.move(Trigger.SPAWN, Trigger.INVOKE)
    assert [move.to_json() for move in machine.take_unwritten()] == [
        {"agent": "coder", "turn": 3, "from": "idle", "to": "ready", "trigger": "spawn"},
        {"agent": "coder", "turn": 3, "from": "ready", "to": "running", "trigger": "invoke"},
    ]
    assert machine.unwritten == ()


def test_waiting_for_a_person_is_no_load() -> None:
    assert {state.value for state in TurnState if state.active} == {
        "ready",
        "running",
        "awaiting_tool",
        "handoff",
    }
