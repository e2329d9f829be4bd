"""Answers to similar questions. Off unless a route's policy names a similarity.

Each tenant, and within it each combination of everything else a request says, is a space of its own; questions are
compared only within one. Vectors live in this process's memory; the answers they lead to live in the cache like any
other, and are purged like any other.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence

from mosaic.cache.batching import Batcher
from mosaic.cache.interfaces import Embed
from mosaic.cache.questions import Question
from mosaic.cache.schemas import CachePolicy, Found
from mosaic.cache.service import Cache
from mosaic.core.errors import MosaicError

__all__ = ["SemanticCache"]

_Vector = tuple[float, ...]
_HEAD = 32  # dimensions of the first look


class SemanticCache:
    """Finds the answer of a question that is near enough.

    Args:
        cache: where the answers are.
        embed: turns texts into vectors; what is asked within a moment is embedded in one call.
        max_questions: in each space; the ones that were not asked for longest leave.
        max_spaces: likewise.
        timeout_s: an embedding that takes longer is a miss.
    """

    def __init__(
        self,
        cache: Cache,
        embed: Embed,
        *,
        max_questions: int = 200,
        max_spaces: int = 1_000,
        timeout_s: float = 2.0,
    ) -> None:
        self._cache = cache
        self._batcher: Batcher[str, Sequence[float]] = Batcher(embed)
        self._max_questions = max_questions
        self._max_spaces = max_spaces
        self._timeout_s = timeout_s
        self._spaces: OrderedDict[str, OrderedDict[str, _Vector]] = OrderedDict()
        self._embedded: OrderedDict[str, _Vector] = OrderedDict()

    async def find(self, question: Question, policy: CachePolicy) -> Found | None:
        """Return the fresh answer of the most similar question, if it is similar enough for `policy`.

        Never fails: when no vector can be had, nothing is similar.
        """
        if policy.similarity is None:
            return None
        vector = await self._vector(question)
        space = self._spaces.get(question.space)
        if vector is None or space is None:
            return None
        for similarity, key in _nearest(space, vector, policy.similarity):
            found = await self._cache.look(key)
            if found is None:
                space.pop(key, None)  # purged, evicted or over
            elif not found.stale:
                if key in space:
                    space.move_to_end(key)
                self._cache.counts.hit(question.key, "similar", size_bytes=len(found.answer.body))
                return Found(found.answer, "similar", age_s=found.age_s, similarity=similarity)
        return None

    async def remember(self, question: Question, policy: CachePolicy) -> None:
        """Let others find the answer that was put under the question's key."""
        if policy.similarity is None:
            return
        vector = await self._vector(question)
        if vector is None:
            return
        space = self._spaces.setdefault(question.space, OrderedDict())
        self._spaces.move_to_end(question.space)
        space[question.key] = vector
        space.move_to_end(question.key)
        if len(space) > self._max_questions:
            space.popitem(last=False)
        if len(self._spaces) > self._max_spaces:
            self._spaces.popitem(last=False)

    async def _vector(self, question: Question) -> _Vector | None:
        known = self._embedded.get(question.key)
        if known is not None:
            return known
        try:
            async with asyncio.timeout(self._timeout_s):
                raw = await self._batcher.ask(question.text)
        except (MosaicError, TimeoutError):
            return None
        length = math.hypot(*raw)
        if not length or not math.isfinite(length):
            return None
        vector = tuple(value / length for value in raw)
        self._embedded[question.key] = vector
        if len(self._embedded) > self._max_questions:
            self._embedded.popitem(last=False)
        return vector


def _nearest(space: OrderedDict[str, _Vector], vector: _Vector, least: float) -> list[tuple[float, str]]:
    """Return similarity and key of the vectors at least that similar, the nearest first."""
    # For vectors of length one: distance² = 2 - 2 cosine. The distance in some dimensions is never more than in all.
    farthest = math.sqrt(max(0.0, 2.0 - 2.0 * least)) + 1e-9
    head = vector[:_HEAD]
    found = []
    for key, other in space.items():
        if len(other) == len(vector) and math.dist(head, other[:_HEAD]) <= farthest:
            distance = math.dist(vector, other)
            if distance <= farthest:
                found.append((1.0 - distance * distance / 2.0, key))
    return sorted(found, reverse=True)
