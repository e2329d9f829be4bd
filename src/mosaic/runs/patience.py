"""Waiting for our own database: an outage, a lock or a full disk that passes must not fail a run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mosaic.core.errors import Unavailable
from mosaic.observability import get_logger

__all__ = ["patiently"]

T = TypeVar("T")
_log = get_logger(__name__)
_PATIENCE_S = 60.0
_LONGEST_PAUSE_S = 2.0


async def patiently(call: Callable[[], Awaitable[T]], *, what: str, patience_s: float = _PATIENCE_S) -> T:
    """Return what `call` returns; while the database is away, try again for `patience_s`.

    Args:
        call: reads or writes the database; may be repeated.
        what: named in the log.
        patience_s: seconds until the error stands.

    Raises:
        Unavailable: if it is still away then.
    """
    loop = asyncio.get_running_loop()
    give_up, pause_s = loop.time() + patience_s, 0.1
    while True:
        try:
            return await call()
        except Unavailable as error:
            if loop.time() >= give_up:
                raise
            _log.warning("%s waits for the database: %s", what, error)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
