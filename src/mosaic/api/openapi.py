"""The OpenAPI document: every route, every error as a problem document."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from mosaic.api.problems import MEDIA_TYPE, ProblemDocument

__all__ = ["install", "operation_id"]

_REFERENCE = "#/components/schemas/ProblemDocument"
_METHODS = ("get", "post", "put", "patch", "delete")


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
    for operations in shown["paths"].values():
        for method, operation in operations.items():
            if method in _METHODS:
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = _problem()
    return shown


def _problem() -> dict[str, Any]:
    return {"description": "A problem", "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE}}}}
