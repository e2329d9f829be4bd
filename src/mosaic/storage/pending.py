"""A change on its way to the disk, and who waits for it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from mosaic.core.errors import Fenced
from mosaic.storage.transaction import SyncTransaction

__all__ = ["Pending"]

T = TypeVar("T")
log = logging.getLogger(__name__)


class Pending(Generic[T]):
    """One unit of work on its way to the disk.

    Attributes:
        result: what the unit returned, once it is committed.
        error: why it was not.
    """

    __slots__ = ("_future", "_settled", "due", "error", "is_kept", "loop", "result", "unit")

    def __init__(
        self,
        unit: Callable[[SyncTransaction], T],
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        is_kept: bool = True,
        due: float = 0.0,
    ) -> None:
        """Make one; `due` is when it may be written, in seconds of the monotonic clock."""
        self.unit = unit
        self.loop = loop
        self.is_kept = is_kept
        self.due = due
        self.result: T | None = None
        self.error: BaseException | None = None
        self._settled = False
        self._future: asyncio.Future[None] | None = loop.create_future() if loop is not None else None

    @property
    def is_dropped(self) -> bool:
        """Whether nobody wants it any more."""
        return not self.is_kept and self._future is not None and self._future.cancelled()

    def settle(self) -> None:
        """Answer whoever waits; in their event loop."""
        self._settled = True
        if self._future is None:
            if self.error is not None:
                # A node that was declared dead, or has resigned, has nothing to add.
                level = logging.DEBUG if isinstance(self.error, Fenced) else logging.WARNING
                log.log(level, "a change that nobody waits for failed: %s", self.error)
        elif not self._future.done():
            self._future.set_result(None)

    async def wait(self) -> T:
        """Return the unit's result; raises why there is none. A cancelled caller leaves at once."""
        assert self._future is not None  # noqa: S101  # made for a loop
        await self._future
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # the unit's own result

    async def end(self) -> asyncio.CancelledError | None:
        """Wait to the end; never raises. Returns the cancellation that came meanwhile, for the caller to raise."""
        assert self.loop is not None  # noqa: S101  # made for a loop
        assert self._future is not None  # noqa: S101
        cancelled: asyncio.CancelledError | None = None
        while not self._settled:
            try:
                await self._future
            except asyncio.CancelledError as error:
                # The future went with the task that waited for it. `settle` runs in this loop, so not meanwhile.
                cancelled, self._future = error, self.loop.create_future()
        return cancelled
