"""The owner token of local mode: made once, kept in a file only its owner can read."""

import fcntl
import hmac
import ipaddress
import os
import secrets
from pathlib import Path

from mosaic.core.errors import InvalidInput, Unavailable

__all__ = ["TOKEN_VARIABLE", "check_token", "kept_secret", "owner_token", "require_remote_token"]

TOKEN_VARIABLE = "MOSAIC_OWNER_TOKEN"  # noqa: S105  # the name of a variable, not a secret
_NAME = "owner-token"
_MIN_LENGTH = 32


def owner_token(home: Path) -> str:
    """Return the owner's token: the variable's, else the file's, made on first use with mode 0600.

    Raises:
        Unavailable: if the file cannot be read or made.
    """
    if configured := os.environ.get(TOKEN_VARIABLE, "").strip():
        return configured
    return kept_secret(home / _NAME, "The owner's token")


def kept_secret(path: Path, name: str) -> str:
    """Return the secret in a file, made on first use with mode 0600.

    Args:
        path: the file.
        name: what it holds, for messages.

    Raises:
        Unavailable: if the file cannot be read or made.
    """
    try:
        secret = _read(path)
        if not secret:
            _make(path)
            secret = _read(path)
    except OSError as error:
        raise Unavailable(
            f"{name} {path} cannot be read: {error.strerror}.", hint="Check its owner and mode."
        ) from None
    return secret


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _make(path: Path) -> None:
    """Make a secret's file, whole or not at all; the first of several processes that try counts."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if _read(path):
            return
        temporary = path.with_name(f"{path.name}.new")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        temporary.replace(path)
    finally:
        os.close(folder)


def check_token(expected: str, given: str) -> bool:
    """Compare in constant time; no token is nobody's."""
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode())


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, which may lead anywhere


def require_remote_token(host: str) -> None:
    """Refuse to listen beyond loopback unless authentication was configured on purpose.

    Raises:
        InvalidInput: when `host` is reachable from other machines and no owner token is set.
    """
    if _is_loopback(host):
        return
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if len(token) < _MIN_LENGTH:
        raise InvalidInput(
            f"Refusing to listen on {host}: other machines could reach it and no authentication is configured.",
            hint=f"Set {TOKEN_VARIABLE} to at least {_MIN_LENGTH} random characters, or listen on 127.0.0.1.",
        )
