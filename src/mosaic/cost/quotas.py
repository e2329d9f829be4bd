"""How much at once and per minute: requests, tokens and concurrency of tenants, projects and keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mosaic.core.errors import LimitExceeded
from mosaic.cost.payer import Payer
from mosaic.resilience import MonotonicClock, TokenBucket, monotonic

__all__ = ["KeyQuota", "Quota", "QuotaEntry", "QuotaLimits", "QuotaSettings", "Quotas"]

_MOST_METERS = 20_000
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Quota:
    """How much at once; None where there is no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """Quotas that no key carries.

    Attributes:
        tenants: by name; ``*`` is for all that are not named.
        projects: by ``tenant/project``, or ``*``.
        keys: for keys that carry none.
    """

    tenants: Mapping[str, Quota] = field(default_factory=dict)
    projects: Mapping[str, Quota] = field(default_factory=dict)
    keys: Quota = Quota()


class QuotaLimits(Protocol):
    """Anything that says how much at once."""

    @property
    def requests_per_minute(self) -> int | None:
        """Requests a minute."""
        ...

    @property
    def tokens_per_minute(self) -> int | None:
        """Tokens a minute."""
        ...

    @property
    def concurrency(self) -> int | None:
        """Calls under way."""
        ...


class KeyQuota(Protocol):
    """A key that carries limits."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def limits(self) -> QuotaLimits:
        """How much at once."""
        ...


class _Meter:
    """What one tenant, project or key uses now."""

    __slots__ = ("_clock", "active", "concurrency", "name", "quota", "requests", "subject", "tokens")

    def __init__(self, name: str, subject: str, clock: MonotonicClock) -> None:
        self.name = name
        self.subject = subject
        self.active = 0
        self.quota: QuotaLimits = Quota()
        self.concurrency: int | None = None
        self.requests: TokenBucket | None = None
        self.tokens: TokenBucket | None = None
        self._clock = clock

    def set(self, quota: QuotaLimits, share: int) -> None:
        """Hold to a share of a quota; what is used stays used."""
        self.quota = quota
        self.concurrency = max(quota.concurrency // share, 1) if quota.concurrency is not None else None
        self.requests = self._bucket(self.requests, quota.requests_per_minute, share)
        self.tokens = self._bucket(self.tokens, quota.tokens_per_minute, share)

    def _bucket(self, bucket: TokenBucket | None, limit: int | None, share: int) -> TokenBucket | None:
        if limit is None:
            return None
        burst = max(limit / share, 1.0)
        if bucket is None:
            return TokenBucket(burst / _MINUTE_S, burst, self._clock)
        bucket.resize(burst / _MINUTE_S, burst)
        return bucket


class QuotaEntry:
    """One call that was let in. `leave` it, once."""

    __slots__ = ("_meters", "_tokens")

    def __init__(self, meters: tuple[_Meter, ...], tokens: int) -> None:
        self._meters = meters
        self._tokens = tokens

    def leave(self, tokens: int) -> None:
        """End the call, which has used `tokens`; what was taken too little or too much is put right."""
        meters, self._meters = self._meters, ()
        difference = self._tokens - tokens
        for meter in meters:
            meter.active -= 1
            if difference and meter.tokens is not None:
                meter.tokens.give(difference)


_FREE = QuotaEntry((), 0)


class Quotas:
    """Lets calls in or refuses them, in memory.

    On several nodes each has an equal share of every limit, so that all together keep it.

    Args:
        settings: what holds where a key says nothing.
        clock: monotonic seconds.
    """

    def __init__(self, settings: QuotaSettings | None = None, *, clock: MonotonicClock = monotonic) -> None:
        self._settings = settings or QuotaSettings()
        self._clock = clock
        self._share = 1
        self._meters: dict[tuple[str, str], _Meter] = {}
        self._chains: dict[Payer, tuple[QuotaLimits | None, tuple[_Meter, ...]]] = {}

    @property
    def share(self) -> int:
        """Among how many nodes every limit is divided."""
        return self._share

    def enter(self, payer: Payer, tokens: int = 0, *, key: KeyQuota | None = None) -> QuotaEntry:
        """Let a call in that will use about `tokens`.

        Raises:
            LimitExceeded: naming the tenant, the resource, and its current, requested and allowed amount; nothing
                was taken.
        """
        limits = key.limits if key is not None else None
        known = self._chains.get(payer)
        chain = known[1] if known is not None and known[0] is limits else self._chain(payer, limits)
        if not chain:
            return _FREE
        for meter in chain:
            if meter.concurrency is not None and meter.active >= meter.concurrency:
                raise _too_many(meter, payer)
        for place, meter in enumerate(chain):
            if meter.requests is not None and (wait_s := meter.requests.take()):
                _undo(chain[:place], tokens)
                raise _too_fast(meter, payer, "requests_per_minute", 1, wait_s)
            if meter.tokens is not None and (wait_s := meter.tokens.take(tokens)):
                if meter.requests is not None:
                    meter.requests.give(1)
                _undo(chain[:place], tokens)
                raise _too_fast(meter, payer, "tokens_per_minute", tokens, wait_s)
        for meter in chain:
            meter.active += 1
        return QuotaEntry(chain, tokens)

    def divide(self, nodes: int) -> None:
        """Share every limit among `nodes`; called when nodes come and go."""
        share = max(nodes, 1)
        if share == self._share:
            return
        self._share = share
        for meter in self._meters.values():
            meter.set(meter.quota, share)

    def _chain(self, payer: Payer, limits: QuotaLimits | None) -> tuple[_Meter, ...]:
        if len(self._chains) >= _MOST_METERS:
            self._forget_idle()
        settings = self._settings
        project = f"{payer.tenant}/{payer.project}"
        wanted: list[tuple[str, str, QuotaLimits | None]] = [
            ("tenant", payer.tenant, settings.tenants.get(payer.tenant, settings.tenants.get("*"))),
            ("project", project, settings.projects.get(project, settings.projects.get("*"))),
        ]
        if payer.key_id is not None:
            wanted.append(
                ("key", payer.key_id, limits if limits is not None and _says(limits) else settings.keys)
            )
        chain = tuple(
            self._meter(name, subject, quota)
            for name, subject, quota in wanted
            if quota is not None and _says(quota)
        )
        self._chains[payer] = (limits, chain)
        return chain

    def _meter(self, name: str, subject: str, quota: QuotaLimits) -> _Meter:
        meter = self._meters.get((name, subject))
        if meter is None:
            meter = self._meters[name, subject] = _Meter(name, subject, self._clock)
        meter.set(quota, self._share)
        return meter

    def _forget_idle(self) -> None:
        """Forget who is not here: a meter that nobody uses is full again within a minute."""
        self._chains.clear()
        self._meters = {place: meter for place, meter in self._meters.items() if meter.active > 0}


def _says(limits: QuotaLimits) -> bool:
    return not (
        limits.requests_per_minute is None and limits.tokens_per_minute is None and limits.concurrency is None
    )


def _undo(meters: tuple[_Meter, ...], tokens: int) -> None:
    for meter in meters:
        if meter.requests is not None:
            meter.requests.give(1)
        if meter.tokens is not None:
            meter.tokens.give(tokens)


def _too_many(meter: _Meter, payer: Payer) -> LimitExceeded:
    limit = meter.concurrency or 0
    return LimitExceeded(
        f"The {meter.name} {meter.subject} has {meter.active} calls under way, and may have {limit}.",
        hint="Wait until one has ended, or ask for a higher limit.",
        tenant=payer.tenant, scope=meter.name, subject=meter.subject, resource="concurrency",
        current=meter.active, requested=1, limit=limit, retry_after_s=1.0,
    )  # fmt: skip


def _too_fast(meter: _Meter, payer: Payer, resource: str, requested: int, wait_s: float) -> LimitExceeded:
    bucket = meter.requests if resource == "requests_per_minute" else meter.tokens
    limit: int = getattr(meter.quota, resource)
    current = max(round(bucket.burst - bucket.level()), 0) if bucket is not None else 0
    what = resource.replace("_", " ")
    return LimitExceeded(
        f"The {meter.name} {meter.subject} may use {limit:,} {what}: {current:,} are used, {requested:,} more are "
        "asked for.",
        hint=f"Try again in {wait_s:.1f} s, or ask for a higher limit.",
        tenant=payer.tenant, scope=meter.name, subject=meter.subject, resource=resource,
        current=current, requested=requested, limit=limit, retry_after_s=round(wait_s, 3),
    )  # fmt: skip
