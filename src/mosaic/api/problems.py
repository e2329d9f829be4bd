"""Errors as RFC 9457 problem documents: the one place where the error tree meets HTTP."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from mosaic.core.errors import Conflict, InvalidInput, LimitExceeded, MosaicError, Problem
from mosaic.observability import get_logger

__all__ = ["MEDIA_TYPE", "ProblemDocument", "install", "plain_problem", "problem_response", "title_of"]

MEDIA_TYPE = "application/problem+json"
_log = get_logger(__name__)
# What is refused before any room is asked. Names of ours: those of the standard library change with its releases.
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
}
_TITLES = {422: "Unprocessable Content", 413: "Content Too Large", 499: "Cancelled"}


class ProblemDocument(BaseModel):
    """RFC 9457 problem details, with the stable code and data of the error tree."""

    type: str = Field(examples=["urn:mosaic:problem:not_found"])
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="stable; programs decide by it")
    hint: str | None = Field(None, description="the next step, for a person")
    data: dict[str, Any] | None = None
    problems: list[dict[str, Any]] | None = Field(
        None, description="everything that is wrong, with its place"
    )


def problem_response(path: str, error: MosaicError) -> JSONResponse:
    """Return the problem document of an error that a request to `path` met."""
    status = error.http_status
    shown = error.to_json()
    headers: dict[str, str] = {}
    if isinstance(error, LimitExceeded | Conflict) and error.data.get("retry_after_s") is not None:
        headers["Retry-After"] = str(max(1, round(float(error.data["retry_after_s"]))))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(path, status, shown.pop("message"), headers=headers, **shown)


def plain_problem(
    path: str, status: int, detail: str, *, hint: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """Return the problem document of a request that is refused before any room is asked."""
    more = {"hint": hint} if hint else {}
    code = _CODES.get(status, "http_error")
    return _response(path, status, detail, headers=headers or {}, code=code, **more)


def _response(path: str, status: int, detail: str, *, headers: dict[str, str], **more: Any) -> JSONResponse:
    body = {
        "type": f"urn:mosaic:problem:{more['code']}",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "instance": path,
        **more,
    }
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def title_of(status: int) -> str:
    """Return the phrase of a status."""
    # 499 is what servers log for a client that went away; it has no phrase in the standard.
    return _TITLES.get(status) or HTTPStatus(status).phrase


def _methods(request: Request) -> list[str]:
    """Return every method of the path as the contract lists them; the route that refused knows only its own."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    path = request.url.path
    # An address that stands in the contract as it is, such as /plans/export, is not one of /plans/{plan_id}.
    fitting = [path] if path in paths else [one for one in paths if compile_path(one)[0].match(path)]
    return sorted({method.upper() for template in fitting for method in paths[template]})


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    @app.exception_handler(MosaicError)
    async def known(request: Request, error: MosaicError) -> JSONResponse:
        return problem_response(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            Problem(str(item["msg"]), path=".".join(str(part) for part in item["loc"]))
            for item in error.errors()
        ]
        return problem_response(
            request.url.path, InvalidInput("The request is not valid.", problems=problems)
        )

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
            headers = {key: value for key, value in headers.items() if key.lower() != "allow"}
            headers["Allow"] = ", ".join(methods)
        return plain_problem(request.url.path, error.status_code, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        _log.exception("request failed", extra={"path": request.url.path}, exc_info=error)
        mistake = MosaicError("Something failed inside the server; its log says what.")
        return problem_response(request.url.path, mistake)
