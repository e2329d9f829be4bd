"""A vendor's refusals and a network's failures, as errors of the core tree."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from mosaic.core.clock import now
from mosaic.core.errors import (
    Conflict,
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    ModelRefused,
    MosaicError,
    NotFound,
    PermissionDenied,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unsupported,
    error_from_json,
)

__all__ = ["Fault", "error_for", "read_fault", "retry_after_s"]

_SHOWN_CHARACTERS = 500
_LONGEST_WAIT_S = 3_600.0

# What vendors call their errors, whatever the status says: an error inside a stream has no status of its own.
_BY_KIND: dict[str, type[MosaicError]] = {
    "authentication_error": Unauthenticated,
    "invalid_api_key": Unauthenticated,
    "permission_error": PermissionDenied,
    "insufficient_quota": PermissionDenied,
    "billing_error": PermissionDenied,
    "billing_hard_limit_reached": PermissionDenied,
    "not_found_error": NotFound,
    "model_not_found": NotFound,
    "rate_limit_error": LimitExceeded,
    "rate_limit_exceeded": LimitExceeded,
    "overloaded_error": Unavailable,
    "api_error": Unavailable,
    "server_error": Unavailable,
    "internal_server_error": Unavailable,
    "timeout_error": TimedOut,
    "context_length_exceeded": InvalidInput,
    "request_too_large": InvalidInput,
    "invalid_request_error": InvalidInput,
    "content_filter": ModelRefused,
    "content_policy_violation": ModelRefused,
    "image_content_policy_violation": ModelRefused,
    # Google's names of its status codes, and of the reasons behind them.
    "API_KEY_INVALID": Unauthenticated,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "RESOURCE_EXHAUSTED": LimitExceeded,
    "UNAVAILABLE": Unavailable,
    "INTERNAL": Unavailable,
    "DEADLINE_EXCEEDED": TimedOut,
    "INVALID_ARGUMENT": InvalidInput,
    "FAILED_PRECONDITION": InvalidInput,
}

_BY_STATUS: dict[int, type[MosaicError]] = {
    400: InvalidInput,
    401: Unauthenticated,
    402: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: TimedOut,
    409: Conflict,
    413: InvalidInput,
    422: InvalidInput,
    429: LimitExceeded,
    501: Unsupported,
    504: TimedOut,
}

# Kinds that say less than the status they come with: a 401 or 404 of type `invalid_request_error`.
_VAGUE = frozenset(
    {
        "invalid_request_error",
        "api_error",
        "server_error",
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
        "INTERNAL",
    }
)
_BILLING = frozenset({"insufficient_quota", "billing_error", "billing_hard_limit_reached"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What a vendor said about a failure.

    Attributes:
        message: its own words.
        kinds: its names for it, most exact first; a number is the status that it means.
        retry_after_s: how long it asks us to wait, when its body says so.
    """

    message: str
    kinds: tuple[str, ...] = ()
    retry_after_s: float | None = None


def read_fault(body: bytes | str | Mapping[str, Any]) -> Fault:
    """Return what an error body says: OpenAI's, Anthropic's, Google's, Cohere's and Ollama's forms, and plain text."""
    shown: Any = body
    if isinstance(body, bytes | str):
        try:
            shown = json.loads(body)
        except (ValueError, RecursionError):
            text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
            return Fault(" ".join(text.split())[:_SHOWN_CHARACTERS])
    if isinstance(shown, list) and shown:  # some of Google's endpoints put their error into a list
        shown = shown[0]
    if not isinstance(shown, Mapping):
        return Fault(str(shown)[:_SHOWN_CHARACTERS])
    inner = shown.get("error", shown)
    if not isinstance(inner, Mapping):
        return Fault(str(inner)[:_SHOWN_CHARACTERS])
    message = inner.get("message") or inner.get("detail") or shown.get("message") or "no reason given"
    details = [item for item in inner.get("details") or () if isinstance(item, Mapping)]
    reasons = [str(item["reason"]) for item in details if item.get("reason")]
    names = [str(inner[name]) for name in ("code", "type", "status") if inner.get(name)]
    kinds = (*reasons, *sorted(names, key=str.isdecimal))
    return Fault(str(message)[:_SHOWN_CHARACTERS], kinds, _delay(details))


def _delay(details: list[Mapping[str, Any]]) -> float | None:
    """Return the seconds of Google's ``{"retryDelay": "34s"}``."""
    text = next((str(item["retryDelay"]) for item in details if item.get("retryDelay")), "")
    try:
        return min(max(float(text.removesuffix("s")), 0.0), _LONGEST_WAIT_S) if text else None
    except ValueError:
        return None


def error_for(
    fault: Fault,
    *,
    provider: str,
    status: int | None = None,
    wait_s: float | None = None,
    hint: str | None = None,
    errors: Mapping[str, str] | None = None,
) -> MosaicError:
    """Return the error for what a vendor said.

    Args:
        fault: the vendor's words, free of secrets.
        provider: who said it.
        status: the HTTP status; None for an error inside a stream.
        wait_s: how long the vendor asks us to wait.
        hint: used where the kind of error suggests none.
        errors: the vendor's own words and statuses -> the code of ours (`ProviderManifest.errors`); they win.
    """
    kind = _declared(fault, status, errors or {}) or _class_for(fault, status)
    where = f"{provider} answered {status}" if status else f"{provider} broke off its answer"
    data: dict[str, Any] = {"provider": provider}
    if status:
        data["status"] = status
    if fault.kinds:
        data["reason"] = fault.kinds[0]
    wait_s = fault.retry_after_s if wait_s is None else wait_s
    if wait_s is not None:
        data["retry_after_s"] = wait_s
    if kind is TimedOut:
        data["sent"] = True
    return kind(f"{where}: {fault.message}", hint=_hint(kind, fault, provider) or hint, **data)


def _declared(fault: Fault, status: int | None, errors: Mapping[str, str]) -> type[MosaicError] | None:
    code = next((errors[word] for word in (*fault.kinds, str(status)) if word in errors), None)
    return type(error_from_json({"code": code})) if code is not None else None


def _class_for(fault: Fault, status: int | None) -> type[MosaicError]:
    for kind in fault.kinds:
        if kind in _BY_KIND and not (kind in _VAGUE and status):
            return _BY_KIND[kind]
    if status is None:
        status = next((int(kind) for kind in fault.kinds if kind.isdecimal() and len(kind) == 3), None)
    if status is None:
        return Unavailable
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return Unavailable
    return InvalidInput if status >= 400 else ContractViolation


def _hint(kind: type[MosaicError], fault: Fault, provider: str) -> str | None:
    if _BILLING.intersection(fault.kinds):
        return (
            f"The {provider} account is out of credit or over its quota; add credit, or name another model."
        )
    if "context_length_exceeded" in fault.kinds:
        return "The conversation is longer than the model can read; use a model with a larger context."
    if kind is Unauthenticated:
        return f"Check the API key of {provider}."
    if kind is PermissionDenied:
        return f"The key is valid, but {provider} does not allow it this."
    return None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the vendor asks us to wait; None when it does not say. At most an hour."""
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        if milliseconds is not None:
            wait_s = float(milliseconds) / 1000
        elif value is None:
            return None
        else:
            wait_s = _seconds(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(wait_s) else min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        moment: datetime = parsedate_to_datetime(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - now()).total_seconds()
