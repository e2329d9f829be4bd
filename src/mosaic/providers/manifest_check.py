"""Checks manifests and configurations against their schemas. A configuration's values are never part of a problem."""

import json
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject
from mosaic.providers.manifest import ProviderManifest
from mosaic.providers.versions import VersionRange

__all__ = ["configuration_problems", "manifest_problems", "manifest_schema", "shown_path"]

_SHOWN_CHARACTERS = 200


@cache
def manifest_schema() -> JsonObject:
    """Return the published JSON Schema of manifests."""
    text = (resources.files("mosaic.providers") / "manifest.schema.json").read_text(encoding="utf-8")
    schema: JsonObject = json.loads(text)
    return schema


def manifest_problems(shown: JsonObject) -> list[Problem]:
    """Return what is wrong with a manifest: first its shape, then what a schema cannot say."""
    problems = [
        Problem(_message(error), shown_path(error.absolute_path))
        for error in sorted(
            _manifest_validator().iter_errors(shown), key=lambda error: list(map(str, error.path))
        )
    ]
    return problems or list(_contradictions(shown))


def configuration_problems(manifest: ProviderManifest, config: JsonObject, *, name: str) -> list[Problem]:
    """Return what is wrong with the configuration of the instance `name`, without its values.

    A key may stand in the wrong place, so only the rule that is broken is said.
    """
    problems = []
    for error in _validator(manifest.configuration).iter_errors(config):
        path = shown_path((name, *error.absolute_path))
        if error.validator == "additionalProperties":
            known = ", ".join(manifest.configuration.get("properties", {}))
            message = f"has a field that is not known; known are {known or 'none'}"
        else:
            message = f"does not fit: {error.validator} must be {error.validator_value!r}"
        problems.append(Problem(message, path=path))
    return problems


def shown_path(path: Sequence[object]) -> str:
    """Return a place in a document as people write it: ``auth[0].header``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".")


def _validator(schema: JsonObject) -> Any:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # slow to import, and only needed once a provider is used

    return Draft202012Validator(schema)


@cache
def _manifest_validator() -> Any:
    return _validator(manifest_schema())


def _message(error: Any) -> str:
    message = str(error.message)
    return message if len(message) <= _SHOWN_CHARACTERS else message[:_SHOWN_CHARACTERS] + "…"


@lru_cache(maxsize=256)
def _schema_problem(schema: str) -> str | None:
    """Return what is wrong with a JSON Schema, given as text: the check costs 20 ms, and plugins are loaded often."""
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    read = json.loads(schema)
    try:
        _validator(read).check_schema(read)
    except SchemaError as error:
        return _message(error)
    return None


def _contradictions(shown: JsonObject) -> Iterator[Problem]:
    configuration = shown.get("configuration", {})
    wrong = _schema_problem(json.dumps(configuration, sort_keys=True, default=str))
    if wrong is not None:
        yield Problem(f"is not a JSON Schema: {wrong}", "configuration")
        return
    fields = set(configuration.get("properties", {}))
    named = [
        *((f"environment.{name}", name) for name in shown.get("environment", {})),
        *((f"secrets[{index}]", name) for index, name in enumerate(shown.get("secrets", ()))),
        *(
            (f"auth[{index}].field", auth["field"])
            for index, auth in enumerate(shown.get("auth", ()))
            if auth.get("field")
        ),
    ]
    if "webhook" in shown:
        named.append(("webhook.secret", shown["webhook"]["secret"]))
    for path, name in named:
        if name not in fields:
            yield Problem(f"{name!r} is not a field of the configuration", path)
    for index, auth in enumerate(shown.get("auth", ())):
        if auth["type"] != "none" and auth.get("field") and auth["field"] not in shown.get("secrets", ()):
            yield Problem(f"{auth['field']!r} must be one of `secrets`", f"auth[{index}].field")
    for index, dependency in enumerate(shown.get("requires", ())):
        try:
            VersionRange.parse(dependency.get("versions", "*"))
        except InvalidInput as error:
            yield Problem(error.message, f"requires[{index}].versions")
        if dependency["plugin"] == shown["id"]:
            yield Problem("a plugin cannot require itself", f"requires[{index}].plugin")
