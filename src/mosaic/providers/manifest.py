"""What a provider plugin says about itself, as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mosaic.core.values import JsonObject
from mosaic.providers.interfaces import AiProvider

__all__ = ["ProviderKind", "ProviderManifest", "ProviderPlugin"]

ProviderKind = Literal["ai"]


@dataclass(frozen=True, slots=True)
class ProviderManifest:
    """A plugin's description.

    Attributes:
        id: the name before the colon in ``<provider>:<model>``; also the entry point's name.
        base_url: the address used when the configuration gives none; empty for one that uses no network.
        configuration: JSON Schema of the object that `ProviderPlugin.create` takes.
        environment: configuration field -> the environment variable it is read from.
        secrets: configuration fields that hold secrets; they are masked everywhere.
        default_models: the vendor's models to try, best first, when an agent names none.
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


@dataclass(frozen=True, slots=True)
class ProviderPlugin:
    """What a module exposes as `provider` for the entry-point group ``mosaic.providers``.

    Attributes:
        create: makes a provider from a configuration that fits the manifest's schema; does no I/O.
    """

    manifest: ProviderManifest
    create: Callable[[JsonObject], AiProvider]
