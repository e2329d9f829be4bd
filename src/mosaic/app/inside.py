"""The model gateway and the tool door for commands in a sandbox: one unix socket, one key for each command."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from mosaic.core.clock import Clock, now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Unavailable
from mosaic.core.redaction import Redactor
from mosaic.security import RUN_KEYS, Keys, NewKey
from mosaic.tools.sandbox import Doors

__all__ = ["InsideDoors"]

_SPARE_S = 60.0
_SCOPES = ("chat", "count_tokens", "embed", "models", "tools")


class InsideDoors:
    """Makes the keys.

    Attributes:
        socket: where a server of this process serves the doors; None while none does.

    Args:
        keys: the virtual keys.
        redactor: learns each of these, so that no output of a command shows one.
        clock: the time.
    """

    def __init__(self, keys: Callable[[], Keys], *, redactor: Redactor, clock: Clock = now) -> None:
        self.socket: Path | None = None
        self._keys = keys
        self._redactor = redactor
        self._clock = clock

    @asynccontextmanager
    async def opened(self, ctx: Context, run_id: str, timeout_s: float) -> AsyncIterator[Doors]:
        """Yield the doors with a key that pays from the run's budget, and is good for nothing once the block ends.

        Raises:
            Unavailable: if no server of this process serves them.
        """
        if self.socket is None:
            raise Unavailable(
                "The gateway cannot be reached from the sandbox: this process serves none.",
                hint="Start `mosaic up` and run the workflow there, or set tools.sandbox.network to another value.",
            )
        keys, ends = self._keys(), self._clock() + timedelta(seconds=timeout_s + _SPARE_S)
        wanted = NewKey(f"a command of {run_id}"[:200], scopes=_SCOPES, expires_at=ends)
        # Who made it says which run it is of: nobody from outside can be that actor.
        maker = ctx.acting_as(Actor("system", f"{RUN_KEYS}{run_id}"))
        key, secret = await keys.create(maker, wanted)
        self._redactor.add(secret)
        try:
            yield Doors(self.socket, secret)
        finally:
            await asyncio.shield(keys.revoke(maker, key.id))
