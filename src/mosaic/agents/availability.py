"""Whether an agent can take work: its stored state, its load and its last heartbeat, seen together.

This is the agent as a worker, over all its jobs. Where it stands inside one job is `mosaic.agents.turns`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from mosaic.agents.schemas import AgentStatus, Availability, RegistryMetrics
from mosaic.core.errors import Conflict

__all__ = ["AVAILABILITY_MOVES", "check_move", "effective", "metrics"]

_ON, _BUSY, _OFF, _BAD = Availability.ONLINE, Availability.BUSY, Availability.OFFLINE, Availability.ERROR

AVAILABILITY_MOVES: dict[Availability, frozenset[Availability]] = {
    _OFF: frozenset((_ON,)),
    _ON: frozenset((_BUSY, _OFF, _BAD)),
    _BUSY: frozenset((_ON, _OFF, _BAD)),
    _BAD: frozenset((_ON, _OFF)),
}
"""Every legal move. An agent that is gone or broken comes back online before anything else."""


def check_move(name: str, before: Availability, after: Availability) -> None:
    """Check that an agent may go from `before` to `after`; staying is allowed.

    Raises:
        Conflict: naming both states.
    """
    if after is before or after in AVAILABILITY_MOVES[before]:
        return
    allowed = ", ".join(sorted(AVAILABILITY_MOVES[before]))
    raise Conflict(
        f"Agent {name!r} cannot go from {before.value!r} to {after.value!r}.",
        hint=f"From {before.value!r} it can go to: {allowed}.",
        state=before.value,
        to=after.value,
    )


def effective(
    stored: Availability,
    *,
    heartbeat_at: datetime,
    active: int,
    capacity: int,
    now: datetime,
    expiry_s: float,
) -> Availability:
    """Return what an agent is now: a silent one is offline, one with no free place is busy."""
    if stored is _OFF or now - heartbeat_at > timedelta(seconds=expiry_s):
        return _OFF
    if stored is _ON and active >= capacity:
        return _BUSY
    return stored


def metrics(agents: Iterable[AgentStatus]) -> RegistryMetrics:
    """Return the figures of a registry. Capacity and load count the agents that are not offline."""
    known = list(agents)
    count = {state: sum(agent.availability is state for agent in known) for state in Availability}
    present = [agent for agent in known if agent.availability is not _OFF]
    capacity = sum(agent.capacity for agent in present)
    active = sum(agent.active for agent in present)
    return RegistryMetrics(
        total=len(known),
        online=count[_ON],
        offline=count[_OFF],
        busy=count[_BUSY],
        error=count[_BAD],
        average_load=round(sum(agent.load for agent in present) / len(present), 4) if present else 0.0,
        total_capacity=capacity,
        utilization=round(100 * active / capacity, 2) if capacity else 0.0,
    )
