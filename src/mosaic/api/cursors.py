"""Cursors as clients see them: opaque, and good for the list and the filters that they came with."""

import base64
import binascii
import hashlib
from collections.abc import Iterable
from urllib.parse import quote, urlencode

from mosaic.api.errors import BadRequest
from mosaic.core.errors import Problem

__all__ = ["LONGEST", "PageLinks"]

LONGEST = 1_000
_CHECK_BYTES = 6
# What a client may change from page to page.
_FREE = frozenset({"cursor", "limit", "fields"})


class PageLinks:
    """The cursors of one list as it is filtered in one request.

    A cursor holds the place where the page before ended, as the room wrote it, and a check over it, the path and the
    filters. That is no secret and no seal: it finds mistakes, such as going on with another filter, and says so.

    Args:
        path: of the request.
        query: its parameters, in the order they came in.
    """

    def __init__(self, path: str, query: Iterable[tuple[str, str]]) -> None:
        self._path = path
        self._query = list(query)
        self._scope = repr((path, sorted(pair for pair in self._query if pair[0] not in _FREE))).encode()

    def opened(self) -> list[tuple[str, str]]:
        """Return the parameters with the room's own cursor in place of the client's.

        Raises:
            BadRequest: if the cursor is not one of this list with these filters.
        """
        return [(name, self._open(value) if name == "cursor" else value) for name, value in self._query]

    def sealed(self, place: str) -> str:
        """Return the cursor for a place."""
        text = place.encode()
        return base64.urlsafe_b64encode(self._check(text) + text).decode().rstrip("=")

    def header(self, cursor: str | None) -> str:
        """Return the Link header (RFC 8288): the first page, and the next one if there is one."""
        links = [self._link(None, "first")]
        if cursor is not None:
            links.append(self._link(cursor, "next"))
        return ", ".join(links)

    def _link(self, cursor: str | None, relation: str) -> str:
        pairs = [pair for pair in self._query if pair[0] != "cursor"]
        if cursor is not None:
            pairs.append(("cursor", cursor))
        text = urlencode(pairs, quote_via=quote, safe="")
        return f'<{quote(self._path)}{"?" + text if text else ""}>; rel="{relation}"'

    def _open(self, cursor: str) -> str:
        data = _bytes(cursor) if len(cursor) <= LONGEST else b""
        check, text = data[:_CHECK_BYTES], data[_CHECK_BYTES:]
        if not text or check != self._check(text):
            problem = Problem("is not a cursor of this list with these filters", path="query.cursor")
            raise BadRequest(
                "That cursor cannot continue this list.",
                problems=[problem],
                hint="Take `next_cursor` of the page before as it is and keep the filters, or begin without a cursor.",
            )
        return text.decode()

    def _check(self, text: bytes) -> bytes:
        return hashlib.blake2b(self._scope + b"\0" + text, digest_size=_CHECK_BYTES).digest()


def _bytes(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""
