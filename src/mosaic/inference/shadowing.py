"""Sends copies of calls to targets on trial: nobody waits for their answers, the ledger tells how they did."""

import asyncio
from contextlib import aclosing

from mosaic.core.errors import MosaicError
from mosaic.cost import QuotaEntry
from mosaic.inference.door_call import DoorCall
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.passage import Passage
from mosaic.inference.sending import Sending
from mosaic.observability import get_logger
from mosaic.routing import Decision, Target

__all__ = ["Shadows"]

_log = get_logger(__name__)
_AT_ONCE = 64


class Shadows:
    """Copies under way, a bounded number: what comes on top is not copied."""

    def __init__(self, rooms: DoorRooms, sending: Sending) -> None:
        self._rooms = rooms
        self._sending = sending
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, call: DoorCall, decision: Decision) -> None:
        """Send a copy to each shadow target of a decision."""
        for target in decision.shadow:
            if len(self._tasks) >= _AT_ONCE:
                return
            task = asyncio.get_running_loop().create_task(self._copy(call, decision, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop the copies under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _copy(self, call: DoorCall, decision: Decision, target: Target) -> None:
        if self._rooms.guards.admit(target) is not None:
            return
        self._rooms.open_calls += 1
        passage = Passage(self._rooms, call, decision, QuotaEntry((), 0), shadow=True)
        try:
            answer = await self._sending.send(passage, target)
            if answer.chunks is not None:
                async with aclosing(answer.chunks) as chunks:
                    async for _ in chunks:
                        pass
        except MosaicError as error:
            passage.failed(error)
        except asyncio.CancelledError:
            passage.abandoned()
            raise
        except Exception as error:  # noqa: BLE001  # a copy must never harm what it is a copy of
            _log.exception("a shadow request failed", exc_info=error)
            passage.abandoned()
