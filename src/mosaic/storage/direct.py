"""The short way to PostgreSQL: a change that is alone travels from its own event loop, without the committer's thread.

Handing a change to a thread and its answer back costs about a third of what the commit itself costs. A change that
only runs prepared statements needs no thread: they are sent in one burst and the loop wakes when the answer is there.
The short way is an attempt, never the only one: what fails on it for any reason is done again by the thread, which
also finds out what was wrong.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

from psycopg.waiting import Ready, Wait
from sqlalchemy import CursorResult

from mosaic.storage.prepared import Prepared

__all__ = ["Collected", "Collector", "Flight", "NeedsThread"]

Collected = list[tuple[str, Sequence[Sequence[Any]]]]


class NeedsThread(Exception):
    """The change cannot take the short way."""


class Collector:
    """Collects the statements of a change that needs no answer before its commit."""

    def __init__(self) -> None:
        self._statements: Collected = []
        self._needs_thread = False

    def run(self, prepared: Prepared, rows: Sequence[Sequence[Any]]) -> None:
        """Collect."""
        self._statements.append((prepared.sql, rows))

    def ask(self, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        """Refuse: an answer would have to be waited for."""
        raise self._refusal()

    def send(self, *_: Any, **__: Any) -> None:
        """Refuse: SQLAlchemy waits for the answer."""
        raise self._refusal()

    def execute(self, *_: Any, **__: Any) -> CursorResult[Any]:
        """Refuse: an answer would have to be waited for."""
        raise self._refusal()

    def taken(self) -> Collected:
        """Return what was collected.

        Raises:
            NeedsThread: if something needed an answer, also when the change went on without it.
        """
        if self._needs_thread:
            raise self._refusal()
        return self._statements

    def _refusal(self) -> NeedsThread:
        self._needs_thread = True  # a unit may swallow the exception
        return NeedsThread("this change needs an answer before its commit")


class Flight:
    """One burst on its way to the database and back, driven by an event loop."""

    def __init__(
        self,
        answers: Generator[Wait, Ready | int, None],
        *,
        file: int,
        loop: asyncio.AbstractEventLoop,
        landed: "Callable[[Flight, BaseException | None], None]",
    ) -> None:
        """Prepare one.

        Args:
            answers: sends and receives, and says what it waits for; see `Burst.answers`.
            file: the socket.
            loop: drives it.
            landed: called in `loop` at the end, with what went wrong.
        """
        self._answers = answers
        self._file = file
        self._loop = loop
        self._landed = landed
        self._waits_to_write = False

    def depart(self) -> None:
        """Send what there is to send."""
        self._loop.add_reader(self._file, self._go, Ready.R)
        try:
            self._watch(next(self._answers))
        except BaseException:
            self._unwatch()
            raise

    def abandon(self) -> None:
        """Forget about it; from another thread, when the loop does not run any more."""
        with contextlib.suppress(RuntimeError, ValueError, OSError):
            self._loop.call_soon_threadsafe(self._unwatch)

    def _go(self, ready: Ready) -> None:
        try:
            wanted = self._answers.send(ready)
        except StopIteration:
            self._land(None)
        except BaseException as error:  # noqa: BLE001  # whoever waits is told
            self._land(error)
        else:
            self._watch(wanted)

    def _watch(self, wanted: Wait) -> None:
        writes = bool(wanted & Wait.W)
        if writes and not self._waits_to_write:
            self._loop.add_writer(self._file, self._go, Ready.W)
        elif self._waits_to_write and not writes:
            self._loop.remove_writer(self._file)
        self._waits_to_write = writes

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._file)
        if self._waits_to_write:
            self._loop.remove_writer(self._file)

    def _land(self, error: BaseException | None) -> None:
        self._unwatch()
        self._landed(self, error)
