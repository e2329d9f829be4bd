"""The plugins that are there: found, chosen by version, loaded after what they require."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Unavailable
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonValue
from mosaic.providers.manifest import Dependency, ProviderManifest, ProviderPlugin
from mosaic.providers.plugin_sources import BrokenSource, PluginSource
from mosaic.providers.plugins_dir import FolderSource
from mosaic.providers.versions import newest

__all__ = ["Catalogue", "Loaded", "call_create"]

T = TypeVar("T")

Loaded = tuple[ProviderPlugin, Mapping[str, ProviderPlugin], tuple[str, ...]]
"""A plugin, the plugins it requires, and the fingerprints of those."""


class Catalogue:
    """Versions of plugins, by id. A plugin's failures are caught here and remembered; they harm no other."""

    def __init__(self, sources: Iterable[PluginSource], *, redactor: Redactor) -> None:
        found: dict[str, list[PluginSource]] = {}
        for source in sources:
            found.setdefault(source.id, []).append(source)
        self.sources: Mapping[str, tuple[PluginSource, ...]] = MappingProxyType(
            {name: tuple(versions) for name, versions in found.items()}
        )
        self._redactor = redactor
        self._failed: dict[str, str] = {}
        self.broken: dict[str, str] = {
            source.id: source.reason for source in sources if isinstance(source, BrokenSource)
        }

    def choose(self, plugin: str, wanted: str = "*") -> PluginSource:
        """Return the newest version of a plugin that fits. A single one that anything fits is not loaded for it.

        Raises:
            NotFound: if there is no such plugin, or none of that version.
            Unavailable: if it is broken.
        """
        sources = self.sources.get(plugin, ())
        if not sources:
            raise NotFound(f"There is no plugin {plugin!r}.")
        if len(sources) == 1 and wanted == "*":
            return sources[0]
        versions: dict[str, PluginSource] = {}
        failure: MosaicError | None = None
        for source in sources:
            try:
                versions.setdefault(self.guarded(plugin, source.version), source)
            except MosaicError as error:
                failure = error
        version = newest(versions, wanted)
        if version is None:
            if failure is not None and not versions:
                raise failure
            known = ", ".join(versions)
            raise NotFound(
                f"There is no version {wanted} of the plugin {plugin!r}.", hint=f"There is {known}."
            )
        return versions[version]

    def load(self, source: PluginSource, *, above: tuple[str, ...] = ()) -> Loaded:
        """Return the plugin of a source, loaded after everything it requires.

        Raises:
            Unavailable: if it, or something it requires, is broken or missing.
        """
        if isinstance(source, FolderSource):
            # Its manifest is known without its code: what it requires comes first, also when that is not there.
            required = self._required(source.manifest, above)
            return self._code(source), *required
        plugin: ProviderPlugin = self._code(source)
        return plugin, *self._required(plugin.manifest, above)

    def manifest(self, source: PluginSource) -> ProviderManifest:
        """Return the manifest of a source; a package's is in its code, so that is loaded.

        Raises:
            Unavailable: if it is broken.
        """
        if isinstance(source, FolderSource):
            return source.manifest
        plugin: ProviderPlugin = self._code(source)
        return plugin.manifest

    def _code(self, source: PluginSource) -> ProviderPlugin:
        """Import a plugin's code, once: one that failed is not run again for every call, but at the next reload."""
        if (reason := self._failed.get(source.fingerprint)) is not None:
            raise self.fail(source.id, reason)
        try:
            return self.guarded(source.id, source.load)
        except Unavailable:
            self._failed[source.fingerprint] = self.broken.get(source.id, "it cannot be loaded")
            raise

    def _required(
        self, manifest: ProviderManifest, above: tuple[str, ...]
    ) -> tuple[Mapping[str, ProviderPlugin], tuple[str, ...]]:
        plugins: dict[str, ProviderPlugin] = {}
        fingerprints: list[str] = []
        chain = (*above, manifest.id)
        for dependency in manifest.requires:
            if dependency.plugin in chain:
                circle = " -> ".join((*chain, dependency.plugin))
                raise self.fail(
                    manifest.id,
                    f"plugins require each other in a circle: {circle}",
                    requires=dependency.plugin,
                )
            try:
                source = self.choose(dependency.plugin, dependency.versions)
                plugin, _, below = self.load(source, above=chain)
            except MosaicError as error:
                reason = f"it requires {_said(dependency)}: {error.message}"
                raise self.fail(manifest.id, reason, requires=dependency.plugin) from error
            plugins[dependency.plugin] = plugin
            fingerprints += [source.fingerprint, *below]
        return plugins, tuple(fingerprints)

    def guarded(self, name: str, make: Callable[[], T]) -> T:
        """Return what `make` returns; whatever a plugin raises, leaving the process included, is reported.

        Raises:
            Unavailable: if it raised anything but an error of ours, or an InvalidInput about the plugin itself.
            MosaicError: of ours, as it is.
        """
        try:
            return make()
        except InvalidInput as error:
            raise self.fail(name, _reason(error)) from error
        except MosaicError:
            raise
        except (Exception, SystemExit) as error:
            raise self.fail(name, f"{type(error).__name__}: {error}") from error

    def fail(self, name: str, reason: str, **data: JsonValue) -> Unavailable:
        """Remember why a plugin cannot be used, and return the error that says so, with `data`."""
        self.broken[name] = self._redactor.text(reason)
        return Unavailable(
            f"The provider plugin {name!r} is broken: {self.broken[name]}",
            hint="Mend or remove its folder."
            if self._is_folder(name)
            else "Update or remove the package that installs it.",
            provider=name,
            **data,
        )

    def _is_folder(self, name: str) -> bool:
        return any(source.origin == "folder" for source in self.sources.get(name, ()))


def call_create(plugin: ProviderPlugin, config: Any, requires: Mapping[str, ProviderPlugin]) -> Any:
    """Make a provider; the plugins that it requires are given to a `create` that asks for them."""
    import inspect  # noqa: PLC0415  # slow to import, and few plugins require others

    if requires and "requires" in inspect.signature(plugin.create).parameters:
        return plugin.create(config, requires=requires)
    return plugin.create(config)


def _said(dependency: Dependency) -> str:
    return dependency.plugin if dependency.versions == "*" else f"{dependency.plugin} {dependency.versions}"


def _reason(error: InvalidInput) -> str:
    return (
        f"{error.message}: {error.problems[0]}"
        if error.problems and str(error.problems[0]) not in error.message
        else error.message
    )
