"""Instances: a plugin under a name, with its settings. One plugin may stand under several names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mosaic.core.errors import InvalidInput
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.providers.manifest import RESERVED_FIELDS, ProviderManifest
from mosaic.providers.manifest_check import configuration_problems
from mosaic.providers.versions import VersionRange, checked_weights

__all__ = ["InstanceSettings", "configuration_of", "read_settings"]


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """What an installation says about one instance.

    Attributes:
        name: the instance's; what stands before the colon in ``<provider>:<model>``.
        plugin: the plugin's id.
        pins: version range -> weight, heaviest first; ``{"*": 1}`` is the newest.
        attributes: what routing may ask about it: region, residency, compliance, local and whatever else.
        timeout_s: for one call, in place of the request's.
        config: the plugin's own fields, secrets perhaps among them: never shown.
        explicit: whether the settings name it.
    """

    name: str
    plugin: str
    pins: Mapping[str, int] = field(default_factory=lambda: {"*": 1})
    attributes: Mapping[str, JsonValue] = field(default_factory=dict)
    timeout_s: float | None = None
    config: JsonObject = field(default_factory=dict, repr=False)
    explicit: bool = False


def read_settings(name: str, given: Mapping[str, Any]) -> InstanceSettings:
    """Return what the settings `providers.<name>` say.

    Raises:
        InvalidInput: if `version` and `versions` are both given, or one is no range.
    """
    if given.get("version") is not None and given.get("versions"):
        raise InvalidInput(
            f"The provider {name!r} has both `version` and `versions`.",
            hint="Pin one, or share among several.",
        )
    pins = {"*": 1}
    if given.get("version") is not None:
        pins = {VersionRange.parse(str(given["version"])).text: 1}
    elif given.get("versions"):
        pins = checked_weights(
            {str(pin): int(weight) for pin, weight in given["versions"].items()}, name=name
        )
    return InstanceSettings(
        name=name,
        plugin=str(given.get("plugin") or name),
        pins=pins,
        attributes=dict(given.get("attributes") or {}),
        timeout_s=given.get("timeout_s"),
        config={field: value for field, value in given.items() if field not in RESERVED_FIELDS},
        explicit=True,
    )


def configuration_of(
    manifest: ProviderManifest,
    instance: InstanceSettings,
    *,
    environment: Mapping[str, str],
    redactor: Redactor,
) -> JsonObject:
    """Return the configuration of an instance: the environment, overridden by the settings, checked.

    An instance under a name of its own reads variables of its own, ``OPENAI_EU_API_KEY`` for `api_key` of `openai-eu`.
    The plugin's usual variables serve it too, unless it has another address: a key goes only where its owner sent it.

    Raises:
        InvalidInput: if it does not fit the manifest; `problems` says where and never holds a value.
    """
    config = _resolved(instance, environment=environment)
    own = {field: _variable(instance.name, field) for field in manifest.environment}
    for field_, variable in own.items() if instance.name != manifest.id else ():
        if value := environment.get(variable, "").strip():
            config.setdefault(field_, value)
    if instance.name == manifest.id or "base_url" not in config:
        for field_, variable in manifest.environment.items():
            if value := environment.get(variable, "").strip():
                config.setdefault(field_, value)
    for field_ in manifest.secrets:
        if isinstance(config.get(field_), str):
            redactor.add(config[field_].strip())
    problems = configuration_problems(manifest, config, name=instance.name)
    if problems:
        raise InvalidInput(
            f"The configuration of the provider {instance.name!r} is wrong: {problems[0]}",
            problems=problems,
            hint="docs/reference/providers.md lists the fields.",
        )
    return config


def _resolved(instance: InstanceSettings, *, environment: Mapping[str, str]) -> JsonObject:
    """Return the settings' fields with every ``{secret: NAME}`` replaced by the variable's value."""
    config: JsonObject = {}
    for name, value in instance.config.items():
        config[name] = value
        if (
            isinstance(value, dict)
            and set(value) <= {"secret", "prefix"}
            and isinstance(value.get("secret"), str)
        ):
            secret = environment.get(value["secret"], "").strip()
            if not secret:
                raise InvalidInput(
                    f"The provider {instance.name!r} needs the variable {value['secret']}, and it is not set.",
                    hint=f"Set {value['secret']}.",
                )
            config[name] = f"{value.get('prefix', '')}{secret}"
    return config


def _variable(name: str, field: str) -> str:
    return f"{name}_{field}".upper().replace("-", "_")
