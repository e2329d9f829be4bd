"""A ledger outside of MosAIc: what a risky tool has really written, and when each call of it came."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mosaic.engine import Safety
from mosaic.tools import Invocation, tool

__all__ = ["Entry", "append", "entries", "make_ledger"]

_SCHEMA = """
CREATE TABLE entry (key TEXT PRIMARY KEY, run TEXT NOT NULL);
CREATE TABLE call (key TEXT NOT NULL, run TEXT NOT NULL, came_at REAL NOT NULL);
"""


@dataclass(frozen=True)
class Entry:
    """What one run wrote.

    Attributes:
        keys: the idempotency keys it wrote under; each is one line of the ledger.
        calls: when each call of the tool came, in seconds since 1970.
    """

    keys: frozenset[str]
    calls: tuple[float, ...]


@contextmanager
def _opened(file: str | Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, timeout=60, isolation_level=None)
    try:
        connection.execute(
            "PRAGMA synchronous=OFF"
        )  # a killed process loses nothing by it, only a lost machine would
        yield connection
    finally:
        connection.close()


def make_ledger(file: Path) -> None:
    """Make an empty ledger."""
    with _opened(file) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(_SCHEMA)


@tool(risk="destructive", safety=Safety.KEYED)
def append(invocation: Invocation, ledger: str) -> dict[str, bool]:
    """Write a line into the ledger; the same key again is the same line."""
    with _opened(ledger) as connection:
        connection.execute("BEGIN IMMEDIATE")
        key, run = invocation.idempotency_key, invocation.run_id
        connection.execute("INSERT INTO call VALUES (?, ?, ?)", (key, run, time.time()))
        new = connection.execute("INSERT OR IGNORE INTO entry VALUES (?, ?)", (key, run)).rowcount > 0
        connection.execute("COMMIT")
    return {"new": new}


def entries(file: Path) -> dict[str, Entry]:
    """Return what the ledger holds, by run."""
    with _opened(file) as connection:
        keys = connection.execute("SELECT run, key FROM entry").fetchall()
        calls = connection.execute("SELECT run, came_at FROM call ORDER BY came_at").fetchall()
    return {
        run: Entry(
            frozenset(key for other, key in keys if other == run),
            tuple(came_at for other, came_at in calls if other == run),
        )
        for run in {run for run, _ in [*keys, *calls]}
    }
