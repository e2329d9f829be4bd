"""The registry's view at one moment: which instances there are, and the provider behind each version of each.

A snapshot's set of instances never changes; a reload makes another one. What is filled in later is a provider, made
on first use. Counting who uses it costs two additions, so that a door may do it for every request.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any

from mosaic.core.errors import MosaicError, error_from_json
from mosaic.core.values import JsonValue
from mosaic.providers.instances import InstanceSettings
from mosaic.providers.plugin_sources import PluginSource
from mosaic.providers.versions import Share

__all__ = ["Instance", "Seat", "Snapshot"]


class Seat:
    """One version of one instance: its plugin and, once it was needed, its provider.

    Entering it as a context manager counts a user in, leaving counts it out: that is a lease. Use it on the event
    loop's thread, and enter it in the expression that gets it.

    Attributes:
        pin: the version range that chose it.
        in_flight: how many use it now.
        version: the plugin's, once it is loaded.
        signature: equal for two seats of the same plugin with the same settings.
        made: equal for two of those whose provider would be the same.
    """

    __slots__ = (
        "_drained",
        "_make",
        "in_flight",
        "made",
        "pin",
        "provider",
        "signature",
        "source",
        "version",
    )

    def __init__(
        self, *, pin: str, source: PluginSource, signature: object, make: Callable[["Seat"], Any]
    ) -> None:
        self.pin = pin
        self.source = source
        self.version: str | None = None
        self.signature = signature
        self.made: object = None
        self.provider: Any = None
        self.in_flight = 0
        self._make = make
        self._drained: asyncio.Event | None = None

    def get(self) -> Any:
        """Return the provider, made on first use.

        Raises:
            MosaicError: if the plugin is broken, or its configuration is wrong.
        """
        if self.provider is None:
            self.provider = self._make(self)
        return self.provider

    def __enter__(self) -> Any:
        provider = self.provider
        if provider is None:
            provider = self.get()
        self.in_flight += 1
        return provider

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.in_flight -= 1
        if self._drained is not None and not self.in_flight:
            self._drained.set()

    async def drain(self, timeout_s: float) -> int:
        """Wait until nobody uses it; returns how many still do after `timeout_s`."""
        self._drained = asyncio.Event()
        if self.in_flight:
            try:
                await asyncio.wait_for(self._drained.wait(), timeout_s)
            except TimeoutError:
                return self.in_flight
        return 0

    async def close(self) -> None:
        """Close the provider, if there is one."""
        provider, self.provider = self.provider, None
        if provider is not None:
            await provider.close()


@dataclass(frozen=True, slots=True)
class Instance:
    """A plugin under a name.

    Attributes:
        seats: one for each version in use, the heaviest first; the first serves whoever gives no request id.
        share: how requests are divided among them; None for a single one.
        error: why it cannot be used at all.
    """

    settings: InstanceSettings
    seats: tuple[Seat, ...] = ()
    share: Share | None = None
    error: MosaicError | None = None

    @property
    def name(self) -> str:
        """The name."""
        return self.settings.name

    @property
    def plugin(self) -> str:
        """The plugin's id."""
        return self.settings.plugin

    @property
    def attributes(self) -> Mapping[str, JsonValue]:
        """What routing may ask about it."""
        return self.settings.attributes

    def seat(self, request_id: str = "") -> Seat:
        """Return the version that serves a request.

        Raises:
            MosaicError: if the instance cannot be used.
        """
        if self.share is not None and request_id:
            return self.seats[self.share.choose(request_id)]
        if self.error is not None:
            # A new one each time: an error that is raised twice gathers the tracebacks of both.
            raise error_from_json(self.error.to_json())
        return self.seats[0]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All instances at one moment.

    Attributes:
        number: how many snapshots came before.
        sources: plugin id -> its versions, as they were found.
    """

    number: int
    instances: Mapping[str, Instance] = field(default_factory=lambda: MappingProxyType({}))
    sources: Mapping[str, tuple[PluginSource, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def seats(self) -> list[Seat]:
        """Return every version of every instance."""
        return [seat for instance in self.instances.values() for seat in instance.seats]
