"""Finds provider plugins, configures them and hands out providers.

Plugins are entry points of the group ``mosaic.providers``; ours have no privilege. Looking for them reads the
metadata of installed packages and imports nothing; a plugin's module is imported when its name is first used. One
that cannot be imported, or does not fit, is reported under its name and harms no other.
"""

import difflib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mosaic.core.errors import InvalidInput, MosaicError, NotFound, Problem, Unavailable
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.providers.interfaces import AiProvider, ProviderHealth
from mosaic.providers.manifest import ProviderManifest, ProviderPlugin

__all__ = ["GROUP", "ProviderRegistry"]

GROUP = "mosaic.providers"


class ProviderRegistry:
    """The providers of this installation.

    Args:
        redactor: learns every secret that a configuration holds.
        settings: provider's id -> configuration fields; they win over the environment. Besides the plugin's own
            fields every provider takes `timeout_s`, see `timeout_s`.
        environment: where keys and addresses are looked up; by default this process's.
        plugins: the entry points; by default the installed ones.
        disabled: ids to leave out.
    """

    def __init__(
        self,
        *,
        redactor: Redactor,
        settings: Mapping[str, JsonObject] | None = None,
        environment: Mapping[str, str] | None = None,
        plugins: Iterable[EntryPoint] | None = None,
        disabled: Collection[str] = (),
    ) -> None:
        self._redactor = redactor
        given = {name: dict(config) for name, config in (settings or {}).items()}
        self._timeouts = {name: config.pop("timeout_s", None) for name, config in given.items()}
        self._settings = given
        self._environment = os.environ if environment is None else environment
        found = entry_points(group=GROUP) if plugins is None else plugins
        self._entries = {entry.name: entry for entry in found if entry.name not in disabled}
        self._plugins: dict[str, ProviderPlugin] = {}
        self._broken: dict[str, str] = {}
        self._providers: dict[str, AiProvider] = {}

    def names(self) -> list[str]:
        """Return the ids of all providers, broken ones too, sorted. Imports nothing."""
        return sorted(self._entries)

    def manifest(self, name: str) -> ProviderManifest:
        """Return what the plugin `name` says about itself.

        Raises:
            NotFound: if there is no such plugin.
            Unavailable: if it is broken.
        """
        return self._plugin(name).manifest

    def timeout_s(self, name: str) -> float | None:
        """Return how long one call to this provider may take, when the installation says so: it knows its servers."""
        return self._timeouts.get(name)

    def broken(self) -> dict[str, str]:
        """Return the plugins that failed so far, with the reason."""
        return dict(self._broken)

    def register(self, plugin: ProviderPlugin) -> None:
        """Add a plugin that is not installed as a package; it replaces one of the same id."""
        self._plugins[plugin.manifest.id] = plugin
        self._entries.setdefault(plugin.manifest.id, EntryPoint(plugin.manifest.id, "registered", GROUP))
        self._providers.pop(plugin.manifest.id, None)

    def ai(self, name: str) -> AiProvider:
        """Return the provider `name`, made and configured on first use.

        Raises:
            NotFound: if there is no such plugin.
            InvalidInput: if its configuration is wrong; `problems` says where and never holds a value.
            Unavailable: if the plugin is broken.
        """
        provider = self._providers.get(name)
        if provider is None:
            plugin = self._plugin(name)
            config = self._configuration(plugin.manifest)
            provider = self._guarded(name, lambda: plugin.create(config))
            self._providers[name] = provider
        return provider

    async def health(self, name: str, model: str | None = None, *, thorough: bool = False) -> ProviderHealth:
        """Return whether a provider can be used; a wrong configuration and a broken plugin are answers too.

        Raises:
            NotFound: if there is no such plugin.
        """
        try:
            return await self.ai(name).check(model, thorough=thorough)
        except NotFound:
            raise
        except InvalidInput as error:
            return ProviderHealth(
                name, "unconfigured", "; ".join([error.message, *map(str, error.problems)]), error.hint
            )
        except MosaicError as error:
            return ProviderHealth(
                name, "broken" if name in self._broken else "unreachable", error.message, error.hint
            )

    async def close(self) -> None:
        """Close every provider that was made."""
        providers, self._providers = self._providers, {}
        for provider in providers.values():
            await provider.close()

    def _plugin(self, name: str) -> ProviderPlugin:
        plugin = self._plugins.get(name)
        if plugin is not None:
            return plugin
        entry = self._entries.get(name)
        if entry is None:
            near = difflib.get_close_matches(name, self._entries, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(self.names()) or 'none'}."
            raise NotFound(f"There is no provider {name!r}.", hint=hint)
        plugin = self._guarded(name, entry.load)
        if not isinstance(plugin, ProviderPlugin) or plugin.manifest.id != name:
            raise self._break(name, "its entry point is not a ProviderPlugin of that id")
        self._plugins[name] = plugin
        return plugin

    def _guarded(self, name: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except MosaicError:
            raise
        except Exception as error:  # a plugin is anyone's code; its failure is reported, not ours to die of
            raise self._break(name, f"{type(error).__name__}: {error}") from error

    def _break(self, name: str, reason: str) -> Unavailable:
        self._broken[name] = self._redactor.text(reason)
        return Unavailable(
            f"The provider plugin {name!r} is broken: {self._broken[name]}",
            hint="Update or remove the package that installs it.",
            provider=name,
        )

    def _configuration(self, manifest: ProviderManifest) -> JsonObject:
        config: JsonObject = {}
        for name, variable in manifest.environment.items():
            value = self._environment.get(variable, "").strip()
            if value:
                config[name] = value
        config |= self._settings.get(manifest.id, {})
        for name in manifest.secrets:
            if isinstance(config.get(name), str):
                self._redactor.add(config[name].strip())
        problems = _problems(manifest, config)
        if problems:
            raise InvalidInput(
                f"The configuration of the provider {manifest.id!r} is wrong: {problems[0]}",
                problems=problems,
                hint="docs/reference/providers.md lists the fields.",
            )
        return config


def _problems(manifest: ProviderManifest, config: JsonObject) -> list[Problem]:
    """Return what is wrong with a configuration, without its values: a key may stand in the wrong place."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # slow to import, and only needed once a provider is used

    problems = []
    for error in Draft202012Validator(manifest.configuration).iter_errors(config):
        path = ".".join(str(part) for part in (manifest.id, *error.absolute_path))
        if error.validator == "additionalProperties":
            known = ", ".join(manifest.configuration.get("properties", {}))
            message = f"has a field that is not known; known are {known}"
        else:
            message = f"does not fit: {error.validator} must be {error.validator_value!r}"
        problems.append(Problem(message, path=path))
    return problems
