"""What an answer tells the client about itself in headers."""

from functools import lru_cache

from mosaic.inference.passage import Passage

__all__ = ["told"]

Headers = tuple[tuple[bytes, bytes], ...]


def told(passage: Passage, nanos: int | None, *, cache: bytes | None = None) -> Headers:
    """Return the model that answered, the route that led to it and, where it is known already, the cost."""
    shown: list[tuple[bytes, bytes]] = [(b"x-mosaic-model", _plain(passage.target.id))]
    if passage.decision.route:
        shown.append((b"x-mosaic-route", _plain(passage.decision.route)))
    if nanos is not None:
        shown.append((b"x-mosaic-cost-usd", b"%.9f" % (nanos / 1_000_000_000)))
    if cache is not None:
        shown.append((b"x-mosaic-cache", cache))
    return tuple(shown)


@lru_cache(maxsize=4096)
def _plain(text: str) -> bytes:
    """Return `text` as a header may hold it."""
    return text.encode("ascii", "replace") if text.isprintable() else b"?"
