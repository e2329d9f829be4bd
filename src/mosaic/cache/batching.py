"""Many small requests at once become one call."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from mosaic.core.errors import ContractViolation

__all__ = ["Batcher"]

_Q = TypeVar("_Q", bound=Hashable)
_A = TypeVar("_A")


class Batcher(Generic[_Q, _A]):
    """Collects what is asked within a moment and asks it in one call; the same question only once.

    A caller that goes away takes only itself out; an error of the call is everybody's. One event loop owns it.

    Args:
        call: gets the questions, returns their answers in the same order.
        max_items: a batch this large does not wait any longer.
        max_wait_s: how long the first of a batch waits for others.
    """

    def __init__(
        self,
        call: Callable[[Sequence[_Q]], Awaitable[Sequence[_A]]],
        *,
        max_items: int = 64,
        max_wait_s: float = 0.003,
    ) -> None:
        self._call = call
        self._max_items = max_items
        self._max_wait_s = max_wait_s
        self._next: dict[_Q, asyncio.Future[_A]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, question: _Q) -> _A:
        """Return the answer to `question`.

        Raises:
            ContractViolation: if the call did not return one answer for each question.
            MosaicError: what the call raised.
        """
        loop = asyncio.get_running_loop()
        answer = self._next.get(question)
        if answer is None:
            answer = self._next[question] = loop.create_future()
            if len(self._next) >= self._max_items:
                self._send()
            elif self._timer is None:
                self._timer = loop.call_later(self._max_wait_s, self._send)
        return await asyncio.shield(answer)

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._next = self._next, {}
        if batch:
            task = asyncio.ensure_future(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, batch: dict[_Q, asyncio.Future[_A]]) -> None:
        try:
            answers = await self._answers(tuple(batch))
        except asyncio.CancelledError:
            for future in batch.values():
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it is for those who asked
            for future in batch.values():
                future.set_exception(error)
                future.exception()  # nobody may be left to ask for it
            return
        for future, answer in zip(batch.values(), answers, strict=True):
            future.set_result(answer)

    async def _answers(self, questions: tuple[_Q, ...]) -> Sequence[_A]:
        answers = await self._call(questions)
        if len(answers) != len(questions):
            raise ContractViolation(
                "A batch of requests did not get one answer for each.",
                asked=len(questions),
                answered=len(answers),
            )
        return answers
