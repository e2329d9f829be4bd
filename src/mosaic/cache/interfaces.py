"""What another tier, another channel between nodes or another embedder must honour."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from mosaic.cache.schemas import Entry, Purge, TierFigures

__all__ = ["CacheTier", "Embed", "PurgeChannel"]

Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""Returns one vector for each text, in their order; all of one length."""


class CacheTier(Protocol):
    """Keeps entries until their time is over, as well as it can: a tier may forget any of them earlier.

    Absence is an answer (None), never an error. A tier that cannot be reached raises; the cache counts that as
    a miss and leaves the tier alone for a while. Whatever a tier returns is an entry as it was put, under the key
    that was asked for, not past `Entry.usable_until`.
    """

    name: str

    async def get(self, key: str) -> Entry | None:
        """Return the entry of `key`, or None.

        Raises:
            Unavailable: if the tier cannot be reached.
        """

    async def put(self, *entries: Entry) -> None:
        """Keep `entries`, each in place of any other with its key. Idempotent.

        Raises:
            Unavailable: if the tier cannot be reached; some of them may be kept.
        """

    async def purge(self, purge: Purge) -> int:
        """Forget what `purge` covers; on return no `get` finds it. Idempotent.

        Returns:
            How many entries are gone, as far as the tier knows.

        Raises:
            Unavailable: if the tier cannot be reached; some entries may be gone.
        """

    def figures(self) -> TierFigures:
        """Return what is known without asking anybody."""

    async def close(self) -> None:
        """Let go of connections. Idempotent."""


class PurgeChannel(Protocol):
    """Tells the other nodes what was purged, so that they forget it too."""

    async def publish(self, purge: Purge) -> None:
        """Tell the others.

        Raises:
            Unavailable: if nobody can be told.
        """

    async def listen(self, heard: Callable[[Purge | None], object]) -> None:
        """Call `heard` with each purge of another node, until cancelled.

        `heard(None)` says that some may have been missed: forget everything in memory.
        """
