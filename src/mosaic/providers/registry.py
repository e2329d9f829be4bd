"""Finds provider plugins, configures them and hands out providers; swaps them while they are in use.

Plugins are entry points of the group ``mosaic.providers`` and folders below the installation's `plugins`; ours have no
privilege. Looking for them imports nothing; a plugin's code is imported when its name is first used. One that cannot
be imported, or does not fit, is reported under its name and harms no other.
"""

import asyncio
import difflib
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from mosaic.core.clock import now
from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable, Unsupported
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.providers.assembly import Assembly, seat_reasons
from mosaic.providers.capabilities import capabilities_of_plugin, matrix_row
from mosaic.providers.health import ProviderHealth, with_parts
from mosaic.providers.interfaces import AiProvider
from mosaic.providers.manifest import ProviderKind, ProviderManifest, ProviderPlugin, Support
from mosaic.providers.plugin_index import Catalogue
from mosaic.providers.plugin_sources import GROUP, PluginSource, RegisteredSource, installed
from mosaic.providers.plugins_dir import folder_plugins, forget
from mosaic.providers.reload import ReloadReport, refusal, retire
from mosaic.providers.snapshot import Instance, Seat, Snapshot

__all__ = ["GROUP", "ProviderRegistry"]

_log = logging.getLogger(__name__)
_DRAIN_S = 60.0


