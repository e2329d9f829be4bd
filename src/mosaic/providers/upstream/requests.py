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
    """Writes heads of requests to one host. Checks a name or a path once and remembers it."""

    __slots__ = ("_host", "_names", "_starts")

    def __init__(self, host: bytes) -> None:
        self._host = host
        self._starts: dict[tuple[str, str], bytes] = {}
        self._names: set[bytes] = set()

    def write(
        self, method: str, path: str, headers: Iterable[Header], more: Iterable[Header], length: int
    ) -> bytes:
        """Return the head of one request.

        Raises:
            InvalidInput: if the method, the path or a header is not one; the message holds no value.
        """
        parts = [self._starts.get((method, path)) or self._start(method, path)]
        known = self._names
        for name, value in headers:
            if name not in known:
                self._check_name(name)
            parts.append(b"%b: %b\r\n" % (name, value))
        for name, value in more:
            if name not in known:
                self._check_name(name)
            parts.append(b"%b: %b\r\n" % (name, value))
        parts.append(b"content-length: %d\r\n\r\n" % length)
        head = b"".join(parts)
        lines = len(parts) + 3  # the start holds three lines, the end two
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise InvalidInput("A header of a request to a provider holds a line break or a zero byte.")
        return head

    def _start(self, method: str, path: str) -> bytes:
        if not _METHOD.fullmatch(method) or not _PATH.fullmatch(path):
            raise InvalidInput(
                "A request to a provider has a path or a method that cannot stand in one.",
                hint="Percent-encode the path; it begins with a slash.",
            )
        start = f"{method} {path} HTTP/1.1\r\n".encode() + (
            b"host: %b\r\naccept-encoding: identity\r\n" % self._host
        )
        if len(self._starts) < _REMEMBERED:
            self._starts[method, path] = start
        return start

    def _check_name(self, name: bytes) -> None:
        if not _TOKEN.fullmatch(name):
            raise InvalidInput("A header of a request to a provider has a name that cannot be one.")
        if name.lower() in _OURS:
            raise InvalidInput(f"The header {name.decode()!r} is set by the connection itself.")
        if len(self._names) < _REMEMBERED:
            self._names.add(name)
