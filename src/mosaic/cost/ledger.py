"""The ledger of calls from outside: recorded at once in memory, written a few milliseconds later in batches."""

from mosaic.cost.bookkeeper import Bookkeeper
from mosaic.cost.entries import LedgerEntry

__all__ = ["Ledger"]


class Ledger:
    """What outside clients' calls used and cost.

    Each becomes a row and an event, in one commit with what it takes from the budgets above it.
    """

    def __init__(self, books: Bookkeeper) -> None:
        self._books = books

    @property
    def behind(self) -> int:
        """How many rows are not written yet."""
        return self._books.behind

    @property
    def is_full(self) -> bool:
        """Rows cannot be written and too many wait: no further call should be let in."""
        return self._books.is_full

    @property
    def lost(self) -> int:
        """How many rows the database refused; each was logged."""
        return self._books.lost_entries

    def record(self, entry: LedgerEntry) -> None:
        """Have a call written with the next batch."""
        self._books.add_entry(entry)

    async def flush(self) -> None:
        """Write every row recorded so far.

        Raises:
            Unavailable: if the database cannot be reached; the rows are kept and tried again.
        """
        await self._books.flush()

    async def close(self) -> None:
        """Write every row recorded so far, and end."""
        await self._books.close()
