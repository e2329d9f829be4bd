"""Asks a second target when the first is later than nearly always: the sooner answer counts, the other is dropped."""

import asyncio

from mosaic.core.errors import MosaicError
from mosaic.inference.door_call import Answer
from mosaic.inference.failover import fails_over
from mosaic.inference.passage import Passage
from mosaic.inference.sending import Sending
from mosaic.resilience import HedgePolicy
from mosaic.routing import Target

__all__ = ["Hedges"]


class Hedges:
    """Second requests, for routes that want them. A model call changes nothing but the bill, so two may be sent."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._policies: dict[str, HedgePolicy] = {}

    async def send(self, passage: Passage, target: Target, others: list[Target]) -> Answer:
        """Return the answer of `target`, or of the first of `others` when that is sooner.

        Args:
            passage: the call.
            target: admitted already.
            others: the candidates after it; the one that is asked too is taken out.

        Raises:
            MosaicError: when every one that was asked failed.
        """
        policy = self._policies.setdefault(passage.decision.route, HedgePolicy())
        policy.request()
        first = asyncio.ensure_future(self._sending.send(passage, target))
        asked = [first]
        chosen: Answer | None = None
        try:
            wait_s = passage.decision.policy.hedge_after_s or policy.delay_s()
            if wait_s is not None and others:
                await asyncio.wait(asked, timeout=wait_s)
                if not first.done() and policy.take():
                    asked += self._second(passage, others)
            answer = chosen = await _sooner(asked)
        finally:
            await _drop(passage, asked, chosen)
        if passage.attempts and (seconds := passage.first_byte_s) is not None:
            policy.record(seconds)
        return answer

    def _second(self, passage: Passage, others: list[Target]) -> "list[asyncio.Task[Answer]]":
        other = others.pop(0)
        refusal = self._sending.rooms.guards.admit(other)
        if refusal is not None:
            passage.skipped(other, refusal)
            return []
        return [asyncio.ensure_future(self._sending.send(passage, other))]


async def _sooner(asked: "list[asyncio.Task[Answer]]") -> Answer:
    """Return the first answer; the last failure when there is none."""
    waiting = set(asked)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        failure: MosaicError | None = None
        for task in asked:
            if task not in done:
                continue
            error = task.exception()
            if error is None:
                return task.result()
            if not isinstance(error, MosaicError) or not fails_over(error):
                raise error
            failure = error
        if not waiting and failure is not None:
            raise failure


async def _drop(passage: Passage, tasks: "list[asyncio.Task[Answer]]", chosen: Answer | None) -> None:
    """Break off what is still asked, and let go of an answer that came all the same: closing it settles it."""
    for task in tasks:
        task.cancel()
    for came in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(came, Answer) and came is not chosen and came.chunks is not None:
            passage.hushed = True
            try:
                await came.chunks.aclose()
            finally:
                passage.hushed = False