class ProviderRegistry:
    """The providers of this installation.

    Args:
        redactor: learns every secret that a configuration holds.
        settings: instance's name -> its settings; they win over the environment. Besides the plugin's own fields
            each takes `plugin` (the name's own by default), `version` or `versions`, `attributes` and `timeout_s`.
        environment: where keys and addresses are looked up; by default this process's.
        plugins: the entry points; by default the installed ones, looked up again at every reload.
        disabled: names to leave out.
        directory: where plugin folders are; None for nowhere.

    Attributes:
        snapshot: what there is now; a reload assigns another one.
    """

    def __init__(
        self,
        *,
        redactor: Redactor,
        settings: Mapping[str, JsonObject] | None = None,
        environment: Mapping[str, str] | None = None,
        plugins: Iterable[EntryPoint] | None = None,
        disabled: Collection[str] = (),
        directory: Path | None = None,
    ) -> None:
        self._redactor = redactor
        self._environment = os.environ if environment is None else environment
        self._entries = None if plugins is None else tuple(plugins)
        self._directory = directory
        self._registered: dict[str, ProviderPlugin] = {}
        self._limited: dict[str, datetime] = {}
        self._retiring: set[asyncio.Task[int]] = set()
        self._reloading: asyncio.Lock | None = None
        self._known_sources: dict[str, PluginSource] = {}
        self._assembly = self._assemble(settings or {}, disabled)
        self.snapshot: Snapshot = self._assembly.snapshot(None)
        self._known_sources = _by_fingerprint(self.snapshot)

    def names(self, kind: ProviderKind | None = None) -> list[str]:
        """Return the names of all instances, broken ones too, sorted. Imports nothing, unless a kind is asked for."""
        names = sorted(self.snapshot.instances)
        return names if kind is None else [name for name in names if self._is_of(name, kind)]

    def instance(self, name: str) -> Instance:
        """Return an instance: its plugin, versions and attributes. Imports nothing.

        Raises:
            NotFound: if there is none of that name.
        """
        instance = self.snapshot.instances.get(name)
        if instance is None:
            near = difflib.get_close_matches(name, self.snapshot.instances, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(self.names()) or 'none'}."
            raise NotFound(f"There is no provider {name!r}.", hint=hint)
        return instance

    def plugin(self, name: str) -> ProviderPlugin:
        """Return the plugin of an instance.

        Raises:
            MosaicError: as `manifest`.
        """
        return self._assembly.catalogue.load(self.instance(name).seat().source)[0]

    def manifest(self, name: str) -> ProviderManifest:
        """Return what the plugin of an instance says about itself.

        Raises:
            NotFound: if there is no such instance.
            Unavailable: if it is broken.
        """
        return self._assembly.catalogue.manifest(self.instance(name).seat().source)

    def timeout_s(self, name: str) -> float | None:
        """Return how long one call to this provider may take, when the installation says so: it knows its servers."""
        instance = self.snapshot.instances.get(name)
        return instance.settings.timeout_s if instance is not None else None

    def broken(self) -> dict[str, str]:
        """Return the plugins that failed so far, with the reason."""
        return dict(self._assembly.catalogue.broken)

    def register(self, plugin: ProviderPlugin) -> None:
        """Add a plugin that is not installed; it replaces one of the same id."""
        self._registered[plugin.manifest.id] = plugin
        self._assembly = self._assemble(self._assembly.given, self._assembly.disabled)
        self.snapshot = self._assembly.snapshot(self.snapshot)
        self._known_sources = _by_fingerprint(self.snapshot)

    def ai(self, name: str) -> AiProvider:
        """Return the provider `name`, made and configured on first use.

        Whoever holds on to it across a reload holds the old one; `lease` keeps that open while it is used.

        Raises:
            NotFound: if there is no such instance.
            InvalidInput: if its configuration is wrong; `problems` says where and never holds a value.
            Unavailable: if the plugin is broken.
            Unsupported: if it is of another kind.
        """
        seat = self.instance(name).seat()
        provider: AiProvider = seat.get()
        if "ai" not in self._assembly.catalogue.manifest(seat.source).kinds:
            kinds = ", ".join(self.manifest(name).kinds)
            raise Unsupported(
                f"The provider {name!r} offers no models; it is of the kind {kinds}.", provider=name
            )
        return provider

    def provider(self, name: str) -> Any:
        """Return the provider `name`, of whatever kind.

        Raises:
            MosaicError: as `ai`.
        """
        return self.instance(name).seat().get()

    def lease(self, name: str, request_id: str = "") -> Seat:
        """Return what gives the provider to a `with` block, and keeps it open until the block ends.

        Costs a look-up and two additions. With a request id, a version that has a share gets that share of them.

        Raises:
            MosaicError: as `ai`; for a wrong configuration only when the block is entered.
        """
        instance = self.snapshot.instances.get(name)
        return (instance or self.instance(name)).seat(request_id)

    def limited(self, name: str, retry_after_s: float) -> None:
        """Take note that a provider told us to wait; its health says so until then."""
        self._limited[name] = now() + timedelta(seconds=retry_after_s)

    async def health(self, name: str, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Return whether a provider can be used; a wrong configuration and a broken plugin are answers too.

        Raises:
            NotFound: if there is no such instance.
        """
        instance = self.instance(name)
        try:
            with instance.seat() as provider:
                asked = (
                    {}
                    if not isinstance(provider, AiProvider) and hasattr(provider, "resources")
                    else {"model": model}
                )
                health: ProviderHealth = await provider.check(thorough=thorough, **asked)
        except InvalidInput as error:
            said = "; ".join([error.message, *map(str, error.problems)])
            return ProviderHealth(name, "unconfigured", said, error.hint, dependencies="ok")
        except MosaicError as error:
            status: Any = "broken" if instance.plugin in self.broken() else "unreachable"
            return ProviderHealth(
                name, status, error.message, error.hint, dependencies=self._dependencies(name)
            )
        except Exception as error:  # noqa: BLE001  # a plugin is anyone's code
            _log.exception("the health check of %s failed", name)
            said = f"The plugin's own check failed: {type(error).__name__}."
            return ProviderHealth(name, "broken", said, "The log has the details.")
        until = self._limited.get(name)
        return with_parts(health, asked=thorough, limited_until=until if until and until > now() else None)

    def capabilities(self, name: str) -> dict[str, Support]:
        """Return how far each operation is supported, and why not.

        Raises:
            MosaicError: as `ai`.
        """
        return capabilities_of_plugin(self.manifest(name), self.provider(name))

    def matrix(self) -> list[JsonObject]:
        """Return what every instance can do, a row each; one that cannot be asked says why."""
        rows: list[JsonObject] = []
        for name in self.names():
            try:
                rows.append(matrix_row(name, self.manifest(name), self.capabilities(name)))
            except MosaicError as error:
                rows.append({"provider": name, "error": error.message})
        return rows

    def is_stale(self) -> bool:
        """Say whether a plugin folder was added, changed or removed since the last reload. Reads them: use a thread."""
        if self._directory is None:
            return False
        known = {
            source.where: source.fingerprint
            for sources in self.snapshot.sources.values()
            for source in sources
            if source.origin == "folder"
        }
        return known != {
            source.where: source.fingerprint
            for source in folder_plugins(self._directory, known=self._known_sources)
        }

    async def reload(
        self,
        settings: Mapping[str, JsonObject] | None = None,
        *,
        disabled: Collection[str] | None = None,
        drain_s: float = _DRAIN_S,
        wait: bool = True,
    ) -> ReloadReport:
        """Look for plugins again, take other settings, and swap what changed without a call failing.

        Everything new is loaded, configured and made first; then one assignment swaps the snapshot; then what is
        replaced is closed, when its last lease ends or `drain_s` have passed. What did not change keeps its connections.

        Args:
            settings: the whole new settings; None keeps those that are.
            disabled: names to leave out; None keeps those that are.
            drain_s: how long the replaced providers may take to finish.
            wait: whether to wait for that; else it goes on in the background.

        Raises:
            InvalidInput: if something that worked, or is new, would not work. Nothing is changed then, and
                `problems` says why for each.
        """
        if self._reloading is None:
            self._reloading = asyncio.Lock()
        async with self._reloading:
            old = self.snapshot
            # In a thread: importing takes milliseconds that running calls would otherwise wait.
            assembly, new, reasons = await asyncio.to_thread(self._prepare, settings, disabled, old)
            if reasons:
                await asyncio.gather(*(seat.close() for seat in set(new.seats()) - set(old.seats())))
                for seat in new.seats():
                    self._forget(seat)
                raise refusal(reasons)
            self._assembly, self.snapshot = assembly, new
            self._known_sources = _by_fingerprint(new)
            replaced = [seat for seat in old.seats() if seat not in set(new.seats())]
            report = ReloadReport.of(old, new)
        task = asyncio.create_task(retire(replaced, drain_s=drain_s, forget=self._forget))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return report.closed(await asyncio.shield(task)) if wait else report

    async def close(self) -> None:
        """Close every provider that was made, and stop waiting for replaced ones."""
        for task in list(self._retiring):
            task.cancel()
        await asyncio.gather(*self._retiring, return_exceptions=True)
        for seat in self.snapshot.seats():
            await seat.close()
        for source in self._known_sources.values():
            forget(source)

    def _prepare(
        self, settings: Mapping[str, JsonObject] | None, disabled: Collection[str] | None, old: Snapshot
    ) -> tuple[Assembly, Snapshot, dict[str, str]]:
        given = self._assembly.given if settings is None else settings
        assembly = self._assemble(given, self._assembly.disabled if disabled is None else disabled)
        new = assembly.snapshot(old)
        return assembly, new, seat_reasons(old, new)

    def _assemble(self, settings: Mapping[str, JsonObject], disabled: Collection[str]) -> Assembly:
        entries = entry_points(group=GROUP) if self._entries is None else self._entries
        found: list[PluginSource] = [
            source for source in installed(entries) if source.id not in self._registered
        ]
        found += [RegisteredSource(plugin) for plugin in self._registered.values()]
        if self._directory is not None:
            found += folder_plugins(self._directory, known=self._known_sources)
        # What is the same as before is not imported again.
        found = [self._known_sources.get(source.fingerprint, source) for source in found]
        return Assembly(
            Catalogue(found, redactor=self._redactor),
            settings,
            disabled=disabled,
            environment=self._environment,
            redactor=self._redactor,
        )

    def _forget(self, seat: Seat) -> None:
        if self._known_sources.get(seat.source.fingerprint) is not seat.source:
            forget(seat.source)

    def _is_of(self, name: str, kind: ProviderKind) -> bool:
        try:
            return kind in self.manifest(name).kinds
        except MosaicError:
            return False

    def _dependencies(self, name: str) -> Any:
        try:
            self._assembly.catalogue.load(self.instance(name).seat().source)
        except Unavailable as error:
            return "failing" if "requires" in error.data else "unknown"
        except MosaicError:
            return "unknown"
        return "ok"


def _by_fingerprint(snapshot: Snapshot) -> dict[str, PluginSource]:
    return {source.fingerprint: source for sources in snapshot.sources.values() for source in sources}
