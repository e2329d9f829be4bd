"""Values of routing: where a request can go, what is asked, and what was decided."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

import msgspec

from mosaic.core.values import JsonObject, JsonValue

__all__ = [
    "ASSUMED_CONTEXT_TOKENS",
    "EQUALLY",
    "NO_POLICY",
    "Decision",
    "Outcome",
    "Prefer",
    "Privacy",
    "Ranked",
    "Rejected",
    "RoutePolicy",
    "RouteRequest",
    "Target",
]

Privacy = Literal["any", "strict"]

ASSUMED_CONTEXT_TOKENS = 100_000
"""What a model is taken to hold when nobody stated its window; longer requests need one that says so."""

_EMPTY: Mapping[str, JsonValue] = MappingProxyType({})


def _nothing() -> Mapping[str, JsonValue]:
    return _EMPTY


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One place that a request can go: a model of a provider instance, or an instance of another kind.

    Attributes:
        id: unique in the router; ``<provider>:<model>``, or the provider's name where there is no model.
        kind: the provider kind, such as `ai`, `git` or `ci`.
        provider: the provider instance's name.
        model: the vendor's name of the model; None for kinds that have none.
        weight: its share where a strategy goes by weights.
        attributes: whatever else rules and requirements may ask for.
        region: where it runs, such as `eu-west`.
        residency: every region where it keeps data; empty when nobody stated it.
        compliance: the certificates it has, such as `gdpr`, `hipaa`, `soc2`.
        local: runs on the user's own machines; nothing leaves the house.
        capabilities: such as `vision`, `tools`, `structured_output`, `streaming`.
        context_tokens: the most it takes, question and answer together; None when unknown.
        input_nanos_per_token: price in billionths of a dollar; None when nobody knows.
        output_nanos_per_token: the same for what it writes.
        request_nanos: price of a request whatever its size, such as a build.
        quality: how good its answers are, 0 to 1, by the operator's judgement.
        capacity: requests it can take at once; None for no known bound.
        latency_s: how long it usually takes, until it was observed; None when unknown.
    """

    id: str
    kind: str
    provider: str
    model: str | None = None
    weight: float = 1.0
    attributes: Mapping[str, JsonValue] = field(default_factory=_nothing)
    region: str | None = None
    residency: frozenset[str] = frozenset()
    compliance: frozenset[str] = frozenset()
    local: bool = False
    capabilities: frozenset[str] = frozenset()
    context_tokens: int | None = None
    input_nanos_per_token: int | None = None
    output_nanos_per_token: int | None = None
    request_nanos: int | None = None
    quality: float = 0.5
    capacity: int | None = None
    latency_s: float | None = None

    def cost_nanos(self, input_tokens: int, output_tokens: int) -> int | None:
        """Return what a request of this size costs in billionths of a dollar; None when nobody knows."""
        if self.input_nanos_per_token is None and self.request_nanos is None:
            return 0 if self.local else None
        per_output = self.output_nanos_per_token or 0
        per_input = self.input_nanos_per_token or 0
        return (self.request_nanos or 0) + input_tokens * per_input + output_tokens * per_output


class RouteRequest(msgspec.Struct, frozen=True):
    """What the router is asked. Like everything made for each request a struct: these are made in a tenth of the time.

    Attributes:
        kind: the provider kind it needs.
        name: what the caller named: a route, ``<provider>:<model>``, or a name that rules know; may be empty.
        tenant, project: who pays.
        operation: such as `chat`, `embed`, `clone`, `build`.
        key_id: the virtual key it came with.
        agent: the agent that asks.
        needs: capabilities that the target must have.
        input_tokens: the size of the question, estimated.
        max_output_tokens: the most it may write.
        privacy: `strict` keeps the request on local targets.
        residency: regions where its data may be kept; empty for anywhere.
        compliance: certificates that the target must have, all of them.
        attributes: anything else that rules may match.
        session: what sticky routes keep together.
        budget_left_nanos: the most it may cost; None for no bound.
        region: where the caller is.
        request_id: makes shares (canary, shadow) stable when a request is repeated.
    """

    kind: str
    name: str
    tenant: str
    project: str
    operation: str = ""
    key_id: str | None = None
    agent: str | None = None
    needs: frozenset[str] = frozenset()
    input_tokens: int = 0
    max_output_tokens: int = 0
    privacy: Privacy = "any"
    residency: frozenset[str] = frozenset()
    compliance: frozenset[str] = frozenset()
    attributes: Mapping[str, JsonValue] = _EMPTY
    session: str | None = None
    budget_left_nanos: int | None = None
    region: str | None = None
    request_id: str = ""

    def to_json(self) -> JsonObject:
        """Return the request as a JSON object that `from_json` reads back."""
        shown: JsonObject = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, frozenset):
                value = sorted(value)
            elif isinstance(value, Mapping):
                value = dict(value)
            shown[name] = value
        return shown

    @classmethod
    def from_json(cls, shown: JsonObject) -> "RouteRequest":
        """Return the request that `to_json` wrote."""
        known = {name: value for name, value in shown.items() if name in cls.__struct_fields__}
        for name in ("needs", "residency", "compliance"):
            known[name] = frozenset(known.get(name, ()))
        return cls(**known)


