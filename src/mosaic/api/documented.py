"""What the OpenAPI document says of a route besides its own parameters: fields, conditions, pages, repetitions."""

from typing import Any, Protocol

__all__ = ["SPARSE", "Behaviour", "documented"]

SPARSE = "application/vnd.mosaic.sparse+json"
_TEXT = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"description": "changes when the answer does", "schema": _TEXT},
    "Link": {"description": "RFC 8288: `first`, and `next` while there is more", "schema": _TEXT},
    "Idempotency-Replayed": {"description": "`true` on a repeated answer", "schema": _TEXT},
}
_IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags that the client has; 304 when one still holds",
    "schema": _TEXT,
    "example": '"5f2c7a1e90b3d4c86a11f0e2"',
}
_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "1 to 255 visible characters, such as a UUID: for a day, the same request with the same key is done once and "
        "gets the first answer again"
    ),
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
}


class Behaviour(Protocol):
    """What a route does besides its own work."""

    reads: bool
    acts: bool
    pages: bool
    shown_once: bool
    known_fields: tuple[str, ...]


def documented(route: Behaviour, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a route with what its answers and parameters are told to be."""
    status = options.get("status_code") or 200
    responses: dict[int | str, dict[str, Any]] = dict(options.get("responses") or {})
    extra = dict(options.get("openapi_extra") or {})
    parameters = list(extra.get("parameters", ()))
    shown = responses.get(status)
    if shown is not None:
        headers = dict(shown.get("headers") or {})
        names = [
            *(["ETag"] if route.reads else []),
            *(["Link"] if route.pages else []),
            *(["Idempotency-Replayed"] if route.acts and not route.shown_once else []),
        ]
        headers = {**{name: _HEADERS[name] for name in names}, **headers}
        content = dict(shown.get("content") or {})
        if route.known_fields:
            content[SPARSE] = {"schema": {"type": "object", "description": "with the chosen fields only"}}
        responses[status] = {
            **shown,
            **({"headers": headers} if headers else {}),
            **({"content": content} if content else {}),
        }
    if route.reads:
        parameters.append(_IF_NONE_MATCH)
        responses.setdefault(304, {"description": "nothing has changed since the ETag in If-None-Match"})
    if route.known_fields:
        parameters.append(_fields(route.known_fields))
    if route.acts:
        parameters.append(_KEY)
    if parameters:
        extra["parameters"] = parameters
    return {**options, "responses": responses, "openapi_extra": extra or None}


def _fields(known: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": "fields",
        "in": "query",
        "description": f"only these fields, of each item in a list; the answer is {SPARSE} then",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"enum": list(known)}, "minItems": 1},
        "example": list(known[:2]),
    }
