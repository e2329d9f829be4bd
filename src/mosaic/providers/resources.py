"""What providers of the kinds other than `ai` have in common: resources, and five verbs for each kind of them.

A plugin gives one `ResourceService` for each kind of resource it knows (`repository`, `pipeline`, `page`, ...).
Everything above the providers room works with these, so that one vendor can take another's place.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from mosaic.core.values import JsonObject
from mosaic.providers.health import ProviderHealth
from mosaic.providers.interfaces import AiProvider
from mosaic.providers.manifest import ProviderKind

__all__ = [
    "RESOURCES",
    "Resource",
    "ResourceProvider",
    "ResourceRef",
    "ResourceService",
    "interface_of",
    "missing_members",
]

RESOURCES: dict[ProviderKind, tuple[str, ...]] = {
    "ai": (),
    "git": (
        "repository", "branch", "branch_protection", "commit", "tag", "release", "change_request", "review", "comment",
        "commit_status", "issue", "label", "milestone", "webhook", "collaborator",
    ),
    "ci": ("pipeline", "run", "job", "artifact", "environment", "secret", "variable", "schedule"),
    "knowledge": ("space", "container", "page", "attachment", "comment", "revision"),
    "projects": ("project", "work_item", "state", "cycle", "link", "comment", "field"),
    "automation": ("workflow", "trigger", "execution"),
}  # fmt: skip
"""The kinds of resources that each kind of provider may offer."""


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """Which resource.

    Attributes:
        provider: the instance that holds it.
        kind: one of `RESOURCES`.
        id: the vendor's own id; it never changes.
        key: what people call it, such as ``owner/name``; it may change.
        parent: the id of what it belongs to, where the vendor needs it to find it.
    """

    provider: str
    kind: str
    id: str
    key: str = ""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as its provider holds it.

    Attributes:
        fields: in MosAIc's words.
        version: changes with every change of the resource, where the vendor says so.
        raw: the vendor's own form.
    """

    ref: ResourceRef
    fields: JsonObject
    url: str = ""
    version: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: JsonObject = field(default_factory=dict, repr=False)


@runtime_checkable
class ResourceService(Protocol):
    """Create, get, update, delete and list one kind of resource. One attempt each, never retried here.

    Every verb raises `Unauthenticated`, `PermissionDenied`, `LimitExceeded` (with ``data["retry_after_s"]`` when the
    provider said), `Unavailable`, `TimedOut` (``data["sent"]``) and `ContractViolation` as `AiProvider.complete` does, and
    `Unsupported` where the vendor has no such operation.
    """

    async def create(self, fields: JsonObject, *, parent: str = "", idempotency_key: str) -> Resource:
        """Make one and return it as it now is.

        Raises:
            InvalidInput: if a field is missing or wrong.
            Conflict: if there is one of that key.
        """
        ...

    async def get(self, ref: ResourceRef) -> Resource:
        """Return one; by `id`, or by `key` when the id is empty.

        Raises:
            NotFound: if it is not there.
        """
        ...

    async def update(
        self, ref: ResourceRef, fields: JsonObject, *, if_version: str | None = None
    ) -> Resource:
        """Change the fields given and return it as it now is.

        Raises:
            NotFound: if it is not there.
            Conflict: if it has another version than `if_version`.
        """
        ...

    async def delete(self, ref: ResourceRef) -> None:
        """Remove it.

        Raises:
            NotFound: if it is not there.
        """
        ...

    def list(self, *, parent: str = "", filters: Mapping[str, str] | None = None) -> AsyncIterator[Resource]:
        """Yield every one, all pages, in the provider's order; a listing that is cut off raises, it never just ends."""
        ...


@runtime_checkable
class ResourceProvider(Protocol):
    """What a plugin of the kinds `git`, `ci`, `knowledge`, `projects` and `automation` makes."""

    name: str

    def resources(self) -> Mapping[str, ResourceService]:
        """Return the service of each kind of resource. No I/O."""
        ...

    async def check(self, *, thorough: bool = False) -> ProviderHealth:
        """Say whether it can be used. Never raises for an unhealthy provider; asks the vendor only when `thorough`."""
        ...

    async def close(self) -> None:
        """Release connections. Idempotent."""
        ...


def interface_of(kind: ProviderKind) -> type[Any]:
    """Return the interface that providers of a kind honour."""
    return AiProvider if kind == "ai" else ResourceProvider


def missing_members(provider: object, kind: ProviderKind) -> list[str]:
    """Return what `provider` lacks of the interface of its kind."""
    interface = interface_of(kind)
    wanted = {name for name in vars(interface) if not name.startswith("_")} | set(interface.__annotations__)
    return sorted(name for name in wanted if not hasattr(provider, name))
