"""The head of a request, as bytes; nothing that a caller passes can add a line to it."""

import re
from collections.abc import Iterable

from mosaic.core.errors import InvalidInput

__all__ = ["HeadWriter"]

Header = tuple[bytes, bytes]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHOD = re.compile(r"[A-Z]{1,16}")
_PATH = re.compile(r"/[!-~]*")
# How the body is framed, where it goes and in what form the answer comes is ours to say.
_OURS = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_REMEMBERED = 1024


class HeadWriter:
    """Writes heads of requests to one host. What an endpoint always sends is checked once and remembered."""

    __slots__ = ("_host", "_last", "_starts")

    def __init__(self, host: bytes) -> None:
        self._host = host
        # Most requests are like the one before, and the very same objects.
        self._last: tuple[tuple[object, object, object], bytes] = ((None, None, None), b"")
        self._starts: dict[tuple[str, str, tuple[Header, ...]], bytes] = {}

    def write(
        self, method: str, path: str, headers: tuple[Header, ...], more: Iterable[Header], length: int
    ) -> bytes:
        """Return the head of one request.

        Args:
            method: in capitals.
            path: with the query.
            headers: that each request to the path has.
            more: that only this one has.
            length: of the body, in bytes.

        Raises:
            InvalidInput: if the method, the path or a header is not one; the message holds no value.
        """
        last, start = self._last
        if headers is not last[2] or path is not last[1] or method is not last[0]:
            start = self._starts.get((method, path, headers)) or self._start(method, path, headers)
            self._last = ((method, path, headers), start)
        if more:
            start += _lines(more)
        return b"%bcontent-length: %d\r\n\r\n" % (start, length)

    def _start(self, method: str, path: str, headers: tuple[Header, ...]) -> bytes:
        if not _METHOD.fullmatch(method) or not _PATH.fullmatch(path):
            raise InvalidInput(
                "A request to a provider has a path or a method that cannot stand in one.",
                hint="Percent-encode the path; it begins with a slash.",
            )
        first = b"%b %b HTTP/1.1\r\n" % (method.encode(), path.encode())
        start = b"%bhost: %b\r\naccept-encoding: identity\r\n%b" % (first, self._host, _lines(headers))
        if len(self._starts) >= _REMEMBERED:
            self._starts.clear()  # they change with each request, or keys were rotated
        self._starts[method, path, headers] = start
        return start


def _lines(headers: Iterable[Header]) -> bytes:
    """Return headers as lines.

    Raises:
        InvalidInput: if one could not be told from the next, or is not for the caller to set.
    """
    parts = []
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise InvalidInput("A header of a request to a provider has a name that cannot be one.")
        if name.lower() in _OURS:
            raise InvalidInput(f"The header {name.decode()!r} is set by the connection itself.")
        if b"\n" in value or b"\r" in value or b"\0" in value:
            raise InvalidInput("A header of a request to a provider holds a line break or a zero byte.")
        parts.append(b"%b: %b\r\n" % (name, value))
    return b"".join(parts)
