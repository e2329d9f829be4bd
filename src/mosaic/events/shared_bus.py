"""What the buses that reach other processes have in common: a listening thread and a name of our own.

A thread, not a task: it serves every event loop of the process, and a busy loop does not delay the others.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence

from mosaic.core.errors import Unavailable
from mosaic.events.bus import LocalBus, Subscription
from mosaic.storage import Database, SyncTransaction

__all__ = ["SharedBus"]

log = logging.getLogger(__name__)
_REMEMBERED = 1000


class SharedBus(LocalBus):
    """A bus that also tells, and hears from, the other processes on the same database."""

    # How long other processes hear nothing more of a topic that they were just told of.
    _quiet_s = 0.025

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        # Other processes' wakes carry their name; our own we have delivered already.
        self.source = secrets.token_hex(6)
        self._stop = threading.Event()
        # One end becomes readable when we close: for a listener that waits for a socket. Made with the thread.
        self._ends: tuple[socket.socket, socket.socket] | None = None
        # When others were told of a topic last, and what they are to be told a moment later.
        self._told: dict[str, float] = {}
        self._untold: set[str] = set()
        self._told_lock = threading.Lock()
        self._thread_lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def publish(self, topic: str) -> None:
        """Wake the subscribers of `topic` here at once, and elsewhere with the next batch of commits."""
        self.deliver((topic,))
        with contextlib.suppress(Unavailable):  # at shutdown; the others look for themselves
            self._database.committer.submit(lambda tx: self.announce_sync(tx, (topic,)))

    def announce_sync(self, tx: SyncTransaction, topics: Sequence[str]) -> None:
        """Tell other processes with this batch; of a topic they were told of just now, with a later one.

        A run that journals a thousand effects a second would otherwise wake every process as often.
        """
        now = [topic for topic in topics if self._is_quiet(topic)]
        if now:
            self._tell(tx, now)

    def _is_quiet(self, topic: str) -> bool:
        moment = time.monotonic()
        with self._told_lock:
            if moment - self._told.get(topic, -self._quiet_s) >= self._quiet_s:
                self._note((topic,), moment)
                return True
            is_first = not self._untold
            self._untold.add(topic)
            untold = self._untold
        if is_first:
            try:
                # The committer writes it after this batch, never before: whoever is told then finds what it wrote.
                self._database.committer.submit(lambda tx: self._tell_late(tx, untold), delay_s=self._quiet_s)
            except Unavailable:  # at shutdown
                with self._told_lock:
                    self._untold = set()
                return True
        return False

    def _tell_late(self, tx: SyncTransaction, untold: set[str]) -> None:
        with self._told_lock:
            if self._untold is untold:  # not when the batch is run again
                self._untold = set()
            self._note(untold, time.monotonic())
        self._tell(tx, sorted(untold))

    def _note(self, topics: Iterable[str], moment: float) -> None:
        if len(self._told) > _REMEMBERED:
            self._told = {topic: at for topic, at in self._told.items() if moment - at < self._quiet_s}
        self._told.update(dict.fromkeys(topics, moment))

    @abstractmethod
    def _tell(self, tx: SyncTransaction, topics: Sequence[str]) -> None:
        """Tell other processes, by statements that take effect with the commit."""

    def subscribe(self, *topics: str) -> Subscription:
        """Subscribe from now on; the first subscription starts to listen to other processes."""
        subscription = super().subscribe(*topics)
        with self._thread_lock:
            if self._thread is None and not self._stop.is_set():
                self._ends = socket.socketpair()
                self._thread = threading.Thread(target=self._listen_until_closed, name="bus", daemon=True)
                self._thread.start()
        return subscription

    async def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        with self._thread_lock:
            thread, ends = self._thread, self._ends
        if thread is not None and ends is not None:
            ends[1].close()
            await asyncio.to_thread(thread.join)
            ends[0].close()

    def _listen_until_closed(self) -> None:
        delay_s = 0.1
        while not self._stop.is_set():
            try:
                self._listen()
                delay_s = 0.1
            except self._errors() as error:
                log.warning("the bus lost its connection to %s: %s", self._database.where, error)
                self._stop.wait(delay_s)
                delay_s = min(delay_s * 2, 5.0)

    @abstractmethod
    def _listen(self) -> None:
        """Deliver what other processes publish until closed or disconnected."""

    @abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """Return the errors after which listening starts again."""
