"""The turn state machine: where one agent stands in one job. Illegal transitions are refused.

::

    idle ── spawn ──> ready ── invoke ──> running ── complete ──> complete ── terminate ──> idle
                        ^                 │  ^ │
                        └─── turn_end ────┘  │ └── handoff ──> handoff ── handoff_complete ──> complete
                                 tool_result │
                    running ── tool_call ──> awaiting_tool ── approval_needed ──> awaiting_approval
                                                 ^────────────── decided ────────────────┘

Every state from `ready` to `handoff` may also go to `failed` (fail) or `cancelled` (cancel); both end at `idle`.
A tool's result leads back to `running`: the turn goes on until the agent has answered. Whether the agent can take
work at all is another matter: `mosaic.agents.availability`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mosaic.core.errors import Conflict
from mosaic.core.values import JsonObject

__all__ = ["TRANSITIONS", "Transition", "Trigger", "TurnMachine", "TurnState"]


class TurnState(StrEnum):
    """Where an agent stands in a job."""

    IDLE = "idle"
    READY = "ready"
    RUNNING = "running"
    AWAITING_TOOL = "awaiting_tool"
    AWAITING_APPROVAL = "awaiting_approval"
    HANDOFF = "handoff"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def active(self) -> bool:
        """Whether the agent is at work: what counts as load. Waiting for a person is not work."""
        return self in _ACTIVE

    @property
    def final(self) -> bool:
        """Whether the job is over."""
        return self in (TurnState.COMPLETE, TurnState.FAILED, TurnState.CANCELLED)


_ACTIVE = frozenset((TurnState.READY, TurnState.RUNNING, TurnState.AWAITING_TOOL, TurnState.HANDOFF))


class Trigger(StrEnum):
    """What moves an agent from one state to the next."""

    SPAWN = "spawn"
    INVOKE = "invoke"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    APPROVAL_NEEDED = "approval_needed"
    DECIDED = "decided"
    TURN_END = "turn_end"
    HANDOFF = "handoff"
    HANDOFF_COMPLETE = "handoff_complete"
    COMPLETE = "complete"
    TERMINATE = "terminate"
    FAIL = "fail"
    CANCEL = "cancel"


_S, _T = TurnState, Trigger
_OPEN = (_S.READY, _S.RUNNING, _S.AWAITING_TOOL, _S.AWAITING_APPROVAL, _S.HANDOFF)

TRANSITIONS: dict[tuple[TurnState, Trigger], TurnState] = {
    (_S.IDLE, _T.SPAWN): _S.READY,
    (_S.READY, _T.INVOKE): _S.RUNNING,
    (_S.RUNNING, _T.TOOL_CALL): _S.AWAITING_TOOL,
    (_S.AWAITING_TOOL, _T.TOOL_RESULT): _S.RUNNING,
    (_S.AWAITING_TOOL, _T.APPROVAL_NEEDED): _S.AWAITING_APPROVAL,
    (_S.AWAITING_APPROVAL, _T.DECIDED): _S.AWAITING_TOOL,
    (_S.RUNNING, _T.TURN_END): _S.READY,
    (_S.RUNNING, _T.HANDOFF): _S.HANDOFF,
    (_S.HANDOFF, _T.HANDOFF_COMPLETE): _S.COMPLETE,
    (_S.RUNNING, _T.COMPLETE): _S.COMPLETE,
    **{(state, _T.FAIL): _S.FAILED for state in _OPEN},
    **{(state, _T.CANCEL): _S.CANCELLED for state in _OPEN},
    **{(state, _T.TERMINATE): _S.IDLE for state in (_S.COMPLETE, _S.FAILED, _S.CANCELLED)},
}
"""Every legal move; what is not here is refused."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One move, as the journal keeps it (event ``agent.turn``)."""

    agent: str
    turn: int
    before: TurnState
    after: TurnState
    trigger: Trigger

    def to_json(self) -> JsonObject:
        """Return the event's data."""
        return {
            "agent": self.agent,
            "turn": self.turn,
            "from": self.before.value,
            "to": self.after.value,
            "trigger": self.trigger.value,
        }


class TurnMachine:
    """The state of one agent in one job, and the moves not yet journaled.

    Attributes:
        state: now.
        turn: the number of the model answer in work; 0 before the first.
    """

    def __init__(self, agent: str, *, on_move: Callable[[Transition], None] | None = None) -> None:
        self.agent = agent
        self.state = TurnState.IDLE
        self.turn = 0
        self._on_move = on_move
        self._unwritten: list[Transition] = []

    def move(self, *triggers: Trigger) -> TurnState:
        """Go through `triggers` in order and return the state reached.

        Raises:
            Conflict: if the present state does not allow one; the moves before it stand.
        """
        for trigger in triggers:
            after = TRANSITIONS.get((self.state, trigger))
            if after is None:
                raise _illegal(self.agent, self.state, trigger)
            transition = Transition(self.agent, self.turn, self.state, after, trigger)
            self._unwritten.append(transition)
            self.state = after
            if self._on_move is not None:
                self._on_move(transition)
        return self.state

    @property
    def unwritten(self) -> tuple[Transition, ...]:
        """The moves since the last `take_unwritten`."""
        return tuple(self._unwritten)

    def take_unwritten(self) -> list[Transition]:
        """Return the moves since the last call; the caller journals them, or knows that they are journaled."""
        taken, self._unwritten = self._unwritten, []
        return taken


def _illegal(agent: str, state: TurnState, trigger: Trigger) -> Conflict:
    goals = sorted({after.value for (_, known), after in TRANSITIONS.items() if known is trigger})
    allowed = sorted(known.value for (before, known) in TRANSITIONS if before is state)
    return Conflict(
        f"Agent {agent!r} cannot go from {state.value!r} to {' or '.join(map(repr, goals))} ({trigger.value}).",
        hint=f"From {state.value!r} it can: {', '.join(allowed)}.",
        state=state.value,
        to=goals,
        trigger=trigger.value,
    )
