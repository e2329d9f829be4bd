"""Idempotency-Key: a request that acts is done once, however often it is sent; repetitions get the first answer."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from mosaic.api.errors import BadRequest
from mosaic.api.problems import problem_response
from mosaic.core.clock import now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, LimitExceeded, MosaicError, Unavailable, Unsupported
from mosaic.core.values import content_hash
from mosaic.observability import get_logger
from mosaic.storage import Claim, IdempotencyKeys, KeptAnswer

__all__ = ["HEADER", "once"]

HEADER = "idempotency-key"
_log = get_logger(__name__)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# The longest request: what is open for longer was cut off, and nobody knows how far it came.
_CUT_OFF = timedelta(minutes=15)
_LARGEST_BYTES = 1_000_000
_KEPT_HEADERS = ("content-type", "location", "etag")
# Nothing was done: under the same key it may be tried again.
_UNDONE = (Unavailable, LimitExceeded, Unsupported)

Handler = Callable[[Request], Awaitable[Response]]


async def once(
    keys: IdempotencyKeys, ctx: Context, request: Request, handler: Handler, *, shown_once: bool
) -> Response:
    """Answer a request that has an Idempotency-Key: do it, or give the answer that the first one got.

    Args:
        keys: which requests were done.
        ctx: who asks; each caller has its own keys.
        request: what is asked.
        handler: does it.
        shown_once: its answer holds a secret, which is not kept.

    Raises:
        BadRequest: if the key is none.
        InvalidInput: if the key came with another request before.
        Conflict: while the first request is being done, or when it was cut off.
    """
    key = request.headers[HEADER].strip().strip('"')
    if not _KEY.fullmatch(key):
        raise BadRequest(
            "That is no Idempotency-Key.", hint="Send 1 to 255 visible ASCII characters, such as a UUID."
        )
    claim = await keys.claim(ctx.tenant, f"{ctx.actor} {key}", await _fingerprint(request))
    if claim.state != "new":
        return _earlier(claim)
    return await _first(keys, claim, request, handler, shown_once=shown_once)


async def _first(
    keys: IdempotencyKeys, claim: Claim, request: Request, handler: Handler, *, shown_once: bool
) -> Response:
    try:
        response = await _whole(await handler(request))
    except MosaicError as error:
        if error.http_status < 500 or isinstance(error, _UNDONE):
            await keys.release(claim)
            raise
        response = problem_response(request.url.path, error)
    except (HTTPException, RequestValidationError):
        await keys.release(claim)
        raise
    except Exception as error:  # noqa: BLE001  # how far it came is not known, so it must not be done again
        _log.exception("request failed", extra={"path": request.url.path}, exc_info=error)
        response = problem_response(
            request.url.path, MosaicError("Something failed inside the server; its log says what.")
        )
    body: bytes | None = bytes(response.body)
    if shown_once or len(body or b"") > _LARGEST_BYTES:
        body = None
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    await keys.finish(claim, KeptAnswer(response.status_code, headers, body))
    return response


async def _whole(response: Response) -> Response:
    """Return a response whose body is there: one that is streamed is read to its end."""
    if not isinstance(response, StreamingResponse):
        return response
    parts = [
        bytes(part) if not isinstance(part, str) else part.encode() async for part in response.body_iterator
    ]
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(b"".join(parts), status_code=response.status_code, headers=headers)


def _earlier(claim: Claim) -> Response:
    if claim.state == "other":
        raise InvalidInput(
            "That Idempotency-Key came with another request before.",
            hint="Choose a new key for each new request; a repetition must be the same to the byte.",
        )
    if claim.state == "open":
        if now() - claim.since > _CUT_OFF:
            raise Conflict(
                "The first request with that key was cut off, and nobody knows how far it came.",
                hint="Look whether it was done, then send it under another key if it was not.",
            )
        raise Conflict(
            "A request with that key is being done.", hint="Ask again in a moment.", retry_after_s=1
        )
    kept = claim.answer
    if kept is None or kept.body is None:
        raise Conflict(
            "That request was done already; its answer was shown once and is not kept.",
            hint="Read what it made; a key that is lost can be rotated.",
            status=kept.status if kept is not None else None,
        )
    return Response(
        kept.body, status_code=kept.status, headers={**kept.headers, "Idempotency-Replayed": "true"}
    )


async def _fingerprint(request: Request) -> str:
    head = "\n".join((request.method, request.url.path, request.url.query))
    return content_hash(head.encode() + b"\n\n" + await request.body())
