"""Names sessions of the 2025 wire by the process that holds them, so that any replica can answer any request.

A session lives in one process. A request that names another's is answered without one: everything works but what needs
the way back to the client, and all of that can be answered elsewhere too.
"""

import secrets
from collections.abc import MutableMapping
from typing import Any

from mosaic.mcp.interfaces import Headers

__all__ = ["SessionNames"]

_HEADER = b"mcp-session-id"
_DIGITS = 8


class SessionNames:
    """The names of this process's sessions."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(_DIGITS // 2).encode() + b"-"

    def named(self, headers: Headers) -> bytes | None:
        """Return the session that a request names."""
        return next((value for name, value in headers if name == _HEADER), None)

    def is_ours(self, session: bytes) -> bool:
        """Say whether this process made a session."""
        return session.startswith(self._prefix)

    def inward(self, scope: dict[str, Any]) -> dict[str, Any]:
        """Return a request with the session's own id for its name."""
        return {**scope, "headers": [self._inner(header) for header in scope["headers"]]}

    def without(self, scope: dict[str, Any]) -> dict[str, Any]:
        """Return a request that names no session."""
        return {**scope, "headers": [header for header in scope["headers"] if header[0] != _HEADER]}

    def outward(self, message: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return a message of an answer with the session's name for its own id."""
        if message["type"] != "http.response.start":
            return message
        headers = [
            (name, self._prefix + value) if name.lower() == _HEADER else (name, value)
            for name, value in message.get("headers", ())
        ]
        return {**message, "headers": headers}

    def _inner(self, header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        name, value = header
        return (name, value.removeprefix(self._prefix)) if name == _HEADER else header
