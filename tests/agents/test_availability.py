"""Availability: legal moves, and what heartbeat and load make of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from mosaic.agents.availability import AVAILABILITY_MOVES, check_move, effective, metrics
from mosaic.agents.schemas import AgentStatus, Availability
from mosaic.core.errors import Conflict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ON, BUSY, OFF, BAD = Availability.ONLINE, Availability.BUSY, Availability.OFFLINE, Availability.ERROR


@pytest.mark.parametrize(("before", "after"), list(product(Availability, Availability)))
def test_only_the_moves_of_the_table_are_allowed(before: Availability, after: Availability) -> None:
    if before is after or after in AVAILABILITY_MOVES[before]:
        check_move("a", before, after)
        return
    with pytest.raises(Conflict) as caught:
        check_move("a", before, after)
    assert repr(before.value) in caught.value.message
    assert repr(after.value) in caught.value.message


@pytest.mark.requirement("ENT-38")
@pytest.mark.parametrize(
    ("stored", "age_s", "active", "seen"),
    [
        (ON, 0, 0, ON),
        (ON, 60, 1, ON),
        (ON, 61, 0, OFF),
        (ON, 0, 2, BUSY),
        (ON, 0, 3, BUSY),
        (BUSY, 0, 0, BUSY),
        (BUSY, 61, 0, OFF),
        (BAD, 0, 2, BAD),
        (BAD, 61, 0, OFF),
        (OFF, 0, 0, OFF),
    ],
)
def test_silence_is_offline_and_no_free_place_is_busy(
    stored: Availability, age_s: int, active: int, seen: Availability
) -> None:
    found = effective(
        stored, heartbeat_at=NOW - timedelta(seconds=age_s), active=active, capacity=2, now=NOW, expiry_s=60
    )
    assert found is seen


@pytest.mark.requirement("ENT-37")
def test_the_figures_are_these_eight() -> None:
    agent = AgentStatus("a", None, "", "model", (), ON, None, 1, 4, "default", NOW, NOW)
    figures = metrics(
        [
            agent,
            replace(agent, name="b", availability=BUSY, active=4),
            replace(agent, name="c", availability=OFF, active=2),
            replace(agent, name="d", availability=BAD, active=0, capacity=2),
        ]
    )
    assert figures.to_json() == {
        "total": 4,
        "online": 1,
        "offline": 1,
        "busy": 1,
        "error": 1,
        "average_load": round((0.25 + 1 + 0) / 3, 4),
        "total_capacity": 10,
        "utilization": 50.0,
    }


def test_an_empty_registry_has_figures_too() -> None:
    assert set(metrics([]).to_json().values()) == {0}
