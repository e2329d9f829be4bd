"""The OpenAPI document: every route, every error as a problem document."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from mosaic.api.example_values import example_of
from mosaic.api.problems import MEDIA_TYPE, ProblemDocument, title_of

__all__ = ["install", "operation_id"]

_REFERENCE = "#/components/schemas/ProblemDocument"
_METHODS = ("get", "post", "put", "patch", "delete")
_TOLD = {
    400: "A header, a cursor or the body is nothing that could be read",
    401: "No valid token or session",
    404: "There is no such thing in this tenant",
    409: "The state does not allow it, or a request with this Idempotency-Key is being done",
    412: "It has changed since the ETag in If-Match",
    413: "The body is too large",
    415: "The body is of another media type",
    422: "What was sent is wrong; `problems` says what and where",
}
_EXAMPLES = {
    400: ("bad_request", "That cursor cannot continue this list."),
    401: ("unauthenticated", "This needs the owner's token."),
    404: ("not_found", "There is nothing of that name here."),
    409: ("conflict", "A request with that key is being done."),
    412: ("stale", "It has changed since it was read."),
    413: ("body_too_large", "The body is larger than 8000000 bytes."),
    415: ("unsupported_media_type", "The body is 'text/plain'; this takes application/json."),
    422: ("invalid_input", "The request is not valid."),
}


def operation_id(route: APIRoute) -> str:
    """Return the name under which generated clients know a route: ``runs_start``."""
    tag = str(route.tags[0]).replace(" ", "_") if route.tags else "mosaic"
    return f"{tag}_{route.name.strip('_')}"


def install(app: FastAPI) -> None:
    """Make `app` publish its contract."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to do it


def _document(app: FastAPI) -> dict[str, Any]:
    shown = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = shown.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in shown["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                _complete(path, operation, schemas)
    return shown


def _complete(path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Add to an operation what can go wrong, and an example of all that it takes and answers."""
    responses = operation["responses"]
    responses.pop("422", None)
    for status in _problems_of(path, operation):
        responses.setdefault(str(status), _problem(status, path))
    responses["default"] = {"description": "Another problem", "content": _problem_content()}
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _never_null(parameter["schema"])
    contents = [response.get("content", {}) for response in responses.values()]
    for content in (*contents, operation.get("requestBody", {}).get("content", {})):
        for media, told in content.items():
            schema = told.get("schema", {})
            if media == "application/json" and not {"example", "examples"} & set(told):
                told["example"] = example_of(schema, schemas)


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null: one that is not there is left out, and has no such spelling."""
    choices = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
    if len(choices) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **choices[0]}


def _problems_of(path: str, operation: dict[str, Any]) -> list[int]:
    """Return the statuses that every operation of this form can answer with."""
    parameters = {parameter["name"].lower() for parameter in operation.get("parameters", ())}
    body = "requestBody" in operation
    can = {
        400: body or bool({"cursor", "idempotency-key"} & parameters),
        401: path.startswith("/api/"),
        404: "{" in path,
        409: "idempotency-key" in parameters,
        412: "if-match" in parameters,
        413: body,
        415: body,
        422: body or bool(parameters - {"if-none-match"}),
    }
    return [status for status, whether in can.items() if whether]


def _problem(status: int, path: str) -> dict[str, Any]:
    code, detail = _EXAMPLES[status]
    example = {
        "type": f"urn:mosaic:problem:{code}",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "instance": path,
        "code": code,
    }
    return {"description": _TOLD[status], "content": _problem_content(example)}


def _problem_content(example: dict[str, Any] | None = None) -> dict[str, Any]:
    told: dict[str, Any] = {"schema": {"$ref": _REFERENCE}}
    return {MEDIA_TYPE: {**told, "example": example} if example is not None else told}
