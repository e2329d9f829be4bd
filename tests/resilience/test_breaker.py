"""The breaker: when it opens, what it learns, how it comes back."""

import pytest

from mosaic.resilience import BreakerSettings, CircuitBreaker


def breaker_of(clock, **settings) -> CircuitBreaker:
    return CircuitBreaker(BreakerSettings(**settings), clock=clock)


def run(breaker: CircuitBreaker, results: str) -> str:
    """Make a call for each letter: `.` succeeds, `x` fails; a refused one is not made. Return what was done."""
    done = ""
    for result in results:
        if breaker.admit():
            breaker.end(result == ".")
            done += result
        else:
            done += "-"
    return done


def broken(clock, **settings) -> CircuitBreaker:
    breaker = breaker_of(clock, **settings)
    run(breaker, "x" * 10)
    assert breaker.state == "open"
    return breaker


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("", "closed"),
        ("xxxx", "closed"),
        ("xxxxx", "open"),
        ("." * 20 + "xxxx", "closed"),
        ("." * 20 + "x" * 12, "open"),
        (".x" * 8, "open"),
        ("....x" * 20, "closed"),
        ("..x" * 100, "open"),
    ],
)
def test_it_opens_when_it_is_sure_that_too_much_fails(clock, results, state):
    breaker = breaker_of(clock)
    run(breaker, results)
    assert breaker.state == state
    assert breaker.is_open() is (state == "open")


def test_old_failures_are_forgotten(clock):
    breaker = breaker_of(clock)
    for _ in range(10):
        run(breaker, "xx")
        clock.forward(31)
    assert breaker.state == "closed"


def test_it_tolerates_what_is_usual_for_a_target_and_less_from_one_that_never_fails(clock):
    steady, shaky = breaker_of(clock), breaker_of(clock)
    for _ in range(60):
        run(steady, "." * 20)
        run(shaky, "." * 17 + "xxx")
        clock.forward(31)
    assert steady.state == shaky.state == "closed"
    assert steady.tolerated() < 0.21
    assert 0.4 < shaky.tolerated() < 0.6
    same = ".x" * 12
    run(steady, same)
    run(shaky, same)
    assert (steady.state, shaky.state) == ("open", "closed")


def test_what_is_usual_is_learned_anew_when_a_target_gets_better(clock):
    breaker = breaker_of(clock)
    for result in ("." * 16 + "xxxx", "." * 20):
        for _ in range(120):
            run(breaker, result)
            clock.forward(31)
    assert breaker.tolerated() < 0.25


def test_even_the_worst_target_is_not_tolerated_altogether(clock):
    breaker = breaker_of(clock, tolerated=0.7)
    for _ in range(60):
        run(breaker, ".." + "x" * 3)
        clock.forward(31)
    assert breaker.tolerated() == 0.8


def test_open_it_lets_nothing_through_until_its_time_is_over(clock):
    breaker = broken(clock)
    clock.forward(4.9)
    assert not breaker.admit()
    assert breaker.is_open()
    clock.forward(0.2)
    assert not breaker.is_open()
    assert breaker.admit()
    assert breaker.state == "half_open"


def test_half_open_it_restores_traffic_step_by_step(clock):
    breaker = broken(clock, ramp=4)
    clock.forward(6)
    widths = []
    while breaker.state != "closed":
        admitted = 0
        while breaker.admit():
            admitted += 1
        widths.append(admitted)
        assert breaker.is_open()
        for _ in range(admitted):
            breaker.end(True)
    assert widths == [1, 2, 4]
    assert run(breaker, ".....") == "....."


def test_a_failure_on_the_way_back_opens_it_for_twice_as_long(clock):
    breaker = broken(clock)
    for expected in (10, 20, 40, 80, 120, 120):
        clock.forward(breaker.retry_at - clock.now)
        assert run(breaker, "x-") == "x-"
        assert breaker.retry_at - clock.now == pytest.approx(expected)
    clock.forward(121)
    assert run(breaker, "." * 10) == "." * 10
    assert breaker.state == "closed"
    run(breaker, "x" * 10)
    assert breaker.retry_at - clock.now == pytest.approx(5)


def test_a_target_that_says_when_to_come_back_is_left_alone_until_then(clock):
    breaker = breaker_of(clock)
    assert breaker.admit()
    breaker.end(False, retry_at=clock.now + 300)
    clock.forward(299)
    assert breaker.is_open()
    assert not breaker.admit()
    clock.forward(2)
    assert breaker.admit()


def test_an_earlier_hour_does_not_shorten_the_wait_and_a_success_does_not_end_it(clock):
    breaker = breaker_of(clock)
    for _ in range(3):
        assert breaker.admit()
    breaker.end(False, retry_at=clock.now + 300)
    breaker.end(False, retry_at=clock.now + 10)
    breaker.end(True)
    clock.forward(290)
    assert breaker.is_open()


def test_late_results_of_older_calls_change_nothing(clock):
    breaker = broken(clock)
    clock.forward(6)
    assert breaker.admit()
    breaker.end(False, taken_s=60)
    breaker.end(True, taken_s=60)
    assert breaker.state == "half_open"
    assert breaker.is_open()
    breaker.end(True, taken_s=0)
    assert not breaker.is_open()


def test_a_call_that_says_nothing_gives_its_place_back(clock):
    breaker = broken(clock)
    clock.forward(6)
    assert breaker.admit()
    breaker.end(None)
    assert breaker.admit()


def test_a_probe_that_never_ends_does_not_keep_it_half_open_for_ever(clock):
    breaker = broken(clock)
    clock.forward(6)
    assert breaker.admit()
    clock.forward(61)
    assert not breaker.is_open()
    assert breaker.admit()
    assert breaker.is_open()


def test_it_can_be_shown(clock):
    breaker = broken(clock)
    clock.forward(2)
    shown = breaker.to_json()
    assert shown["state"] == "open"
    assert shown["retry_in_s"] == 3.0
    assert shown["opened"] == 1


def test_a_call_that_has_nowhere_else_to_go_is_let_through_and_brings_it_back(clock):
    breaker = broken(clock, ramp=3)
    breaker.admit_anyway()
    breaker.end(True)
    assert run(breaker, "...") == "..."
    assert breaker.state == "closed"


def test_such_a_call_that_fails_leaves_it_open_no_longer_than_before(clock):
    breaker = broken(clock)
    until = breaker.retry_at
    breaker.admit_anyway()
    breaker.end(False)
    assert breaker.is_open()
    assert breaker.retry_at == until


def test_such_a_call_counts_as_an_attempt_when_it_is_half_open(clock):
    breaker = broken(clock, ramp=2)
    clock.forward(6)
    assert breaker.admit()
    breaker.admit_anyway()
    breaker.end(True)
    breaker.end(True)
    assert breaker.state == "closed"
