"""Live events over SSE: each client is a cursor over the journal, so a dropped client resumes and misses nothing."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator

from fastapi.responses import StreamingResponse

from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject
from mosaic.observability import get_logger

__all__ = ["event_stream", "resume_point"]

_log = get_logger(__name__)
_KEEPALIVE_S = 15.0
_LONGEST_SEQUENCE = 18


def resume_point(last_event_id: str | None, after: int | None) -> int:
    """Return the journal sequence to continue after: `after`, else the Last-Event-ID header, else the beginning.

    Raises:
        InvalidInput: if the header is not a sequence number.
    """
    text = (last_event_id or "").strip()
    if after is not None or not text:
        return after or 0
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_SEQUENCE):
        raise InvalidInput("Last-Event-ID must be the id of an event of this stream.")
    return int(text)


def event_stream(
    application: Application, ctx: Context, *, run_id: str | None, after: int
) -> StreamingResponse:
    """Return the response that sends events after `after`, in order, for as long as the client listens."""
    events = application.operations.events(ctx, run_id=run_id, after=after, follow=True)
    return StreamingResponse(
        _frames(events, application.stopping),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _frames(events: AsyncGenerator[JsonObject], stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield SSE frames; a comment keeps idle connections open; the stream ends when the server stops."""
    yield b": connected\nretry: 1000\n\n"
    stop: asyncio.Future[object] = asyncio.ensure_future(stopping.wait())
    pending: asyncio.Future[JsonObject] | None = None
    try:
        while not stopping.is_set():
            pending = pending or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait((pending, stop), timeout=_KEEPALIVE_S, return_when="FIRST_COMPLETED")
            if pending in done:
                event = pending.result()
                pending = None
                yield _frame(event)
            elif not done:
                yield b": keep-alive\n\n"
    except StopAsyncIteration:
        return
    except MosaicError as error:
        # The client comes back by itself and goes on after the last event it has seen.
        _log.warning("a stream of events ended: %s", error)
    finally:
        stop.cancel()
        if pending is not None:
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, MosaicError):
                await pending
        await events.aclose()


def _frame(event: JsonObject) -> bytes:
    # ASCII: there are characters that some clients take for the end of a line.
    data = json.dumps(event, default=str)
    return f"id: {event['seq']}\nevent: {event['type']}\ndata: {data}\n\n".encode()
