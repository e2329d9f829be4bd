"""Examples for the OpenAPI document: worked out from the schemas, so that they fit them whatever changes."""

from typing import Any

__all__ = ["example_of"]

_DEEPEST = 5
_MOMENT = "2026-11-28T12:00:00Z"
_HASH = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_NAMES: dict[str, Any] = {
    "id": "run_01m8hdc2ysztn4xbre6t50j7hw",
    "run_id": "run_01m8hdc2ysztn4xbre6t50j7hw",
    "root_run_id": "run_01m8hdc2ysztn4xbre6t50j7hw",
    "approval": "apr_01m8hdc5p2v9k3w7x1c4b6n8qs",
    "plan": "plan_01m8hdc2ysztn4xbre6t50j7hw",
    "workflow": "fix-failing-test",
    "version": "1",
    "tenant": "local",
    "project": "default",
    "actor": "user:owner",
    "created_by": "user:owner",
    "requested_by": "agent:coder",
    "linked_by": "user:owner",
    "model": "anthropic:claude-sonnet-5",
    "definition_hash": _HASH,
    "content_hash": _HASH,
    "digest": _HASH,
    "name": "web",
    "title": "Retry a declined card once",
    "description": "",
    "type": "run.created",
    "tool": "files.write",
    "url": "https://tools.example/mcp",
    "path": "build/code",
    "media_type": "text/markdown",
    "size_bytes": 2048,
    "usd": 1.25,
    "tokens": 12_000,
    "key": "T.001.02.01.03",
    "status": "ok",
}
_PREFIXES = {
    "Approval": "apr",
    "Artifact": "art",
    "Budget": "bud",
    "Change": "chg",
    "Event": "evt",
    "Item": "item",
    "Key": "key",
    "Plan": "plan",
    "StandingRule": "trl",
}
_BODY = "01m8hdc2ysztn4xbre6t50j7hw"


def example_of(schema: dict[str, Any], components: dict[str, Any], *, name: str = "", depth: int = 0) -> Any:
    """Return a value that fits a schema.

    Args:
        schema: from the OpenAPI document.
        components: the schemas that it refers to.
        name: of the field or model that holds it; chooses a value that looks like one.
        depth: how deep the value stands; lists deeper than some levels are left empty.
    """
    if "$ref" in schema:
        model = str(schema["$ref"]).rsplit("/", 1)[-1]
        return example_of(components[model], components, name=model, depth=depth)
    if "const" in schema:
        return schema["const"]
    for given in ("example", "default"):
        if schema.get(given) is not None and _long_enough(schema[given], schema):
            return schema[given]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return example_of(_first(schema[choice]), components, name=name, depth=depth)
    return _plain(schema, components, name=name, depth=depth)


def _long_enough(value: Any, schema: dict[str, Any]) -> bool:
    """Say whether a default may be sent as it is: "" and [] often mean only that nothing was sent."""
    bound = schema.get("minLength" if isinstance(value, str) else "minItems", 0)
    return not isinstance(value, str | list) or len(value) >= int(bound)


def _first(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return next((one for one in choices if one.get("type") != "null"), choices[0])


def _plain(schema: dict[str, Any], components: dict[str, Any], *, name: str, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return _object(schema, components, name=name, depth=depth)
    if kind == "array":
        if (depth >= _DEEPEST and not schema.get("minItems")) or not schema.get("items"):
            return []
        return [example_of(schema["items"], components, name=name.removesuffix("s"), depth=depth + 1)]
    if kind == "string":
        return _text(schema, name)
    if kind == "boolean":
        return False
    if kind in ("integer", "number"):
        return _number(schema, name, whole=kind == "integer")
    return None


def _object(schema: dict[str, Any], components: dict[str, Any], *, name: str, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    shown = {
        field: example_of(inner, components, name=field, depth=depth + 1)
        for field, inner in schema.get("properties", {}).items()
        if field in required or depth < 2  # what is optional only near the top
    }
    prefix = next((prefix for model, prefix in _PREFIXES.items() if name.startswith(model)), None)
    if prefix is not None and isinstance(shown.get("id"), str):
        shown["id"] = f"{prefix}_{_BODY}"
    return shown


def _text(schema: dict[str, Any], name: str) -> str:
    if schema.get("format") == "date-time":
        return _MOMENT
    known = _NAMES.get(name)
    text = known if isinstance(known, str) else name.replace("_", " ") or "text"
    return text.ljust(int(schema.get("minLength", 0)), "x")


def _number(schema: dict[str, Any], name: str, *, whole: bool) -> float:
    known = _NAMES.get(name)
    value = known if isinstance(known, int | float) else 1
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    return int(min(max(value, low), high)) if whole else min(max(value, low), high)
