"""Signing in with a browser: a code that is good once, or the owner's token, for a session that expires.

A session is a signed value, not a row: it outlives a restart, and every node that knows the owner's token honours it.
Another token ends every session.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from mosaic.app.owner import check_token

__all__ = ["SESSION_S", "Sessions"]

SESSION_S = 7 * 86_400
"""How long a session is good, in seconds."""

CODE_S = 30 * 60
_MOST_CODES = 100
_MOST_ENDED = 10_000


class Sessions:
    """The sessions of one installation, as one process sees them.

    Args:
        owner_token: what the owner shows; sessions are signed with a key made from it.
        clock: seconds since the epoch.

    Attributes:
        cookie: the cookie's name. Cookies do not know ports, so that two installations on one machine need two names.
    """

    def __init__(self, owner_token: str, *, clock: Callable[[], float] = time.time) -> None:
        self._token = owner_token
        self._clock = clock
        self._key = hmac.digest(owner_token.encode(), b"mosaic session 1", hashlib.sha256)
        self.cookie = f"mosaic-{hmac.digest(self._key, b'cookie', hashlib.sha256).hex()[:8]}"
        self._codes: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def new_code(self) -> str:
        """Return a code that opens one session within `CODE_S` seconds, in this process."""
        now = self._clock()
        self._codes = {code: until for code, until in self._codes.items() if until > now}
        while len(self._codes) >= _MOST_CODES:
            del self._codes[next(iter(self._codes))]
        code = secrets.token_urlsafe(16)
        self._codes[code] = now + CODE_S
        return code

    def redeem(self, code: str) -> str | None:
        """Return a new session for a code, which is used up; None when it is not good (any more)."""
        for known, until in list(self._codes.items()):
            if hmac.compare_digest(known.encode(), code.encode()):
                del self._codes[known]
                return self._issue() if until > self._clock() else None
        return None

    def open(self, token: str) -> str | None:
        """Return a new session for the owner's token; None when it is another."""
        return self._issue() if check_token(self._token, token.strip()) else None

    def expires_at(self, session: str) -> float | None:
        """Return when a session ends, in seconds since the epoch; None when it is none, over, or signed out."""
        head, _, signature = session.rpartition(".")
        until = head.partition(".")[0]
        if not hmac.compare_digest(self._sign(head).encode(), signature.encode()):
            return None
        ends = float(until)
        return ends if ends > self._clock() and session not in self._ended else None

    def end(self, session: str) -> None:
        """Sign a session out, in this process."""
        now = self._clock()
        self._ended = {value: until for value, until in self._ended.items() if until > now}
        ends = self.expires_at(session)
        if ends is not None and len(self._ended) < _MOST_ENDED:
            self._ended[session] = ends

    def _issue(self) -> str:
        head = f"{int(self._clock()) + SESSION_S}.{secrets.token_urlsafe(16)}"
        return f"{head}.{self._sign(head)}"

    def _sign(self, head: str) -> str:
        return hmac.digest(self._key, head.encode(), hashlib.sha256).hex()
