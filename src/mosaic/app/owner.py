"""The owner token of local mode: made once, kept in a file only its owner can read."""

import hmac
import os
import secrets
from pathlib import Path

from mosaic.core.errors import InvalidInput

__all__ = ["TOKEN_VARIABLE", "check_token", "owner_token", "require_remote_token"]

TOKEN_VARIABLE = "MOSAIC_OWNER_TOKEN"  # noqa: S105  # the name of a variable, not a secret
_MIN_LENGTH = 32
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def owner_token(home: Path) -> str:
    """Return the owner's token: the variable's, else the file's, made on first use with mode 0600."""
    if configured := os.environ.get(TOKEN_VARIABLE):
        return configured
    path = home / "owner-token"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        token = secrets.token_urlsafe(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
        return token


def check_token(expected: str, given: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode())


def require_remote_token(host: str) -> None:
    """Refuse to listen beyond loopback unless authentication was configured on purpose.

    Raises:
        InvalidInput: when `host` is reachable from other machines and no owner token is set.
    """
    if host in _LOOPBACK or host.startswith("127."):
        return
    token = os.environ.get(TOKEN_VARIABLE, "")
    if len(token) < _MIN_LENGTH:
        raise InvalidInput(
            f"Refusing to listen on {host}: other machines could reach it and no authentication is configured.",
            hint=f"Set {TOKEN_VARIABLE} to at least {_MIN_LENGTH} random characters, or listen on 127.0.0.1.",
        )
