"""One-time tickets: what a page that can set no header shows to open a WebSocket."""

import hashlib
import secrets
import time
from collections.abc import Callable

from mosaic.core.context import Context

__all__ = ["TICKET_S", "Tickets"]

TICKET_S = 30
"""How long a ticket is good, in seconds."""

_MOST = 10_000


class Tickets:
    """The tickets that this process gave out: good once, for half a minute, in this process.

    It is the only thing of a credential's kind that may stand in an address: by the time somebody reads it in a log, it
    is used up.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[bytes, tuple[float, Context]] = {}

    def issue(self, ctx: Context) -> str:
        """Return a ticket for the caller."""
        now = self._clock()
        self._open = {key: (until, who) for key, (until, who) in self._open.items() if until > now}
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        ticket = secrets.token_urlsafe(24)
        self._open[_key(ticket)] = (now + TICKET_S, ctx)
        return ticket

    def redeem(self, ticket: str) -> Context | None:
        """Return who a ticket was given to, and use it up; None when it is not good (any more)."""
        until, ctx = self._open.pop(_key(ticket), (0.0, None))
        return ctx if until > self._clock() else None


def _key(ticket: str) -> bytes:
    # Looked up by its hash: how long that takes says nothing of the tickets there are.
    return hashlib.sha256(ticket.encode()).digest()
