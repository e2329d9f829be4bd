"""What a provider plugin says about itself, as data. `manifest.schema.json` describes its JSON form."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from mosaic.core.values import JsonObject, JsonValue

__all__ = [
    "API_VERSION",
    "KINDS",
    "RESERVED_FIELDS",
    "Auth",
    "Dependency",
    "Pagination",
    "Permissions",
    "ProviderKind",
    "ProviderManifest",
    "ProviderPlugin",
    "RateLimitHeaders",
    "Support",
    "SupportLevel",
    "Webhook",
]

ProviderKind = Literal["ai", "git", "ci", "knowledge", "projects", "automation"]
SupportLevel = Literal["supported", "partial", "unsupported"]

KINDS: tuple[ProviderKind, ...] = get_args(ProviderKind)
"""The kinds of providers."""

API_VERSION = 1
"""The version of the interface between MosAIc and its plugins; a plugin written for another one is not loaded."""

RESERVED_FIELDS = frozenset({"plugin", "version", "versions", "attributes", "timeout_s", "enabled"})
"""Settings that every provider takes; a plugin's own configuration cannot have fields of these names."""


@dataclass(frozen=True, slots=True)
class Support:
    """How far a plugin supports one operation.

    Attributes:
        reason: why not, or what is missing; required for everything that is not `supported`.
        scope: what the credential must be allowed, in the vendor's words.
    """

    level: SupportLevel
    reason: str = ""
    scope: str = ""

    def to_json(self) -> JsonObject:
        """Return the support as a JSON object, without what is empty."""
        return _without_empty(asdict(self))

    @classmethod
    def from_json(cls, shown: JsonValue) -> "Support":
        """Return what `to_json` wrote; a level alone is one too."""
        return cls(shown) if isinstance(shown, str) else cls(**shown)  # type: ignore[arg-type]  # checked by the schema


@dataclass(frozen=True, slots=True)
class Auth:
    """One way to prove who we are.

    Attributes:
        field: the configuration field that holds the secret.
        header: where it goes; empty when it goes elsewhere.
        prefix: what stands before it in the header, such as ``Bearer``.
    """

    type: Literal["none", "key", "bearer", "basic", "oauth2", "app"]
    field: str = ""
    header: str = ""
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Pagination:
    """How the vendor divides listings.

    Attributes:
        style: `page` and `offset` count; `cursor` hands a token on; `link` gives the next address in a header.
        parameter: the query parameter of the position.
        size_parameter: the query parameter of the page's size.
        max_size: the most items one page may hold.
        next_field: where in the body the next cursor stands, for `cursor`.
    """

    style: Literal["none", "page", "offset", "cursor", "link"]
    parameter: str = ""
    size_parameter: str = ""
    max_size: int | None = None
    next_field: str = ""


@dataclass(frozen=True, slots=True)
class RateLimitHeaders:
    """The headers in which the vendor says how many requests are left.

    Attributes:
        reset_format: `seconds` from now, `epoch` seconds, an `iso` time, or a `duration` such as ``1m30s``.
    """

    limit: str = ""
    remaining: str = ""
    reset: str = ""
    reset_format: Literal["seconds", "epoch", "iso", "duration"] = "seconds"
    retry_after: str = "retry-after"


@dataclass(frozen=True, slots=True)
class Webhook:
    """How the vendor proves that a webhook is its own.

    Attributes:
        verifier: what is computed over the raw body; `token` compares a shared text.
        header: the header that holds it.
        prefix: what stands before it there, such as ``sha256=``.
        secret: the configuration field that holds the shared secret.
        delivery_header: the header with the delivery's id, by which repeated ones are found.
        event_header: the header with the kind of event.
    """

    verifier: Literal["hmac-sha256", "hmac-sha1", "token"]
    header: str
    secret: str
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"
    delivery_header: str = ""
    event_header: str = ""


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a plugin uses of the machine. Shown to whoever installs it, and checked where it passes through MosAIc.

    Attributes:
        network: host names it calls, ``*`` as the first label for all below; ``configured`` means whatever host
            `base_url` names.
        environment: variables it reads, besides those of `ProviderManifest.environment`.
        files: paths it reads, relative to the working folder or absolute.
    """

    network: tuple[str, ...] = ("configured",)
    environment: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another plugin that must be there; `versions` is a range as `versions.VersionRange` reads it."""

    plugin: str
    versions: str = "*"


