"""Lines of JSON in and out (NDJSON): read one by one within bounds, each line's mistakes told with its number."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from mosaic.api.routing import encoded
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject

__all__ = ["MEDIA_TYPE", "Line", "lines_of", "lines_response", "problem_of"]

MEDIA_TYPE = "application/jsonl"
_ACCEPTED = frozenset({MEDIA_TYPE, "application/x-ndjson", "application/ndjson", "application/jsonlines"})
_LONGEST_BYTES = 4_000_000

Line = tuple[int, Any, Problem | None]
"""Its number from 1, the value, and what is wrong with it, if anything is."""


async def lines_of(request: Request, *, most: int) -> AsyncGenerator[Line, None]:
    """Yield the lines of a request's body as they arrive; empty ones are passed over.

    Raises:
        HTTPException: 415 when the body says that it is something else.
        InvalidInput: when there are more than `most` lines.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _ACCEPTED:
        raise HTTPException(415, f"The body is {kind[:80] or 'nothing'!r}; this takes {MEDIA_TYPE}.")
    number = 0
    async for raw in _split(request.stream()):
        number += 1
        if number > most:
            raise InvalidInput(
                f"The body has more than {most} lines.", hint="Send it in several requests; nothing was done."
            )
        if raw is None:
            yield (
                number,
                None,
                Problem(f"is longer than {_LONGEST_BYTES} bytes", path=_place(number), line=number),
            )
        elif raw.strip():
            yield _parsed(number, raw)


async def _split(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes | None, None]:
    """Yield lines; None for one that is too long, whose bytes are dropped as they come."""
    rest, too_long = b"", False
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield None if too_long or len(line) > _LONGEST_BYTES else line
            too_long = False
        if len(rest) > _LONGEST_BYTES:
            rest, too_long = b"", True
    if rest or too_long:
        yield None if too_long else rest


def _parsed(number: int, raw: bytes) -> Line:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return number, None, Problem(f"is no JSON: {error}"[:300], path=_place(number), line=number)
    if not isinstance(value, dict):
        return number, None, Problem("must be a JSON object", path=_place(number), line=number)
    return number, value, None


def problem_of(number: int, problem: Problem, *, start: str = "") -> Problem:
    """Return a problem of a line's value as one of the line: ``item.title`` in line 3 is ``line 3: item.title``."""
    path = problem.path.removeprefix(start).lstrip(".")
    return Problem(
        problem.message,
        path=f"{_place(number)}: {path}" if path else _place(number),
        line=number,
        suggestion=problem.suggestion,
    )


def _place(number: int) -> str:
    return f"line {number}"


def lines_response(pages: AsyncIterator[list[JsonObject]], name: str) -> StreamingResponse:
    """Return a response that sends rows as lines, a page at a time, as a file to keep."""

    async def lines() -> AsyncIterator[bytes]:
        async for page in pages:
            if page:
                yield b"".join(encoded(row) + b"\n" for row in page)

    return StreamingResponse(
        lines(),
        media_type=MEDIA_TYPE,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )
