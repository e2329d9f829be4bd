"""Sessions of the 2025 wire, bound to whoever opened them, without a table: every replica can tell."""

import hashlib
import hmac

from mosaic.core.errors import NotFound

__all__ = ["SessionSeal"]

_MARK_BYTES = 16
_LONGEST = 1_000


class SessionSeal:
    """Makes of a server's session id one that only its holder can use, and back.

    Args:
        key: secret, the same in every process of the installation.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"mosaic/mcp-gateway/session\0" + key).digest()

    def sealed(self, session: bytes, holder: bytes) -> bytes:
        """Return the id that the client is told."""
        return b"%b.%b" % (session, self._mark(session, holder))

    def opened(self, shown: bytes, holder: bytes) -> bytes:
        """Return the server's own id.

        Raises:
            NotFound: if the session was not opened by this holder.
        """
        session, _, mark = shown[:_LONGEST].rpartition(b".")
        if not session or not hmac.compare_digest(mark, self._mark(session, holder)):
            raise NotFound("There is no such session.", hint="Initialize a new one.")
        return session

    def _mark(self, session: bytes, holder: bytes) -> bytes:
        said = holder + b"\0" + session
        return hashlib.blake2b(said, key=self._key, digest_size=_MARK_BYTES).hexdigest().encode()
