"""Versions of things that are set as a whole: written only if nobody has changed them since they were read."""

from collections.abc import Collection

from mosaic.core.errors import Stale
from mosaic.core.values import JsonValue, content_hash

__all__ = ["require_version", "version_of"]

_LENGTH = 16


def version_of(value: JsonValue) -> str:
    """Return the version of something whose content is `value`: another content, another version."""
    return content_hash(value).removeprefix("sha256:")[:_LENGTH]


def require_version(now: str | None, only: Collection[str] | None, *, what: str) -> None:
    """Check that something has a version that a change was made for.

    Args:
        now: its version; None when there is no such thing.
        only: the versions that will do; None for any.
        what: its name, for the message.

    Raises:
        Stale: if it has another one.
    """
    if only is not None and now not in only:
        raise Stale(
            f"{what} has changed since it was read." if now is not None else f"There is no {what} any more.",
            hint="Read it again and decide anew.",
        )
