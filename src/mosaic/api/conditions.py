"""Entity tags and the conditions that name them (RFC 9110): read again only what changed, write only what was read.

A tag of a document that has a version reads ``"<version>-<hash>"``. It is a strong one: the hash is of the very bytes,
so that whatever is different in them makes another tag. A write compares the version alone, since figures that are
worked out, such as what a run has cost by now, are not what is written.
"""

import hashlib
import re

from mosaic.core.errors import InvalidInput, Problem

__all__ = ["content_tag", "is_known", "versions_of"]

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_DIGEST_BYTES = 12
_NEVER = "\0"


def content_tag(body: bytes, version: str | None = None) -> str:
    """Return the strong tag of a body."""
    digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()
    return f'"{version}-{digest}"' if version is not None else f'"{digest}"'


def is_known(if_none_match: str, tag: str) -> bool:
    """Say whether the client has what it asks for already; a header that is none says no."""
    if if_none_match.strip() == "*":
        return True
    opaque = tag.removeprefix("W/").strip('"')
    return any(found.group(2) == opaque for found in _TAG.finditer(if_none_match))


def versions_of(if_match: str | None) -> tuple[str, ...] | None:
    """Return the versions that an If-Match header accepts; None when any will do.

    A weak tag matches nothing here, as RFC 9110 wants it; then the only version is one that nothing has.

    Raises:
        InvalidInput: if the header holds no tags.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found, place = [], 0
    while place < len(if_match):
        tag = _TAG.match(if_match, place)
        if tag is None:
            raise InvalidInput(
                "If-Match holds no ETag.",
                problems=[Problem('must be tags in quotes, such as "3-5f2c", or *', path="header.if-match")],
                hint="Send the ETag that a read answered with, with its quotes.",
            )
        found.append(_NEVER if tag.group(1) else tag.group(2).partition("-")[0])
        place = tag.end()
    return tuple(found)
