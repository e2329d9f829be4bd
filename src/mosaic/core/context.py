"""Who acts, for which tenant and project, and why: passed to every service verb, never global."""

from dataclasses import dataclass, replace
from typing import Literal

from mosaic.core.errors import TenantViolation

__all__ = ["Actor", "ActorKind", "Context"]

ActorKind = Literal["user", "agent", "system", "webhook"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, an agent, the system itself or a caller from outside."""

    kind: ActorKind
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Actor":
        """Return the actor written by `str()`."""
        kind, _, identifier = text.partition(":")
        if kind not in ("user", "agent", "system", "webhook"):
            raise ValueError(f"not an actor: {text!r}")
        return cls(kind, identifier)  # type: ignore[arg-type]  # narrowed by the check above


@dataclass(frozen=True, slots=True)
class Context:
    """The scope of one request or engine step.

    Attributes:
        tenant: the isolation and billing boundary; every query is scoped by it.
        project: a unit of work inside the tenant.
        actor: who acts.
        correlation: the id that ties a chain of events together, usually the run id.
        causation: the id of the event that caused this one.
    """

    tenant: str
    project: str
    actor: Actor
    correlation: str | None = None
    causation: str | None = None

    def acting_as(self, actor: Actor) -> "Context":
        """Return this context with another actor."""
        return replace(self, actor=actor)

    def correlated(self, correlation: str, causation: str | None = None) -> "Context":
        """Return this context inside the chain `correlation`, caused by the event `causation`."""
        return replace(self, correlation=correlation, causation=causation or self.causation)

    def require_tenant(self, tenant: str) -> None:
        """Check that a value belongs to this tenant.

        Raises:
            TenantViolation: if it belongs to another one.
        """
        if tenant != self.tenant:
            raise TenantViolation("That belongs to another tenant.")
