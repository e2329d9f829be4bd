"""Answers that are known already: looked up before anything is spent, kept after they came."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from hashlib import sha256
from typing import Any

from mosaic.cache import CachedAnswer, CachePolicy, Lead, StreamRecorder, request_key
from mosaic.core.errors import MosaicError
from mosaic.inference.door_call import Answer, DoorCall, begun
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.passage import Passage
from mosaic.inference.telling import told
from mosaic.providers import Usage

__all__ = ["KnownAnswers"]

_JSON = ((b"content-type", b"application/json"),)
_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"),)
_MOST_BYTES = 1_000_000


class KnownAnswers:
    """The cache in front of the attempts, for routes that keep answers.

    An answer belongs to its tenant, route, protocol and everything that was asked. While one request asks, others
    that ask the same wait for its answer instead of asking too.
    """

    def __init__(self, rooms: DoorRooms) -> None:
        self._rooms = rooms

    async def answer(self, passage: Passage, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the known answer, or the one that `ask` brings."""
        call, decision, cache = passage.call, passage.decision, self._rooms.cache
        key = _key(call, decision.route or call.peek.model)
        if key is None:
            return await ask()
        known = cache.peek(key)
        if known is not None:
            return _given(passage, known)
        met = await cache.enter(key, CachePolicy(ttl_s=decision.policy.cache_ttl_s, max_bytes=_MOST_BYTES))
        if not isinstance(met, Lead):
            return _given(passage, met.answer)
        try:
            answer = await ask()
        except MosaicError as error:
            met.fail(error)
            raise
        except BaseException:
            met.hand_over()  # the caller left: the next who waits asks
            raise
        answer.headers = (*answer.headers, (b"x-mosaic-cache", b"miss"))
        if answer.chunks is None:
            met.finish(CachedAnswer(200, _JSON, answer.body, (), _facts(passage)))
        else:
            answer.chunks = await begun(_recorded(passage, answer.chunks, met))
        return answer


def _key(call: DoorCall, route: str) -> str | None:
    key = request_key(call.codec.name, call.body, tenant=call.payer.tenant, route=route)
    if key is None or not call.onward:
        return key
    return (
        f"{key}-{sha256(repr(call.onward).encode()).hexdigest()[:16]}"  # a header may ask for another answer
    )


def _given(passage: Passage, known: CachedAnswer) -> Answer:
    usage = Usage.from_json(known.meta.get("usage") or {})
    passage.from_cache(usage, model=known.meta.get("model"))
    headers = told(passage, 0, cache=b"hit")
    if known.is_stream:
        return Answer(headers, chunks=_replayed(known.events))
    return Answer(headers, known.body)


async def _replayed(events: tuple[bytes, ...]) -> AsyncGenerator[bytes, None]:
    for event in events:
        yield event


async def _recorded(
    passage: Passage, chunks: AsyncGenerator[bytes, None], lead: Lead
) -> AsyncGenerator[bytes, None]:
    """Take down a stream on its way; keep it when it ended well."""
    recorder = StreamRecorder(_MOST_BYTES)
    kept: CachedAnswer | None = None
    try:
        async with aclosing(chunks):
            yield b""  # see `begun`
            async for chunk in chunks:
                recorder.feed(chunk)
                yield chunk
        if passage.outcome == "ok":
            kept = recorder.finish(status=200, headers=_EVENTS, meta=_facts(passage))
    finally:
        if kept is not None:
            lead.finish(kept)
        else:
            lead.hand_over()


def _facts(passage: Passage) -> dict[str, Any]:
    return {
        "usage": passage.used.to_json(),
        "model": passage.target.model,
        "provider": passage.target.provider,
    }
