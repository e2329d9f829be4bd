"""Errors as RFC 9457 problem documents: the one place where the error tree meets HTTP."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from mosaic.core.errors import InvalidInput, LimitExceeded, MosaicError, Problem
from mosaic.observability import get_logger

__all__ = ["PROBLEM_RESPONSES", "ProblemDocument", "install", "problem_response"]

_MEDIA_TYPE = "application/problem+json"
_log = get_logger(__name__)


class ProblemDocument(BaseModel):
    """RFC 9457 problem details, with the stable code and data of the error tree."""

    type: str = Field(examples=["https://mosaic.invalid/problems/not_found"])
    title: str
    status: int
    detail: str
    instance: str
    code: str
    hint: str | None = None
    data: dict[str, Any] | None = None
    problems: list[dict[str, Any]] | None = None


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"model": ProblemDocument, "description": "A problem document", "content": {_MEDIA_TYPE: {}}}
}


def problem_response(request: Request, error: MosaicError) -> JSONResponse:
    """Return the problem document of an error."""
    status = error.http_status
    # 499 is what servers log for a client that went away; a phrase of its own keeps HTTPStatus out of it.
    title = "Cancelled" if status == 499 else HTTPStatus(status).phrase
    shown = error.to_json()
    body = {
        "type": f"urn:mosaic:problem:{error.code}",
        "title": title,
        "status": status,
        "detail": shown.pop("message"),
        "instance": request.url.path,
        **shown,
    }
    headers: dict[str, str] = {}
    if isinstance(error, LimitExceeded) and error.data.get("retry_after_s") is not None:
        headers["Retry-After"] = str(max(1, round(float(error.data["retry_after_s"]))))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status_code=status, headers=headers, media_type=_MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    @app.exception_handler(MosaicError)
    async def known(request: Request, error: MosaicError) -> JSONResponse:
        return problem_response(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            Problem(str(item["msg"]), path=".".join(str(part) for part in item["loc"]))
            for item in error.errors()
        ]
        return problem_response(request, InvalidInput("The request is not valid.", problems=problems))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        body = {
            "type": "about:blank",
            "title": HTTPStatus(error.status_code).phrase,
            "status": error.status_code,
            "detail": str(error.detail),
            "instance": request.url.path,
            "code": HTTPStatus(error.status_code).name.lower(),
        }
        headers = dict(error.headers or {})
        return JSONResponse(body, status_code=error.status_code, headers=headers, media_type=_MEDIA_TYPE)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        _log.exception("request failed", extra={"path": request.url.path}, exc_info=error)
        return problem_response(
            request, MosaicError("Something failed inside the server; its log says what.")
        )
