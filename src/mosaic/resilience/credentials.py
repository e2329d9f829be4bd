"""The rate limit of one credential, learned from what the provider says and shared by everyone who uses it."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite

from mosaic.core.clock import Clock, now
from mosaic.core.values import JsonObject
from mosaic.resilience.clock import MonotonicClock, monotonic

__all__ = ["CredentialLimit"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST_S = 86_400.0
_EPOCH_FROM = 1_000_000_000.0  # a number as large as this is a date, not a duration
# (resource, field) by header: OpenAI and those like it; Anthropic.
_HEADERS = {
    f"{prefix}{name}": (resource, part)
    for resource in ("requests", "tokens")
    for part in ("limit", "remaining", "reset")
    for prefix, name in (
        ("x-ratelimit-", f"{part}-{resource}"),
        ("anthropic-ratelimit-", f"{resource}-{part}"),
    )
}
_BYTES = {name.encode(): meaning for name, meaning in _HEADERS.items()}


class _Allowance:
    """What is left of one resource, filling up evenly until its reset."""

    __slots__ = ("at", "held", "left", "limit", "rate_per_s")

    def __init__(self) -> None:
        self.limit = 0.0
        self.left = 0.0
        self.rate_per_s = 0.0
        self.held = 0.0  # by calls whose answer has not come yet
        self.at = 0.0

    def wait_s(self, n: float, at: float) -> float:
        if self.limit <= 0:
            return 0.0  # nothing is known
        level = min(self.limit, self.left + (at - self.at) * self.rate_per_s)
        need = min(n, self.limit)
        if level >= need - 1e-9:
            return 0.0
        return (need - level) / self.rate_per_s if self.rate_per_s > 0 else 1.0

    def take(self, n: float, at: float) -> None:
        self.held += n
        if self.limit > 0:
            self.left = min(self.limit, self.left + (at - self.at) * self.rate_per_s) - n
            self.at = at

    def learn(self, limit: float, left: float, reset_s: float, at: float) -> None:
        self.limit = limit
        # Calls under way may not be in the provider's figure yet.
        self.left = min(left, limit) - self.held
        self.rate_per_s = (limit - min(left, limit)) / reset_s if reset_s > 0 else limit / 60.0
        self.at = at


class CredentialLimit:
    """Keeps all calls with one key within what its provider allows. Knows no limit until it is told one.

    Attributes:
        blocked_until: no call before this moment of the clock: the provider refused one.
    """

    __slots__ = ("_clock", "_now", "_requests", "_tokens", "blocked_until")

    def __init__(self, *, clock: MonotonicClock = monotonic, now: Clock = now) -> None:
        self._clock = clock
        self._now = now
        self._requests = _Allowance()
        self._tokens = _Allowance()
        self.blocked_until = 0.0

    def wait_s(self, tokens: float = 0) -> float:
        """Return how long a call must wait, as `take` would; takes nothing."""
        at = self._clock()
        if at < self.blocked_until:
            return self.blocked_until - at
        return max(self._requests.wait_s(1, at), self._tokens.wait_s(tokens, at))

    def take(self, tokens: float = 0) -> float:
        """Count a call and return 0.0, or count nothing and return how many seconds to wait.

        Args:
            tokens: that the call is expected to use; give the same to `leave`.
        """
        requests, known = self._requests, self._tokens
        if not requests.limit and not known.limit and not self.blocked_until:
            requests.held += 1  # nothing is known of any limit
            known.held += tokens
            return 0.0
        wait_s = self.wait_s(tokens)
        if wait_s == 0.0:
            at = self._clock()
            self._requests.take(1, at)
            self._tokens.take(tokens, at)
        return wait_s

    def leave(
        self,
        tokens: float = 0,
        *,
        headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]] | None = None,
        retry_at: float | None = None,
    ) -> None:
        """End a call that was taken, and learn from its answer.

        Args:
            tokens: as given to `take`.
            headers: of the answer, names in lower case.
            retry_at: when the provider, refusing the call, said it can be asked again, on the clock.
        """
        requests, known = self._requests, self._tokens
        requests.held = requests.held - 1 if requests.held > 1 else 0.0
        known.held = known.held - tokens if known.held > tokens else 0.0
        if headers is not None:
            self._learn(headers)
        if retry_at is not None:
            self.blocked_until = max(self.blocked_until, retry_at)

    def to_json(self) -> JsonObject:
        """Return what is known."""
        at = self._clock()
        shown: JsonObject = {"blocked_for_s": round(max(0.0, self.blocked_until - at), 3)}
        for name, known in (("requests", self._requests), ("tokens", self._tokens)):
            if known.limit > 0:
                left = min(known.limit, known.left + (at - known.at) * known.rate_per_s)
                shown[name] = {"limit": known.limit, "left": round(left, 1)}
        return shown

    def _learn(self, headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]]) -> None:
        if type(headers) is not list and isinstance(headers, Mapping):
            told = [(_HEADERS[name], value) for name, value in headers.items() if name in _HEADERS]
        else:
            told = [(_BYTES[name], value.decode("latin-1")) for name, value in headers if name in _BYTES]
        if not told:
            return
        found: dict[str, dict[str, str]] = {}
        for (resource, part), value in told:
            found.setdefault(resource, {})[part] = value
        for resource, said in found.items():
            known = self._requests if resource == "requests" else self._tokens
            limit, left = _number(said.get("limit")), _number(said.get("remaining"))
            if limit is None or left is None or limit <= 0:
                continue
            known.learn(limit, left, self._seconds(said.get("reset", "")), self._clock())

    def _seconds(self, text: str) -> float:
        """Return a reset as seconds from now: ``1s``, ``6m0s``, ``120ms``, seconds, a date or seconds since 1970."""
        number = _number(text)
        if number is not None:
            since = number - self._now().timestamp() if number >= _EPOCH_FROM else number
            return min(max(since, 0.0), _LONGEST_S)
        parts = _DURATION.findall(text)
        if parts and "".join(a + b for a, b in parts) == text.strip():
            return min(sum(float(amount) * _UNITS_S[unit] for amount, unit in parts), _LONGEST_S)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return 0.0
        if moment.tzinfo is None:
            return 0.0
        return min(max((moment - self._now()).total_seconds(), 0.0), _LONGEST_S)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
