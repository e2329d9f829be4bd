"""Answers that are a function of the journal, kept until it grows: fifty people look at the same list at the same moment.

What these answers tell changes only in transactions that journal it; only what time does by itself (an ask that expires)
shows late, by a second at most.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from mosaic.core.context import Context
from mosaic.core.values import JsonObject
from mosaic.events import Journal

__all__ = ["Remembered"]

_KEPT = 500
_KEPT_S = 1.0


@dataclass(slots=True)
class _Answer:
    """An answer in the making, or made.

    Attributes:
        head: the journal's end before it was begun: whatever is in the journal up to there, it tells.
        good_until: by the monotonic clock.
    """

    head: int
    good_until: float
    task: "asyncio.Task[JsonObject]"


class Remembered:
    """Answers of one installation, by who asks and what."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    async def of(
        self, ctx: Context, question: Hashable, answer: Callable[[], Awaitable[JsonObject]]
    ) -> JsonObject:
        """Return the answer to a question, worked out once for all who ask it while nothing happens.

        Args:
            ctx: whose; a project or an actor has answers of its own.
            question: everything that the answer depends on besides the journal.
            answer: works it out; it reads, and changes nothing.
        """
        head = await self._journal.head(ctx)
        key = (ctx.tenant, ctx.project, ctx.actor, question)
        known = self._answers.get(key)
        if known is None or not self._holds(known, head):
            task = asyncio.ensure_future(_run(answer))
            known = self._answers[key] = _Answer(head, time.monotonic() + _KEPT_S, task)
            self._answers.move_to_end(key)
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        # Shielded: others may wait for it, too.
        return dict(await asyncio.shield(known.task))

    def _holds(self, known: _Answer, head: int) -> bool:
        if known.head != head or known.good_until < time.monotonic():
            return False
        task = known.task
        if task.done():
            return not task.cancelled() and task.exception() is None
        return task.get_loop() is asyncio.get_running_loop()


async def _run(answer: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
    return await answer()
