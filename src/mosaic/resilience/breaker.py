"""A circuit breaker that learns how often its target usually fails, and lets it come back step by step."""

from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["BreakerSettings", "BreakerState", "CircuitBreaker"]

BreakerState = Literal["closed", "open", "half_open"]

_BUCKETS = 10
_CONFIDENCE = 1.64  # of the lower bound of the error rate: 95 %
_PRIOR = 20.0  # calls without an error that every target is credited with


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a breaker opens and how it closes again.

    Attributes:
        window_s: how long a result counts.
        least_calls: with fewer in the window it stays closed.
        tolerated: share of failures that opens no breaker, for a target that usually never fails; twice its usual share
            is added.
        tolerated_at_most: no target is so bad usually that more than this is tolerated.
        cooldown_s: open for so long the first time; twice as long after each failed attempt to come back.
        cooldown_at_most_s: never longer than this, unless the target asked for it.
        ramp: successes after which a half-open breaker closes. Until then one call more at once after each success.
        probe_s: a call admitted half-open that never ended is forgotten after this.
        usual_half_life_s: how fast the usual share of failures is forgotten.
    """

    window_s: float = 30.0
    least_calls: int = 5
    tolerated: float = 0.2
    tolerated_at_most: float = 0.8
    cooldown_s: float = 5.0
    cooldown_at_most_s: float = 120.0
    ramp: int = 10
    probe_s: float = 60.0
    usual_half_life_s: float = 600.0


class CircuitBreaker:
    """Stops calls to a target that fails, and restores them gradually.

    It opens when it is 95 % certain that the target fails more often than is tolerated: few calls must nearly all fail,
    many need to fail only somewhat more than usual. What is tolerated follows the results of the last minutes.

    Attributes:
        state: `closed`, `open` or `half_open`.
        retry_at: until when it is open, on its clock.
        opened: how often it opened.
    """

    __slots__ = (
        "_asked_until", "_bad", "_bucket", "_changed_at", "_clock", "_failed_returns", "_good", "_pending", "_per_s",
        "_probe_at",
        "_returned", "_settings", "_usual_bad", "_usual_calls", "opened", "retry_at", "state",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings | None = None, *, clock: MonotonicClock = monotonic) -> None:
        self._settings = settings or BreakerSettings()
        self._per_s = _BUCKETS / self._settings.window_s
        self._clock = clock
        self.state: BreakerState = "closed"
        self.retry_at = 0.0
        self.opened = 0
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
        self._bucket = self._number(clock())
        self._changed_at = -inf  # no call is older than a new breaker's state
        self._failed_returns = 0
        self._pending = 0
        self._returned = 0
        self._probe_at = 0.0
        self._usual_bad = 0.0
        self._usual_calls = 0.0
        self._asked_until = -inf

    def is_open(self) -> bool:
        """Say whether `admit` would refuse now; changes nothing."""
        if self.state == "closed":
            return False
        now = self._clock()
        if self.state == "open":
            return now < self.retry_at
        return self._pending > self._returned and now - self._probe_at < self._settings.probe_s

    @property
    def recovering(self) -> bool:
        """Whether it is half-open and has been answered since."""
        return self.state == "half_open" and self._returned > 0

    def admit(self) -> bool:
        """Say whether a call may be sent now; if so, `end` must follow."""
        if self.state == "closed":
            return True
        if self.is_open():
            return False
        now = self._clock()
        if self.state == "open":
            self._change("half_open", now)
            self._pending = self._returned = 0
        elif now - self._probe_at >= self._settings.probe_s:
            self._pending = 0  # those calls were lost
        self._pending += 1
        self._probe_at = now
        return True

    def admit_anyway(self) -> None:
        """Let a call through although it is open: there is nowhere else to go. `end` must follow.

        It counts as an attempt to come back. When it succeeds, an open breaker goes on to half-open at once.
        """
        if not self.admit() and self.state == "half_open":
            self._pending += 1
            self._probe_at = self._clock()

    def end(self, ok: bool | None, *, taken_s: float = 0.0, retry_at: float | None = None) -> None:
        """Note how an admitted call ended.

        Args:
            ok: None when its end says nothing about the target: the caller broke it off, or was wrong.
            taken_s: how long it took. A call from before the last change of state changes nothing any more.
            retry_at: when the target said it can be asked again, on this breaker's clock: open until then.
        """
        now = self._clock()
        if retry_at is not None and retry_at > now:
            self._rest(now, retry_at)
            return
        if now - taken_s < self._changed_at:
            return
        if self.state == "closed":
            if ok and int(now * self._per_s) == self._bucket:
                self._good[self._bucket % _BUCKETS] += 1  # `_count`, for nearly all of them
            elif ok is not None:
                self._count(ok, now)
        elif self.state == "half_open":
            self._pending = max(0, self._pending - 1)
            if ok:
                self._come_back(now)
            elif ok is False:
                self._failed_returns += 1
                self._open(now)
        elif ok and now >= self._asked_until:  # it was asked anyway
            self.retry_at = now

    def tolerated(self) -> float:
        """Return the share of failures that is tolerated now."""
        settings = self._settings
        usual = self._usual_bad / (self._usual_calls + _PRIOR)
        return min(settings.tolerated + 2 * usual, settings.tolerated_at_most)

    def to_json(self) -> JsonObject:
        """Return what a person wants to know."""
        self._turn(self._clock())
        good, bad = sum(self._good), sum(self._bad)
        shown: JsonObject = {
            "state": self.state,
            "calls": good + bad,
            "failures": bad,
            "tolerated": round(self.tolerated(), 3),
            "opened": self.opened,
        }
        if self.state != "closed":
            shown["retry_in_s"] = round(max(0.0, self.retry_at - self._clock()), 3)
        return shown

    def _count(self, ok: bool, now: float) -> None:
        self._turn(now)
        counts = self._good if ok else self._bad
        counts[self._bucket % _BUCKETS] += 1
        if ok:
            return
        bad = sum(self._bad)
        calls = bad + sum(self._good)
        if calls >= self._settings.least_calls and _surely(bad, calls) > self.tolerated():
            self._open(now)

    def _turn(self, now: float) -> None:
        """Forget what is older than the window, into what is usual."""
        number = self._number(now)
        steps = number - self._bucket
        if steps <= 0:
            return
        self._bucket = number
        keep = 0.5 ** (steps * self._settings.window_s / _BUCKETS / self._settings.usual_half_life_s)
        self._usual_bad *= keep
        self._usual_calls *= keep
        for step in range(min(steps, _BUCKETS)):
            at = (number - step) % _BUCKETS
            self._usual_bad += self._bad[at]
            self._usual_calls += self._good[at] + self._bad[at]
            self._good[at] = self._bad[at] = 0

    def _number(self, now: float) -> int:
        return int(now * self._per_s)

    def _open(self, now: float) -> None:
        settings = self._settings
        cooldown_s = settings.cooldown_s * 2.0 ** min(self._failed_returns, 30)
        self.retry_at = max(self.retry_at, now + min(cooldown_s, settings.cooldown_at_most_s))
        self._change("open", now)
        self.opened += 1

    def _rest(self, now: float, retry_at: float) -> None:
        """Open because the target asked for it: no failure of its own, so the cooldown does not grow."""
        self.retry_at = max(self.retry_at, retry_at) if self.state == "open" else retry_at
        self._asked_until = max(self._asked_until, retry_at)
        if self.state != "open":
            self._change("open", now)
            self.opened += 1

    def _come_back(self, now: float) -> None:
        self._returned += 1
        if self._returned >= self._settings.ramp:
            self._change("closed", now)
            self._failed_returns = 0

    def _change(self, state: BreakerState, now: float) -> None:
        self.state = state
        self._changed_at = now
        # The results that led here must not count again, nor pass for what is usual.
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
        self._bucket = self._number(now)


def _surely(bad: int, calls: int) -> float:
    """Return the share of failures that is exceeded with 95 % certainty (Wilson's lower bound)."""
    z2 = _CONFIDENCE * _CONFIDENCE
    share = bad / calls
    middle = share + z2 / (2 * calls)
    spread = _CONFIDENCE * sqrt(share * (1 - share) / calls + z2 / (4 * calls * calls))
    return (middle - spread) / (1 + z2 / calls)
