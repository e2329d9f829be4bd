"""One process at a time per repository; a killed holder frees the lock."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mosaic.core.errors import Locked

__all__ = ["file_lock"]

_FIRST_WAIT_S = 0.005
_LONGEST_WAIT_S = 0.2


@asynccontextmanager
async def file_lock(path: Path, *, timeout_s: float) -> AsyncIterator[int]:
    """Hold the lock file at `path`; yields its descriptor, to be inherited by commands that must not outlive it.

    Raises:
        Locked: if another process holds it for longer than `timeout_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + timeout_s, _FIRST_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if loop.time() >= deadline:
                    raise Locked(
                        f"Another process has been working on {path.stem} for more than {timeout_s:g} s.",
                        hint=f"Find it with: fuser {path}",
                    ) from None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_WAIT_S)
        yield descriptor
    finally:
        os.close(descriptor)
