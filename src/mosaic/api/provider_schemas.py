"""What requests about providers, models and routes hold, and what answers look like."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from mosaic.api.schemas import Body, Document

__all__ = [
    "ExplainRoute",
    "ExplanationDocument",
    "HealthDocument",
    "Kind",
    "ModelPage",
    "ProviderDocument",
    "ProviderPage",
    "ReloadDocument",
    "RoutePage",
]

Kind = Literal["ai", "git", "ci", "knowledge", "projects", "automation"]
Status = Literal["ready", "unconfigured", "unreachable", "refused", "broken"]
Part = Literal["ok", "failing", "unknown"]
Breaker = Literal["closed", "half_open", "open"]


class HealthParts(Document):
    """What health consists of."""

    connectivity: Part
    authentication: Part
    rate_limit: Part
    dependencies: Part


class HealthDocument(Document):
    """Whether a provider can be used."""

    provider: str
    status: Status
    detail: str
    hint: str | None
    parts: HealthParts
    limited_until: datetime | None = Field(description="while it has told us to wait")


class VersionDocument(Document):
    """One version of a plugin that serves an instance."""

    pin: str
    version: str | None = Field(description="null until its code was loaded")
    weight: int
    in_flight: int = Field(description="calls that run on it now")


class TargetFigures(Document):
    """A model's figures in this process since its start."""

    id: str
    active: int
    latency_s: float = Field(description="jumps up at once, comes down slowly")
    first_byte_s: float
    error_rate: float = Field(description="share of failures, recent ones first")
    finished: int
    failed: int
    breaker: Breaker
    retry_in_s: float | None = Field(description="when an open breaker lets a call try")
    opened: int = Field(description="how often the breaker opened")
    risk: float = Field(description="1 and above: it is about to fail, by the trend")


class ProviderRow(Document):
    """A provider instance: a plugin under a name."""

    name: str
    plugin: str
    version: str | None
    kinds: list[Kind]
    origin: str | None
    attributes: dict[str, Any]
    status: Status
    detail: str
    hint: str | None
    parts: HealthParts
    limited_until: datetime | None
    versions: list[VersionDocument]
    breaker: Breaker | None = Field(description="of its worst model; null when none was asked yet")
    rate_limit: dict[str, Any] | None = Field(description="what is known of its key's limits")
    targets: list[TargetFigures] = Field(description="its models that were asked since the start")
    healing: dict[str, Any] | None = Field(description="the last attempt to heal it, step by step")


class ProviderPage(Document):
    """The providers."""

    items: list[ProviderRow]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class ProviderDocument(ProviderRow):
    """A provider instance, its plugin's manifest, and what it can do."""

    manifest: dict[str, Any] | None
    capabilities: dict[str, dict[str, Any]] | None = Field(description="operation -> level and reason")
    capabilities_error: str | None = Field(description="why it cannot be asked")


class ReloadDocument(Document):
    """What a reload did."""

    snapshot: int
    added: list[str]
    changed: list[str]
    removed: list[str]
    draining: int = Field(description="calls that go on at replaced providers")


class ModelDocument(Document):
    """A model that requests can name."""

    id: str = Field(description="provider:model")
    provider: str
    model: str
    ready: bool = Field(description="its provider can be used now")
    capabilities: list[str]
    context_tokens: int | None
    input_usd_per_mtok: float | None
    output_usd_per_mtok: float | None
    local: bool
    region: str | None
    residency: list[str]
    compliance: list[str]
    quality: float


class ModelPage(Document):
    """The models, by name."""

    items: list[ModelDocument]
    unanswered: list[str] = Field(description="providers that were asked for their models and did not answer")
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class RouteDocument(Document):
    """A route, and where it leads."""

    name: str
    kind: Kind
    description: str
    strategy: str
    targets: list[str]
    fallback: list[str]
    learned: Literal["off", "shadow", "on"]
    windows: list[str]
    policy: dict[str, Any]


class RuleDocument(Document):
    """A rule, by priority."""

    name: str
    priority: int
    route: str | None
    targets: list[str]
    strategy: str | None
    reason: str


class RoutePage(Document):
    """The routes and rules in force."""

    items: list[RouteDocument]
    rules: list[RuleDocument]
    default: dict[str, Any]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class ExplainRoute(Body):
    """A request whose way is asked for. The tenant is the caller's."""

    name: str = Field("", max_length=500, description="a route, provider:model, or any name that rules know")
    kind: Kind = "ai"
    operation: str = Field("chat", max_length=100)
    project: str | None = Field(None, max_length=64, description="the caller's own by default")
    key_id: str | None = Field(None, max_length=200)
    agent: str | None = Field(None, max_length=200)
    needs: list[str] = Field([], max_length=50, description="capabilities, such as vision or tools")
    input_tokens: int = Field(1_000, ge=0, le=2**53)
    max_output_tokens: int = Field(1_000, ge=0, le=2**53)
    privacy: Literal["any", "strict"] = "any"
    residency: list[str] = Field([], max_length=50)
    compliance: list[str] = Field([], max_length=50)
    attributes: dict[str, Any] = Field({}, max_length=100)
    session: str | None = Field(None, max_length=500)
    region: str | None = Field(None, max_length=100)
    budget_usd: float | None = Field(None, ge=0, le=1_000_000_000, allow_inf_nan=False)
    request_id: str = Field("explain", max_length=200, description="decides shares such as a canary's")


class Requirement(Document):
    """Something that was required, and who required it."""

    by: str
    what: str


class RuleSeen(Document):
    """A rule that was looked at."""

    name: str
    priority: int
    came_to: str
    reason: str


class ExplanationDocument(Document):
    """Where a request would go now, and why."""

    decision: dict[str, Any] | None = Field(description="candidates in order, and who was rejected for what")
    error: dict[str, Any] | None = Field(description="why nobody takes it")
    found_by: str
    required: list[Requirement]
    rules: list[RuleSeen]
    summary: list[str] = Field(description="the same in sentences")
