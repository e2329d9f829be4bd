"""Where plugins come from: installed packages, folders, and objects registered by the program."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Literal, Protocol

from mosaic.core.errors import InvalidInput, Problem
from mosaic.providers.manifest import API_VERSION, ProviderPlugin
from mosaic.providers.manifest_check import manifest_problems

__all__ = [
    "GROUP",
    "BrokenSource",
    "InstalledSource",
    "Origin",
    "PluginSource",
    "RegisteredSource",
    "checked_plugin",
    "installed",
]

GROUP = "mosaic.providers"

Origin = Literal["package", "folder", "registered"]


class PluginSource(Protocol):
    """One version of one plugin, not loaded yet."""

    @property
    def id(self) -> str:
        """The plugin's id."""
        ...

    @property
    def origin(self) -> Origin:
        """What kind of place it comes from."""
        ...

    @property
    def where(self) -> str:
        """The package, folder or program, for people."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for two sources that lead to the same code."""
        ...

    def version(self) -> str:
        """Return the plugin's version; may load it.

        Raises:
            Exception: whatever is wrong with it.
        """
        ...

    def load(self) -> ProviderPlugin:
        """Check the manifest, then import the code and return the plugin. Loaded once.

        Raises:
            Exception: whatever is wrong with it.
        """
        ...


def checked_plugin(plugin: object, *, id_: str) -> ProviderPlugin:
    """Return `plugin` if it is one of this id with a whole manifest.

    Raises:
        InvalidInput: if not.
    """
    if not isinstance(plugin, ProviderPlugin) or plugin.manifest.id != id_:
        raise InvalidInput("its entry point is not a ProviderPlugin of that id")
    if plugin.manifest.api != API_VERSION:
        raise InvalidInput(
            f"it is written for version {plugin.manifest.api} of the plugin interface, this is {API_VERSION}"
        )
    problems = manifest_problems(plugin.manifest.to_json())
    if problems:
        raise InvalidInput(f"its manifest is wrong: {problems[0]}", problems=problems)
    return plugin


@dataclass(slots=True)
class InstalledSource:
    """A plugin behind an entry point. Its module is imported when it is loaded, and stays until the process ends."""

    entry: EntryPoint
    origin: Origin = "package"
    _plugin: ProviderPlugin | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The entry point's name."""
        return self.entry.name

    @property
    def where(self) -> str:
        """The package that brings it."""
        return self.entry.dist.name if self.entry.dist else self.entry.module

    @property
    def fingerprint(self) -> str:
        """The entry point's target."""
        return f"package:{self.entry.value}"

    def version(self) -> str:
        """Return the version in the manifest; imports the module."""
        return self.load().manifest.version

    def load(self) -> ProviderPlugin:
        """Import the module and check what it brings."""
        if self._plugin is None:
            self._plugin = checked_plugin(self.entry.load(), id_=self.id)
        return self._plugin


@dataclass(slots=True)
class RegisteredSource:
    """A plugin that the program itself brought."""

    plugin: ProviderPlugin
    origin: Origin = "registered"

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.plugin.manifest.id

    @property
    def where(self) -> str:
        """This process."""
        return "this process"

    @property
    def fingerprint(self) -> str:
        """The object itself."""
        return f"registered:{id(self.plugin)}"

    def version(self) -> str:
        """Return the version in the manifest."""
        return self.plugin.manifest.version

    def load(self) -> ProviderPlugin:
        """Return the plugin as it was given."""
        return self.plugin


@dataclass(frozen=True, slots=True)
class BrokenSource:
    """A plugin that was found and cannot be used; it is listed so that somebody can mend it."""

    id: str
    where: str
    reason: str
    problems: tuple[Problem, ...] = ()
    origin: Origin = "folder"

    @property
    def fingerprint(self) -> str:
        """The reason."""
        return f"broken:{self.where}:{self.reason}"

    def version(self) -> str:
        """Say why it is broken."""
        raise InvalidInput(self.reason, problems=self.problems)

    def load(self) -> ProviderPlugin:
        """Say why it is broken."""
        raise InvalidInput(self.reason, problems=self.problems)


def installed(entries: Iterable[EntryPoint]) -> list[PluginSource]:
    """Return the plugins of installed packages; a name that two packages bring belongs to the first."""
    named: dict[str, EntryPoint] = {}
    for entry in entries:
        named.setdefault(entry.name, entry)
    return [InstalledSource(entry) for entry in named.values()]
