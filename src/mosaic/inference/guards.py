"""What stands between a call and a target that is in trouble or busy: its breaker and its credential's rate limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.resilience import (
    BreakerSettings,
    CircuitBreaker,
    CredentialLimit,
    MonotonicClock,
    PredictiveHealth,
    monotonic,
)
from mosaic.routing import Decision, Outcome, Target

__all__ = ["Guards"]

# The target did its part: what went wrong was the request, the caller's limits or the caller's patience.
_NOT_ITS_FAULT = frozenset(
    {"invalid_input", "budget_exceeded", "cancelled", "model_refused", "not_found", "unsupported"}
)
# The provider asked for less, which is its credential's affair, shared by all of its models.
_LIMITED = "limit_exceeded"
_RISKY = 1.0
_PROBE_S = 0.1
_LOOK_S = 0.25


class _Guard:
    """One target's breaker and outlook, and the limit of the credential it shares."""

    __slots__ = ("_looked", "_risk", "breaker", "credential", "health", "probed_at")

    def __init__(
        self, breaker: CircuitBreaker, credential: CredentialLimit, health: PredictiveHealth
    ) -> None:
        self.breaker = breaker
        self.credential = credential
        self.health = health
        self._looked = 0.0
        self._risk = 0.0
        self.probed_at = -inf

    def risk(self, now: float) -> float:
        """Return the risk of the target's outlook, worked out at most four times a second."""
        if now - self._looked > _LOOK_S:
            self._looked, self._risk = now, self.health.outlook().risk
        return self._risk


class Guards:
    """The guards of every target that was ever asked. For one event loop."""

    def __init__(self, settings: BreakerSettings | None = None, *, clock: MonotonicClock = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._guards: dict[str, _Guard] = {}
        self._credentials: dict[str, CredentialLimit] = {}
        self._gone: set[str] = set()
        self._forgiving = False

    def is_open(self, target_id: str) -> bool:
        """Say whether a target is to be left alone now: it failed too often, or its provider is gone."""
        if self._gone and target_id.partition(":")[0] in self._gone:
            return True
        guard = self._guards.get(target_id)
        return guard is not None and guard.breaker.is_open()

    def avoided(self, target_id: str) -> bool:
        """Say whether a router should look elsewhere: the target is open, gone, or by its trend about to fail."""
        if self._forgiving:
            return False
        guard = self._guards.get(target_id)
        if guard is None or self._gone:
            return self.is_open(target_id) or self.risky(target_id)
        return guard.breaker.is_open() or guard.risk(self._clock()) >= _RISKY

    @contextmanager
    def forgiving(self) -> Iterator[None]:
        """Avoid nobody in this block: there is nowhere else to look. Without waiting inside."""
        self._forgiving = True
        try:
            yield
        finally:
            self._forgiving = False

    def set_gone(self, provider: str, *, gone: bool) -> None:
        """Note what a health check of a provider found."""
        if gone:
            self._gone.add(provider)
        else:
            self._gone.discard(provider)

    def forget(self, provider: str) -> None:
        """Start anew with a provider whose address or key is another one now."""
        self._gone.discard(provider)
        self._credentials.pop(provider, None)
        for target_id in [known for known in self._guards if known.partition(":")[0] == provider]:
            del self._guards[target_id]

    def may_probe(self, target: Target) -> bool:
        """Say whether a target that rests may be asked without a budget; counts as a try.

        It may when it has begun to answer again, and now and then to find out.
        """
        guard, now = self._of(target), self._clock()
        if guard.breaker.recovering:
            return True
        if now - guard.probed_at < _PROBE_S:
            return False
        guard.probed_at = now
        return True

    def admit(self, target: Target, *, anyway: bool = False) -> str | None:
        """Let a call to a target through and return None, or say why not. `ended` or `unused` must follow.

        Args:
            target: where it goes.
            anyway: also when the target failed too often, because there is nowhere else to go. What its provider
                asked for holds all the same.
        """
        guard = self._guards.get(target.id) or self._of(target)
        wait_s = guard.credential.take()
        if wait_s:
            return f"its provider's rate limit is used up for {wait_s:.1f} s"
        if anyway:
            guard.breaker.admit_anyway()
        elif not guard.breaker.admit():
            guard.credential.leave()
            return "it failed too often and rests"
        return None

    def unused(self, target: Target) -> None:
        """Take back an admission: nothing was sent."""
        guard = self._of(target)
        guard.credential.leave()
        guard.breaker.end(None)

    def ended(
        self,
        target: Target,
        outcome: Outcome,
        error: MosaicError | None,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """Learn from how an admitted call ended."""
        guard = self._guards.get(target.id) or self._of(target)
        code = outcome.error_code
        if outcome.ok and code is None and not self._gone:  # nearly all of them
            guard.credential.leave(headers=headers)
            guard.breaker.end(True, taken_s=outcome.latency_s)
            guard.health.record(True, outcome.latency_s)
            return
        limited_until = outcome.retry_at if code == _LIMITED else None
        guard.credential.leave(headers=headers, retry_at=limited_until)
        if code == _LIMITED:
            ok = None if limited_until is not None else False
        elif code in _NOT_ITS_FAULT or (not outcome.ok and error is None):
            ok = None
        else:
            ok = outcome.ok
        if ok:
            self._gone.discard(target.provider)
        guard.breaker.end(ok, taken_s=outcome.latency_s, retry_at=outcome.retry_at if ok is False else None)
        if ok is not None:
            guard.health.record(ok, outcome.latency_s)

    def next_chance_s(self, decision: Decision) -> float:
        """Return in how many seconds a target of a decision may take calls again, as far as is known."""
        waits = []
        for ranked in decision.candidates:
            guard = self._of(ranked.target)
            waits.append(max(guard.credential.wait_s(), guard.breaker.retry_at - self._clock(), 0.0))
        return round(max(min(waits, default=1.0), 0.1), 1)

    def risky(self, target_id: str) -> bool:
        """Say whether a target is about to fail, by the trend of its errors and latency."""
        guard = self._guards.get(target_id)
        return guard is not None and guard.risk(self._clock()) >= _RISKY

    def to_json(self) -> JsonObject:
        """Return the state of every target that was asked."""
        return {
            target_id: {
                "breaker": guard.breaker.to_json(),
                "credential": guard.credential.to_json(),
                "outlook": guard.health.outlook().to_json(),
            }
            for target_id, guard in sorted(self._guards.items())
        }

    def _of(self, target: Target) -> _Guard:
        guard = self._guards.get(target.id)
        if guard is None:
            credential = self._credentials.get(target.provider)
            if credential is None:
                credential = self._credentials[target.provider] = CredentialLimit(clock=self._clock)
            breaker = CircuitBreaker(self._settings, clock=self._clock)
            guard = self._guards[target.id] = _Guard(breaker, credential, PredictiveHealth(clock=self._clock))
        return guard
