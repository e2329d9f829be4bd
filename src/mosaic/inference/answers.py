"""Answers that are known already: looked up before anything is spent, kept after they came."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from typing import Any

from mosaic.cache import (
    CachedAnswer,
    CachePolicies,
    CachePolicy,
    Lead,
    Question,
    StreamRecorder,
    request_key,
    stricter,
)
from mosaic.core.errors import MosaicError
from mosaic.inference.door_call import Answer, DoorCall, begun
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.passage import Passage
from mosaic.inference.similar import SimilarAnswers
from mosaic.inference.telling import told
from mosaic.providers import Usage
from mosaic.routing import Decision

__all__ = ["KnownAnswers"]

_JSON = ((b"content-type", b"application/json"),)
_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"),)
_MOST_BYTES = 1_000_000


class KnownAnswers:
    """The cache in front of the attempts, for routes that keep answers.

    An answer belongs to its tenant, route, protocol and everything that was asked. While one request asks, others
    that ask the same wait for its answer instead of asking too.
    """

    def __init__(self, rooms: DoorRooms, similar: SimilarAnswers) -> None:
        self._rooms = rooms
        self._similar = similar
        self._behind: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop what goes on behind the callers' backs."""
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)

    async def answer(self, passage: Passage, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the known answer, or the one that `ask` brings."""
        call, decision, cache = passage.call, passage.decision, self._rooms.cache
        route = decision.route or call.peek.model
        key = _key(call, route)
        if key is None:
            return await ask()
        known = cache.peek(key)
        if known is not None:
            return _given(passage, known)
        policy = self._policy(decision)
        if policy is None:
            return await ask()
        met = await cache.enter(key, policy)
        if not isinstance(met, Lead):
            return _given(passage, met.answer)
        try:
            question = self._similar.question(call, key, route) if decision.policy.semantic_cache else None
            if question is not None:
                policy = replace(policy, similarity=self._similar.similarity)
                found = await self._similar.find(call, question, policy)
                if found is not None:
                    met.hand_over()  # not kept anew: its time is that of the answer it is
                    return _given(passage, found.answer, b"similar")
            answer = await ask()
        except MosaicError as error:
            met.fail(error)
            raise
        except BaseException:
            met.hand_over()  # the caller left: the next who waits asks
            raise
        return await self._kept(passage, answer, met, None if question is None else (question, policy))

    async def _kept(
        self, passage: Passage, answer: Answer, lead: Lead, asked: tuple[Question, CachePolicy] | None
    ) -> Answer:
        """Keep an answer for the next who asks the same, and for those who ask nearly the same."""
        answer.headers = (*answer.headers, (b"x-mosaic-cache", b"miss"))

        def keep(made: CachedAnswer) -> None:
            lead.finish(made)
            if asked is not None:
                self._remember(passage.call, *asked)

        if answer.chunks is None:
            keep(CachedAnswer(200, _JSON, answer.body, (), _facts(passage)))
        else:
            answer.chunks = await begun(_recorded(passage, answer.chunks, lead, keep))
        return answer

    def _policy(self, decision: Decision) -> CachePolicy | None:
        """Return how an answer may be kept, whichever candidate gives it; None when it may not."""
        made: CachePolicy | None = CachePolicy(ttl_s=decision.policy.cache_ttl_s, max_bytes=_MOST_BYTES)
        if self._rooms.cache_limits:
            limits = CachePolicies(made, providers=self._rooms.cache_limits)
            for provider in {ranked.target.provider for ranked in decision.candidates}:
                held = limits.of(decision.route, provider)
                if made is None or held is None:
                    return None
                made = stricter(made, held)
        return made

    def _remember(self, call: DoorCall, question: Question, policy: CachePolicy) -> None:
        task = asyncio.get_running_loop().create_task(self._similar.remember(call, question, policy))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


def _key(call: DoorCall, route: str) -> str | None:
    key = request_key(call.codec.name, call.body, tenant=call.payer.tenant, route=route)
    if key is None or not call.onward:
        return key
    return (
        f"{key}-{sha256(repr(call.onward).encode()).hexdigest()[:16]}"  # a header may ask for another answer
    )


def _given(passage: Passage, known: CachedAnswer, how: bytes = b"hit") -> Answer:
    usage = Usage.from_json(known.meta.get("usage") or {})
    passage.from_cache(usage, model=known.meta.get("model"))
    headers = told(passage, 0, cache=how)
    if known.is_stream:
        return Answer(headers, chunks=_replayed(known.events))
    return Answer(headers, known.body)


async def _replayed(events: tuple[bytes, ...]) -> AsyncGenerator[bytes, None]:
    for event in events:
        yield event


async def _recorded(
    passage: Passage,
    chunks: AsyncGenerator[bytes, None],
    lead: Lead,
    keep: Callable[[CachedAnswer], None],
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
            keep(kept)
        else:
            lead.hand_over()


def _facts(passage: Passage) -> dict[str, Any]:
    return {
        "usage": passage.used.to_json(),
        "model": passage.target.model,
        "provider": passage.target.provider,
    }
