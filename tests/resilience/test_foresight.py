"""Averages, predictions, hedging, shedding, healing."""

import asyncio
import math

import pytest

from mosaic.core.errors import InvalidInput, Unavailable
from mosaic.resilience import (
    Diagnosis,
    Ewma,
    HedgePolicy,
    LoadShed,
    LoopDelay,
    PredictiveHealth,
    heal,
)


def test_an_average_forgets_by_half_each_half_life(clock):
    average = Ewma(10, clock)
    assert average.value(7) == 7
    average.add(0)
    clock.forward(10)
    average.add(3)
    assert average.value() == pytest.approx(2)
    assert average.weight == pytest.approx(1.5)
    clock.forward(10_000)
    average.add(5)
    assert average.value() == 5


def test_a_half_life_must_be_one():
    with pytest.raises(InvalidInput):
        Ewma(0)


def health_after(clock, calls) -> PredictiveHealth:
    health = PredictiveHealth(clock=clock)
    for ok, latency in calls:
        health.record(ok, latency)
        clock.forward(0.2)
    return health


STEADY = [(True, 1.0 + 0.2 * math.sin(number)) for number in range(2000)]


def test_a_steady_target_is_no_risk(clock):
    assert health_after(clock, STEADY).outlook().risk < 0.3


def test_a_target_that_always_fails_a_little_is_no_risk(clock):
    calls = [(number % 25 != 0, 1.0) for number in range(3000)]
    assert health_after(clock, calls).outlook().risk < 1


def test_rising_errors_are_seen_before_they_are_many(clock):
    calls = [*STEADY, *[(number % 6 != 0, 1.0) for number in range(60)]]
    outlook = health_after(clock, calls).outlook()
    assert outlook.risk >= 1
    assert "failed" in outlook.reason
    assert outlook.to_json()["risk"] >= 1


def test_rising_latency_is_seen_before_anything_fails(clock):
    calls = [*STEADY, *[(True, 1.0 + 0.05 * number) for number in range(60)]]
    outlook = health_after(clock, calls).outlook()
    assert outlook.risk >= 1
    assert outlook.error_rate == 0
    assert "as long as usual" in outlook.reason


def test_a_few_calls_prove_nothing(clock):
    health = PredictiveHealth(clock=clock)
    for _ in range(4):
        health.record(False, 1)
    assert health.outlook().risk == 0


def test_a_risk_passes_when_the_target_recovers(clock):
    calls = [*STEADY, *[(False, 1.0)] * 20, *STEADY]
    assert health_after(clock, calls).outlook().risk < 0.5


def test_a_hedge_waits_as_long_as_nearly_all_answers_take(clock):
    policy = HedgePolicy(clock=clock)
    for _ in range(19):
        policy.record(0.1)
    assert policy.delay_s() is None
    for number in range(1000):
        policy.record(0.1 if number % 10 else 2.0)
    assert policy.delay_s() == pytest.approx(2.0, rel=0.12)
    for _ in range(20_000):
        policy.record(0.1)
    assert policy.delay_s() == pytest.approx(0.1, rel=0.12)


@pytest.mark.parametrize("latency", [0.0, -1.0, 1e-9, 1e9])
def test_a_latency_out_of_range_is_counted_at_its_end(clock, latency):
    policy = HedgePolicy(clock=clock)
    for _ in range(30):
        policy.record(latency)
    assert policy.delay_s() > 0


def test_hedges_are_a_small_share_of_the_requests(clock):
    policy = HedgePolicy(clock=clock, share=0.05)
    taken = 0
    for _ in range(2000):
        policy.request()
        taken += policy.take()
    assert 100 <= taken <= 112


def test_a_burst_is_served_and_a_standing_queue_is_cut(clock):
    shed = LoadShed(clock=clock)
    for wait in (0.0, 0.5, 1.0, 1.9, 0.0):
        assert shed.admit(wait)
        clock.forward(0.4)
    assert not shed.overloaded
    served = []
    for _ in range(60):
        served.append(shed.admit(0.5))
        clock.forward(0.1)
    assert served[:5] == [True] * 5
    assert served[-30:] == [False] * 30
    assert shed.overloaded
    assert shed.admit(0.05)
    assert not shed.overloaded
    assert shed.shed == served.count(False)


def test_the_important_wait_longer_before_they_are_refused(clock):
    shed = LoadShed(clock=clock)
    for _ in range(30):
        shed.admit(0.3)
        clock.forward(0.1)
    assert not shed.admit(0.3)
    assert shed.admit(0.3, importance=2)
    assert not shed.admit(0.5, importance=2)


def test_after_a_quiet_hour_nothing_is_held_against_the_next(clock):
    shed = LoadShed(clock=clock)
    for _ in range(30):
        shed.admit(0.3)
        clock.forward(0.1)
    clock.forward(3600)
    assert shed.admit(0.3)


@pytest.mark.anyio
async def test_a_loop_that_is_held_up_is_noticed():
    delay = LoopDelay(0.001)
    delay.start()
    looked = 0
    while not delay.delay_s:
        sum(range(3_000_000))  # holds the loop up
        await asyncio.sleep(0)
        looked += 1
        assert looked < 1000
    assert delay.delay_s > 0.002
    delay.stop()
    delay.stop()


class Patient:
    """A target with something wrong."""

    def __init__(self, cause: str, *, cured: bool = True) -> None:
        self.cause, self.cured, self.away, self.done = cause, cured, False, []

    async def heal(self):
        async def diagnose(target: str) -> Diagnosis:
            assert self.away, "traffic is away before anything is tried"
            if self.cause == "unknown":
                raise Unavailable("nobody answers")
            return Diagnosis(self.cause, "the key is old")

        async def fix(target: str) -> str:
            self.done.append("fix")
            return "read the key again"

        async def verify(target: str) -> bool:
            return self.cured

        def reroute(target: str, away: bool) -> None:
            self.away = away

        return await heal("acme", reroute=reroute, diagnose=diagnose, fixes={"old_key": fix}, verify=verify)


@pytest.mark.anyio
async def test_healing_takes_four_steps_and_brings_traffic_back_at_the_end():
    patient = Patient("old_key")
    report = await patient.heal()
    assert report.healed
    assert not patient.away
    assert report.to_json()["steps"] == [
        {"step": "reroute", "outcome": "traffic goes elsewhere"},
        {"step": "diagnose", "outcome": "the key is old"},
        {"step": "fix", "outcome": "read the key again"},
        {"step": "verify", "outcome": "it works"},
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("patient", "last"),
    [
        (Patient("old_key", cured=False), ("verify", "it does not work yet")),
        (Patient("unknown"), ("diagnose", "failed: nobody answers")),
    ],
)
async def test_traffic_stays_away_from_what_is_not_healed(patient, last):
    report = await patient.heal()
    assert not report.healed
    assert patient.away
    assert report.steps[-1] == last


@pytest.mark.anyio
async def test_a_cause_without_a_fix_is_left_to_a_person():
    patient = Patient("strange", cured=False)
    report = await patient.heal()
    assert patient.done == []
    assert ("fix", "there is no fix for this; a person has to look") in report.steps