@dataclass(frozen=True, slots=True)
class ProviderManifest:
    """A plugin's description.

    Attributes:
        id: the plugin's name; for models also what stands before the colon in ``<provider>:<model>``.
        kind: the first of `kinds`.
        base_url: the address used when the configuration gives none; empty for one that uses no network.
        configuration: JSON Schema of the object that `ProviderPlugin.create` takes.
        environment: configuration field -> the environment variable it is read from.
        secrets: configuration fields that hold secrets; they are masked everywhere.
        default_models: the vendor's models to try, best first, when an agent names none.
        kinds: every kind it provides; `kind` alone when left out.
        api: the version of the plugin interface it is written for.
        errors: the vendor's own word for an error, or an HTTP status -> the `code` of ours.
        operations: operation -> how far it is supported, where the adapter itself does not show it.
        requires: other plugins that must be there.
    """

    id: str
    kind: ProviderKind
    name: str
    version: str
    description: str
    base_url: str
    configuration: JsonObject
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    default_models: tuple[str, ...] = ()
    kinds: tuple[ProviderKind, ...] = ()
    api: int = API_VERSION
    auth: tuple[Auth, ...] = ()
    pagination: Pagination | None = None
    rate_limit: RateLimitHeaders | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    webhook: Webhook | None = None
    operations: Mapping[str, Support] = field(default_factory=dict)
    permissions: Permissions = Permissions()
    requires: tuple[Dependency, ...] = ()

    def __post_init__(self) -> None:
        if not self.kinds:
            object.__setattr__(self, "kinds", (self.kind,))

    def to_json(self) -> JsonObject:
        """Return the manifest as `manifest.schema.json` describes it, without what is empty."""
        shown = {name: getattr(self, name) for name in self.__slots__ if name not in ("kind", "operations")}
        plain = {name: _plain(value) for name, value in shown.items()}
        plain["operations"] = {name: support.to_json() for name, support in self.operations.items()}
        kept = ("base_url", "description")
        return {
            name: value for name, value in plain.items() if name in kept or value not in (None, "", [], {})
        }

    @classmethod
    def from_json(cls, shown: JsonObject) -> "ProviderManifest":
        """Return the manifest of a document that fits `manifest.schema.json`; check it before."""
        given = {name: value for name, value in shown.items() if name in cls.__slots__}
        made: dict[str, Any] = dict(given)
        made["kinds"] = tuple(given["kinds"])
        made["kind"] = made["kinds"][0]
        made.setdefault("base_url", "")
        made.setdefault("configuration", {"type": "object", "properties": {}, "additionalProperties": False})
        for name in ("secrets", "default_models"):
            made[name] = tuple(given.get(name, ()))
        made["auth"] = tuple(Auth(**item) for item in given.get("auth", ()))
        made["requires"] = tuple(Dependency(**item) for item in given.get("requires", ()))
        for name, kind in (
            ("pagination", Pagination),
            ("rate_limit", RateLimitHeaders),
            ("webhook", Webhook),
        ):
            if name in given:
                made[name] = kind(**given[name])
        if "permissions" in given:
            made["permissions"] = Permissions(**{k: tuple(v) for k, v in given["permissions"].items()})
        made["operations"] = {
            name: Support.from_json(support) for name, support in given.get("operations", {}).items()
        }
        return cls(**made)


@dataclass(frozen=True, slots=True)
class ProviderPlugin:
    """What a module exposes as `provider` for the entry-point group ``mosaic.providers``.

    Attributes:
        create: makes a provider from a configuration that fits the manifest's schema; does no I/O. The registry
            sets the provider's `name` to the instance's when that is another. A `create` that also takes a
            parameter `requires` gets the plugins of `ProviderManifest.requires` by their ids.
    """

    manifest: ProviderManifest
    create: Callable[..., Any]


def _plain(value: Any) -> JsonValue:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return _without_empty({name: _plain(getattr(value, name)) for name in value.__slots__})
    plain: JsonValue = value
    return plain


def _without_empty(shown: JsonObject) -> JsonObject:
    return {name: value for name, value in shown.items() if value not in (None, "")}
