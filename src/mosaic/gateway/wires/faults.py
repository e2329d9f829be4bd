"""Our errors as each vendor would send them.

The vendors' own clients repeat 408, 409, 429 and everything from 500 on, so an error that must not be repeated
either has another status or says so in ``x-should-retry``, which both honour.
"""

import math
from typing import Any

from mosaic.core.errors import InvalidInput, ModelRefused, MosaicError
from mosaic.gateway.wires.encoding import as_json
from mosaic.gateway.wires.schemas import ErrorReply
from mosaic.providers import Message, ModelResponse, Usage

__all__ = ["anthropic_error", "anthropic_fault", "declined", "openai_error", "openai_fault"]

_RETRY_LIMIT_S = 86_400.0
_JSON = (b"content-type", b"application/json")
_REPEATED = frozenset({408, 409, 429})

# The statuses of the vendors where they differ from ours: a request that is wrong is 400 with both.
_STATUS = {422: 400, 501: 400, 507: 503}
_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
_OPENAI_CODES = {
    "unauthenticated": "invalid_api_key",
    "not_found": "model_not_found",
    "limit_exceeded": "rate_limit_exceeded",
    "model_refused": "content_filter",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OVERLOADED = 529


def openai_error(error: MosaicError) -> ErrorReply:
    """Return `error` as OpenAI's API would answer."""
    status = _status(error)
    return ErrorReply(status, _headers(error, status), as_json({"error": openai_fault(error)}))


def openai_fault(error: MosaicError) -> dict[str, Any]:
    """Return OpenAI's error object for `error`."""
    status = _status(error)
    return {
        "message": _message(error),
        "type": _OPENAI_TYPES.get(status, "server_error"),
        "param": _place(error),
        "code": _OPENAI_CODES.get(error.code, error.code),
    }


def anthropic_error(error: MosaicError) -> ErrorReply:
    """Return `error` as Anthropic's API would answer."""
    status = _status(error)
    if status == 503:
        status = _OVERLOADED
    body = {"type": "error", "error": anthropic_fault(error), "request_id": None}
    return ErrorReply(status, _headers(error, status), as_json(body))


def anthropic_fault(error: MosaicError) -> dict[str, Any]:
    """Return Anthropic's error object for `error`."""
    status = _status(error)
    kind = _ANTHROPIC_TYPES.get(_OVERLOADED if status == 503 else status, "api_error")
    return {"type": kind, "message": _message(error)}


def declined(error: ModelRefused) -> ModelResponse:
    """Return a refusal as the answer that each vendor makes of it: its words, and a content filter as the reason."""
    data = error.data
    usage = data.get("usage")
    return ModelResponse(
        message=Message.of("assistant", error.message),
        finish_reason="content_filter",
        usage=Usage.from_json(usage) if isinstance(usage, dict) else Usage(),
        model=str(data.get("model") or ""),
        provider=str(data.get("provider") or ""),
        response_id=data.get("response_id"),
    )


def _status(error: MosaicError) -> int:
    if error.code == "model_refused":
        return 400
    given = error.data.get("http_status")
    status = given if isinstance(given, int) and 400 <= given <= 599 else error.http_status
    return _STATUS.get(status, status)


def _headers(error: MosaicError, status: int) -> tuple[tuple[bytes, bytes], ...]:
    headers = [_JSON, (b"x-mosaic-error", error.code.encode("ascii", "replace"))]
    wait_s = _retry_after_s(error)
    if wait_s is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(wait_s)))
        headers.append((b"retry-after-ms", b"%d" % math.ceil(wait_s * 1000)))
    if not error.retryable and (status in _REPEATED or status >= 500):
        headers.append((b"x-should-retry", b"false"))
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return tuple(headers)


def _retry_after_s(error: MosaicError) -> float | None:
    given = error.data.get("retry_after_s")
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return None
    return min(max(float(given), 0.0), _RETRY_LIMIT_S)


def _message(error: MosaicError) -> str:
    message = error.message or error.code
    return f"{message} {error.hint}" if error.hint else message


def _place(error: MosaicError) -> str | None:
    if isinstance(error, InvalidInput) and error.problems:
        return error.problems[0].path or None
    if error.code == "not_found":
        return "model"
    return None