class Outcome(msgspec.Struct, frozen=True):
    """How a request at a target ended.

    Attributes:
        ok: whether it answered; a request that the caller broke off counts as neither (leave `error_code` None).
        latency_s: until the end.
        first_byte_s: until the first piece; None when it had none.
        error_code: the code of the error (`mosaic.core.errors`).
        retry_at: when the target said it can be asked again, on the clock of `LiveStats`.
        tokens: read and written.
    """

    ok: bool
    latency_s: float
    first_byte_s: float | None = None
    error_code: str | None = None
    retry_at: float | None = None
    tokens: int = 0


class Ranked(msgspec.Struct, frozen=True):
    """A target that may take the request, and why it stands where it stands.

    Attributes:
        score: higher is better; what it means is the strategy's affair.
        parts: what the score was made of, such as ``{"cost": 0.8, "active": 3}``.
    """

    target: Target
    score: float
    parts: Mapping[str, float] = MappingProxyType({})

    def to_json(self) -> JsonObject:
        """Return the entry as a JSON object; what is unknown (infinite) is null."""
        parts = {name: _finite(value) for name, value in self.parts.items()}
        return {"target": self.target.id, "score": _finite(self.score), "parts": parts}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A target that may not take the request: the constraint it breaks, and a sentence for a person."""

    target: Target
    constraint: str
    reason: str

    def to_json(self) -> JsonObject:
        """Return the entry as a JSON object."""
        return {"target": self.target.id, "constraint": self.constraint, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """How a request is sent, once it is known where; None means the caller's own default.

    Attributes:
        connect_s, first_byte_s, idle_s, total_s: timeouts of the phases of one attempt, in seconds.
        attempts: how many candidates are tried at most, the first included.
        hedge_after_s: send to the next candidate too when the first is silent this long; 0 lets the caller use
            the observed 95th percentile.
        cache_ttl_s: how long an answer may be reused; 0 for never.
        semantic_cache: answers to similar questions may be reused.
    """

    connect_s: float | None = None
    first_byte_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None
    attempts: int | None = None
    hedge_after_s: float | None = None
    cache_ttl_s: float = 0.0
    semantic_cache: bool = False

    def to_json(self) -> JsonObject:
        """Return what is set as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class Prefer:
    """How much each side counts in a score; only their proportions matter."""

    cost: float = 1.0
    latency: float = 1.0
    quality: float = 1.0
    locality: float = 0.0


EQUALLY = Prefer()
"""Cost, latency and quality alike."""

NO_POLICY = RoutePolicy()
"""Everything as the caller does it anyway."""


class Decision(msgspec.Struct, frozen=True):
    """Where a request goes, in the order in which candidates are tried, and everything that led there.

    Attributes:
        request: what was asked.
        route: the route's name; empty for a direct ``<provider>:<model>``.
        rule: the rule that chose the route; None when the caller's name did.
        strategy: what ordered the candidates.
        candidates: best first, at most `MAX_CANDIDATES`; never empty.
        rejected: who may not take it.
        policy: how it is sent.
        applied: names of every rule that matched, the deciding one included.
        canary: whether the request belongs to the canary's share.
        shadow: targets that get a copy whose answer is thrown away.
        sticky: the first candidate was kept from an earlier request of the same session.
        seed: the random or counting number that ordered equals; with it a decision is repeated.
        at: when, in UTC.
        learned: the target that the learned model prefers; None when it is off or knows nothing.
        basis: what relative parts of scores refer to, such as the lowest cost in the field.
        window: the time-of-day window that was open.
        profile: the seasonal profile that was in force.
        features: what the learned model saw of the request; empty when learning is off.
        prefer: how much cost, latency, quality and locality counted.
        live: the figures of each candidate at that moment (`LiveTarget.figures`).
    """

    request: RouteRequest
    route: str
    rule: str | None
    strategy: str
    candidates: tuple[Ranked, ...]
    rejected: tuple[Rejected, ...] = ()
    policy: RoutePolicy = NO_POLICY
    applied: tuple[str, ...] = ()
    canary: bool = False
    shadow: tuple[Target, ...] = ()
    sticky: bool = False
    seed: int = 0
    at: datetime | None = None
    learned: str | None = None
    basis: Mapping[str, float] = MappingProxyType({})
    window: str | None = None
    profile: str | None = None
    features: tuple[float, ...] = ()
    prefer: Prefer = EQUALLY
    live: tuple[tuple[float, ...], ...] = ()

    @property
    def target(self) -> Target:
        """The first candidate."""
        return self.candidates[0].target

    def to_json(self) -> JsonObject:
        """Return the decision record: what `Router.replay` takes, and what an audit reads."""
        return {
            "request": self.request.to_json(),
            "route": self.route,
            "rule": self.rule,
            "strategy": self.strategy,
            "target": self.target.id,
            "candidates": [
                {**entry.to_json(), "live": list(figures)}
                for entry, figures in zip(
                    self.candidates, self.live or ((),) * len(self.candidates), strict=True
                )
            ],
            "rejected": [entry.to_json() for entry in self.rejected],
            "policy": self.policy.to_json(),
            "applied": list(self.applied),
            "canary": self.canary,
            "shadow": [target.id for target in self.shadow],
            "sticky": self.sticky,
            "seed": self.seed,
            "at": self.at.isoformat() if self.at else None,
            "learned": self.learned,
            "basis": dict(self.basis),
            "window": self.window,
            "profile": self.profile,
        }
