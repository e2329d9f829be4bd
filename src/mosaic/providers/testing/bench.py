"""The bench that a plugin is checked on: its provider, made as the product makes it, and an endpoint that plays the vendor."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.providers.assembly import Assembly
from mosaic.providers.manifest import ProviderManifest
from mosaic.providers.plugin_index import Catalogue
from mosaic.providers.plugin_sources import PluginSource
from mosaic.providers.testing.endpoint import Endpoint
from mosaic.providers.testing.sample import Sample

__all__ = ["Bench", "CheckFailed", "CheckSkipped", "network_watch"]

INSTANCE = "conformance-instance"


class CheckFailed(Exception):
    """A check found something wrong; the message says what."""


class CheckSkipped(Exception):
    """A check does not apply; the message says why."""


@dataclass(slots=True)
class Bench:
    """What the checks work with."""

    catalogue: Catalogue
    source: PluginSource
    manifest: ProviderManifest
    sample: Sample
    endpoint: Endpoint

    def config(self, **changes: Any) -> JsonObject:
        """Return the sample's configuration with changes; None leaves a field out."""
        config = {**self.sample.config_at(self.endpoint.url), **changes}
        return {name: value for name, value in config.items() if value is not None}

    @property
    def secrets(self) -> list[str]:
        """The secrets in the sample's configuration."""
        config = self.config()
        return [str(config[name]) for name in self.manifest.secrets if name in config]

    def provider(self, **changes: Any) -> Any:
        """Return a provider of this plugin, under a name that is not the plugin's, configured for the endpoint."""
        settings = {INSTANCE: {"plugin": self.source.id, **self.config(**changes)}}
        assembly = Assembly(self.catalogue, settings, disabled=(), environment={}, redactor=Redactor())
        return assembly.snapshot(None).instances[INSTANCE].seat().get()

    def fresh(self) -> None:
        """Forget what the endpoint received."""
        self.endpoint.requests.clear()
        self.endpoint.gone.clear()
        self.endpoint.answer = None


class _Watch:
    """Notes which hosts this process asks for, while it is on. An audit hook stays for the life of the process."""

    def __init__(self) -> None:
        self.seen: set[str] | None = None
        self._hooked = False

    def hook(self) -> None:
        if not self._hooked:
            self._hooked = True
            sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.seen is None:
            return
        if event == "socket.getaddrinfo":
            self.seen.add(_text(arguments[0]))
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            self.seen.add(_text(arguments[1][0]))


_watch = _Watch()


@contextmanager
def network_watch(manifest: ProviderManifest) -> Iterator[list[str]]:
    """Collect the hosts that are called in the block and that the manifest does not name; the endpoint's is allowed."""
    _watch.hook()
    outer, _watch.seen = _watch.seen, set()
    undeclared: list[str] = []
    try:
        yield undeclared
    finally:
        seen, _watch.seen = _watch.seen, outer
        allowed = ("127.0.0.1", "localhost", "::1", "", *manifest.permissions.network)
        undeclared += sorted(
            host for host in seen or () if not any(fnmatchcase(host, name) for name in allowed)
        )


def _text(host: Any) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
