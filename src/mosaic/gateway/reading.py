"""Reads a request's body, bounded in size; `Attendance` bounds its time."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from mosaic.core.errors import InvalidInput

__all__ = ["ClientLeft", "header", "read_body"]

Receive = Callable[[], Awaitable[dict[str, Any]]]


class ClientLeft(Exception):
    """The client went away before its request was whole."""


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the first header called `name`, which is in lower case."""
    for key, value in headers:
        if key == name:
            return value
    return None


async def read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, *, limit_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        InvalidInput: if it is longer than `limit_bytes`; nothing beyond that is kept.
        ClientLeft: if the client goes away first.
    """
    length = header(headers, b"content-length")
    if length is not None and length.isdigit() and int(length) > limit_bytes:
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        more = message.get("more_body")
        if not parts and not more:
            return bytes(part)
        parts.append(part)
        if not more:
            return b"".join(parts)


def _too_large(limit_bytes: int) -> InvalidInput:
    return InvalidInput(
        f"The request's body is larger than {limit_bytes} bytes.",
        hint="Raise gateway.max_body_bytes in the settings, or pass files by address.",
    )
