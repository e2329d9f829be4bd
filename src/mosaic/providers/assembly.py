"""Builds a snapshot: which instances the settings and the plugins make, and how the provider of each is made."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.providers.instances import InstanceSettings, configuration_of, read_settings
from mosaic.providers.plugin_index import Catalogue, call_create
from mosaic.providers.plugin_sources import PluginSource
from mosaic.providers.resources import missing_members
from mosaic.providers.snapshot import Instance, Seat, Snapshot
from mosaic.providers.versions import Share

__all__ = ["Assembly", "seat_reasons"]


@dataclass(frozen=True, slots=True)
class _Made:
    """What a provider was made of; equal ones need not be made again."""

    config: str
    requires: tuple[str, ...]


class Assembly:
    """Plugins, settings and environment, ready to be put together.

    Attributes:
        given: the settings as they were given.
        disabled: names to leave out.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        settings: Mapping[str, JsonObject],
        *,
        disabled: Collection[str],
        environment: Mapping[str, str],
        redactor: Redactor,
    ) -> None:
        self.catalogue = catalogue
        self.given = settings
        self.disabled = disabled
        self._environment = environment
        self._redactor = redactor

    def snapshot(self, old: Snapshot | None) -> Snapshot:
        """Return the snapshot; a seat of the old one that would be made the same is taken over as it is."""
        instances = {}
        names = {
            *self.catalogue.sources,
            *(name for name, given in self.given.items() if given.get("plugin")),
        }
        for name in sorted(names - set(self.disabled)):
            before = old.instances.get(name) if old is not None else None
            instances[name] = self._instance(name, before)
        number = old.number + 1 if old is not None else 0
        return Snapshot(number, MappingProxyType(instances), self.catalogue.sources)

    def _instance(self, name: str, old: Instance | None) -> Instance:
        settings = InstanceSettings(name, name)
        try:
            if name in self.given:
                settings = read_settings(name, self.given[name])
            sources = [(pin, self.catalogue.choose(settings.plugin, pin)) for pin in settings.pins]
        except NotFound as error:
            failure = Unavailable(
                f"The provider {name!r} cannot be used: {error.message}", hint=error.hint, provider=name
            )
            self.catalogue.broken[settings.plugin] = error.message
            return Instance(settings, error=failure)
        except MosaicError as error:
            return Instance(settings, error=error)
        seats = tuple(self._seat(settings, pin, source, old) for pin, source in sources)
        share = Share.of(settings.pins.values(), seed=name) if len(seats) > 1 else None
        return Instance(settings, seats, share)

    def _seat(self, settings: InstanceSettings, pin: str, source: PluginSource, old: Instance | None) -> Seat:
        signature = (settings.name, source.id, source.fingerprint, _canonical(settings.config))
        for seat in old.seats if old is not None else ():
            # One that was not made yet is set up anew: what it would be made of may have changed.
            if (
                seat.provider is not None
                and seat.signature == signature
                and seat.made == self._facts(settings, source)
            ):
                return seat
        return Seat(pin=pin, source=source, signature=signature, make=lambda seat: self._make(seat, settings))

    def _make(self, seat: Seat, settings: InstanceSettings) -> Any:
        plugin, requires, _ = self.catalogue.load(seat.source)
        config = self._configuration(settings, seat.source)
        try:
            provider = call_create(plugin, config, requires)
        except MosaicError:
            raise
        except (Exception, SystemExit) as error:
            raise self.catalogue.fail(settings.plugin, f"{type(error).__name__}: {error}") from error
        # What the program registers itself, it vouches for.
        if seat.source.origin != "registered":
            for kind in plugin.manifest.kinds:
                if missing := missing_members(provider, kind):
                    raise self.catalogue.fail(
                        settings.plugin, f"its provider is no {kind} provider, it lacks {', '.join(missing)}"
                    )
        if settings.name != settings.plugin:
            provider.name = settings.name
        seat.version = plugin.manifest.version
        seat.made = self._facts(settings, seat.source)
        return provider

    def _configuration(self, settings: InstanceSettings, source: PluginSource) -> JsonObject:
        return configuration_of(
            self.catalogue.manifest(source), settings, environment=self._environment, redactor=self._redactor
        )

    def _facts(self, settings: InstanceSettings, source: PluginSource) -> _Made | None:
        try:
            _, _, fingerprints = self.catalogue.load(source)
            return _Made(_canonical(self._configuration(settings, source)), fingerprints)
        except MosaicError:
            return None


def seat_reasons(old: Snapshot, new: Snapshot) -> dict[str, str]:
    """Make every provider that a swap would put in place of one in use, or that the settings newly name.

    Returns:
        instance's name -> why it would not work. One that is as broken as it was before is no reason against a swap.
    """
    reasons = {}
    for name, instance in new.instances.items():
        before = old.instances.get(name)
        kept = before is not None and instance.settings == before.settings
        if instance.error is not None:
            if before is None or before.error is None or not kept:
                reasons[name] = _reason(instance.error)
            continue
        seated = before.seats if before is not None else ()
        used = any(seat.provider is not None for seat in seated)
        for seat in instance.seats:
            if seat in seated or not (used or (instance.settings.explicit and not kept)):
                continue
            try:
                seat.get()
            except MosaicError as error:
                reasons[name] = _reason(error)
    return reasons


def _reason(error: MosaicError) -> str:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    return "; ".join(
        [error.message, *(str(problem) for problem in problems if str(problem) not in error.message)]
    )


def _canonical(config: JsonObject) -> str:
    return json.dumps(config, sort_keys=True, default=str)
