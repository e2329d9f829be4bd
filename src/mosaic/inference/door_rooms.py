"""What the model door for calls from outside works with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mosaic.cache import Cache, CachePolicy
from mosaic.core.errors import LimitExceeded, MosaicError
from mosaic.core.redaction import Redactor
from mosaic.cost import Budgets, Ledger, PriceBook, QuotaEntry, Quotas, TokenCost
from mosaic.inference.capture import Captures
from mosaic.inference.door_call import DoorCall
from mosaic.inference.guards import Guards
from mosaic.inference.metrics import DoorMetrics
from mosaic.observability import Telemetry
from mosaic.providers import ModelCapabilities, ProviderRegistry
from mosaic.providers.upstream import UpstreamPool, UpstreamTimeouts
from mosaic.resilience import RetryBudget
from mosaic.routing import Decision, LiveStats, Outcome, RoutePolicy, Router, Target

__all__ = ["DoorRooms", "DoorSettings", "SimilarSettings"]

_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """How calls from outside are made where their route does not say.

    Attributes:
        attempts: targets asked at most for one call.
        max_concurrency: calls at once; more are refused, with a time to try again.
        max_output_tokens: the answer's limit where the client names none and a budget holds.
        least_output_tokens: how far that limit may be lowered so that the call still fits a budget.
        answer_limit_bytes: the largest answer that is not streamed.
        timeouts: of the phases of one attempt.
    """

    attempts: int = 3
    max_concurrency: int = 4_096
    max_output_tokens: int = 16_384
    least_output_tokens: int = 256
    answer_limit_bytes: int = 64_000_000
    timeouts: UpstreamTimeouts = field(default_factory=UpstreamTimeouts)


@dataclass(frozen=True, slots=True)
class SimilarSettings:
    """Who gets answers to similar questions.

    Attributes:
        embedder: ``provider:model`` that makes the vectors; None switches similarity off everywhere.
        tenants: patterns of names of the tenants that want it.
        similarity: how alike questions must be, as the cosine of their vectors.
        timeout_s: a vector that takes longer is a miss.
    """

    embedder: str | None = None
    tenants: tuple[str, ...] = ()
    similarity: float = 0.97
    timeout_s: float = 2.0


@dataclass(slots=True)
class DoorRooms:
    """The rooms below, and what the door keeps of all calls together."""

    providers: ProviderRegistry
    router: Router
    live: LiveStats
    guards: Guards
    budgets: Budgets
    quotas: Quotas
    ledger: Ledger
    prices: PriceBook
    cache: Cache
    upstream: UpstreamPool
    metrics: DoorMetrics
    retries: RetryBudget
    redactor: Redactor
    settings: DoorSettings
    telemetry: Telemetry | None = None
    captures: Captures | None = None
    similar: SimilarSettings = SimilarSettings()
    cache_limits: Mapping[str, CachePolicy] = field(default_factory=dict)
    open_calls: int = 0
    able: dict[str, ModelCapabilities] = field(default_factory=dict)

    def enter(self, call: DoorCall) -> QuotaEntry:
        """Let a call in.

        Raises:
            LimitExceeded: if a quota is used up, or the process has as many calls as it can take.
        """
        if self.open_calls >= self.settings.max_concurrency:
            self.metrics.refusal("overloaded")
            raise LimitExceeded(
                f"This gateway answers {self.open_calls} calls already.",
                hint="Try again in a moment, or raise gateway.max_concurrency.",
                retry_after_s=1.0,
            )
        try:
            entry = self.quotas.enter(call.payer, call.peek.input_tokens, key=call.key)
        except MosaicError as error:
            self.metrics.refusal(error.code)
            raise
        self.retries.request()
        self.open_calls += 1
        return entry

    def ended(
        self,
        decision: Decision,
        target: Target,
        outcome: Outcome,
        error: MosaicError | None,
        *,
        nanos: int | None,
        headers: list[tuple[bytes, bytes]] | None,
    ) -> None:
        """Learn from how an attempt ended, and from what it cost."""
        self.live.end(target.id, outcome)
        self.guards.ended(target, outcome, error, headers)
        if error is not None:
            self.metrics.attempt_failed(target, error.code)
        if decision.features:
            self.router.learn(decision, target, outcome, cost_nanos=nanos)

    def left(self) -> None:
        """Count a call that was let in as ended."""
        self.open_calls -= 1

    def capabilities(self, target: Target) -> ModelCapabilities:
        """Return what a target's model can do; looked up once until `forget`."""
        known = self.able.get(target.id)
        if known is None:
            known = self.providers.ai(target.provider).capabilities(target.model or "")
            if len(self.able) < _MOST_KNOWN:
                self.able[target.id] = known
        return known

    def forget(self) -> None:
        """Look capabilities up again: providers or routes have changed."""
        self.able.clear()

    def price_of(self, target: Target, tenant: str) -> TokenCost | None:
        """Return what a target's tokens cost; None when nobody knows."""
        able = self.able.get(target.id) or self.capabilities(target)
        return self.prices.price_of(target.provider, target.model or "", able, tenant=tenant)

    def most_output(self, target: Target) -> int | None:
        """Return the most that a target's model writes in one answer; None when unknown."""
        return self.capabilities(target).max_output_tokens

    def timeouts(self, policy: RoutePolicy) -> UpstreamTimeouts:
        """Return the timeouts of an attempt under a route's policy."""
        own = self.settings.timeouts
        if policy.connect_s is policy.first_byte_s is policy.idle_s is policy.total_s is None:
            return own
        return replace(
            own,
            connect_s=policy.connect_s or own.connect_s,
            first_byte_s=policy.first_byte_s or own.first_byte_s,
            idle_s=policy.idle_s or own.idle_s,
            total_s=policy.total_s or own.total_s,
        )
