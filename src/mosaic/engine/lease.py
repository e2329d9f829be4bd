"""PostgreSQL: who lives. Heartbeats, the fence that stops a node declared dead, and adoption of its work.

A node writes its heartbeat from a thread of its own, on a connection of its own, so that neither a busy event
loop nor an exhausted pool can make it look dead. Any node declares another dead when its heartbeat is older
than the lease; that is for ever, because each start of a process is a new node. From then on the dead node can
commit nothing: every write transaction first reads the node's own row with a lock that conflicts with the one
the declaration takes. So either the transaction commits before the declaration, or it fails.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from mosaic.core.ids import new_id
from mosaic.engine.nodes import BEAT, DEAD_AMONG, DECLARE_DEAD, ENTER, session_name
from mosaic.engine.schemas import EngineSettings

__all__ = ["Lease", "exit_process", "new_node_id"]

log = logging.getLogger(__name__)
_EXIT_STATUS = 75  # EX_TEMPFAIL: start me again


def new_node_id(name: str | None) -> str:
    """Return an id for this start of this process."""
    return f"{name or socket.gethostname()}-{os.getpid()}-{new_id('node')[-8:]}"


def exit_process(reason: str) -> None:
    """End the process at once: it may run nothing that another node has taken over."""
    log.critical("%s", reason)
    logging.shutdown()
    os._exit(_EXIT_STATUS)


class Lease:
    """This node's life among the others.

    Args:
        conninfo: how to reach the database, for psycopg.
        node_id: this node.
        owners: who holds work now; called from the sweeping thread, may block.
        adopt: takes over the work of these dead nodes; called from the sweeping thread, may block.
        on_fenced: what to do when this node finds itself dead.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        node_id: str,
        settings: EngineSettings,
        owners: Callable[[], set[str]],
        adopt: Callable[[Sequence[str]], object],
        on_fenced: Callable[[str], None] = exit_process,
    ) -> None:
        self._conninfo = conninfo
        self._node_id = node_id
        self._settings = settings
        self._owners = owners
        self._adopt = adopt
        self._on_fenced = on_fenced
        self._stop = threading.Event()
        self._sweep = threading.Event()
        self._threads: list[threading.Thread] = []
        # Since when our heartbeats have succeeded without a gap: after an outage everybody looks dead.
        self._steady_since: float | None = None

    def enter(self) -> None:
        """Write this node's row, then keep it beating. Blocks for the first heartbeat."""
        with self._connect("mosaic lease") as connection:
            connection.execute(
                ENTER,
                {
                    "id": self._node_id,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "app_version": self._settings.app_version,
                },
            )
        # A node that has just come has no outage behind it.
        self._steady_since = time.monotonic() - self._settings.lease_ttl_s
        self._thread("engine-heartbeat", self._beat)

    def start_sweeping(self) -> None:
        """Begin to look for dead nodes and adopt their work."""
        self._thread("engine-sweep", self._sweep_dead)
        self._sweep.set()

    def _thread(self, name: str, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wake_sweep(self) -> None:
        """Look for dead nodes now instead of at the next heartbeat."""
        self._sweep.set()

    def stop(self) -> None:
        """End both threads. Blocks for at most one statement."""
        self._stop.set()
        self._sweep.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _connect(self, name: str) -> "psycopg.Connection[Any]":
        ttl_ms = int(self._settings.lease_ttl_s * 1000)
        return psycopg.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=max(2, int(self._settings.lease_ttl_s)),
            application_name=name,
            options=f"-c statement_timeout={ttl_ms} -c lock_timeout={ttl_ms}",
        )

    def _beat(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                connection = connection or self._connect(session_name(self._node_id))
                alive = connection.execute(BEAT, {"id": self._node_id}).fetchone()
            except psycopg.Error as error:
                log.warning("the heartbeat could not be written: %s", error)
                self._steady_since = None
                _close(connection)
                connection = None
            else:
                if alive is None:
                    self._stop.set()
                    self._on_fenced(
                        f"node {self._node_id} was declared dead after more than "
                        f"{self._settings.lease_ttl_s:g} s without a heartbeat and others have its work; it ends now"
                    )
                    break
                self._steady_since = self._steady_since or time.monotonic()
                self._sweep.set()
            self._stop.wait(max(0.0, self._settings.heartbeat_s - (time.monotonic() - started)))
        _close(connection)

    def _sweep_dead(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._stop.is_set():
            self._sweep.wait()
            self._sweep.clear()
            if self._stop.is_set():
                break
            try:
                connection = connection or self._connect("mosaic sweep")
                self._sweep_once(connection)
            except psycopg.Error as error:
                log.warning("dead nodes could not be looked for: %s", error)
                _close(connection)
                connection = None
            except Exception:  # a worker: whatever it was, the next heartbeat tries again
                log.exception("adopting the work of dead nodes failed; the next heartbeat tries again")
        _close(connection)

    def _sweep_once(self, connection: "psycopg.Connection[Any]") -> None:
        if self._is_steady():
            who = {"id": self._node_id, "ttl_s": self._settings.lease_ttl_s}
            for (dead,) in connection.execute(DECLARE_DEAD, who).fetchall():
                log.warning("node %s stopped beating: it is declared dead and its work adopted", dead)
        # All dead ones every time, not those of this sweep alone: who adopts may die before it has.
        owners = self._owners() - {self._node_id}
        if owners:
            dead = [row[0] for row in connection.execute(DEAD_AMONG, {"ids": sorted(owners)}).fetchall()]
            if dead:
                self._adopt(dead)

    def _is_steady(self) -> bool:
        since = self._steady_since
        return since is not None and time.monotonic() - since >= self._settings.lease_ttl_s


def _close(connection: "psycopg.Connection[Any] | None") -> None:
    if connection is not None:
        connection.close()
