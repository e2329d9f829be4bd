"""The engine: starts handlers durably, on whichever node, and brings them to their end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, NotFound, Unavailable
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.execution import Execution, Handler
from mosaic.engine.repository import EngineRepository, ExecutionRow
from mosaic.engine.results import Results, execution_topic
from mosaic.engine.schedules import Schedules
from mosaic.engine.schemas import (
    EngineSettings,
    ExecutionInfo,
    ExecutionResult,
    ExecutionStatus,
    NodeInfo,
    ScheduleInfo,
    Signal,
)
from mosaic.engine.signals import Signals
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import DataLock, Database, Transaction

if TYPE_CHECKING:
    from mosaic.engine.node import Node

__all__ = ["Engine"]

_log = logging.getLogger(__name__)


class Engine:
    """Durable execution.

    An engine that is not launched can look, signal and cancel: that is what another process does. `launch`
    makes this process a node that runs executions.

    Args:
        database: where everything is kept.
        journal: keeps the effects.
        bus: wakes who waits.
        settings: queues, leases and limits.
        lock: the SQLite data directory's lock when the application holds it; the engine takes it otherwise.
        on_fenced: what to do when this node was declared dead; by default the process ends at once.
        clock: the time.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        settings: EngineSettings | None = None,
        *,
        lock: DataLock | None = None,
        on_fenced: Callable[[str], None] | None = None,
        clock: Clock = now,
    ) -> None:
        self.settings = settings or EngineSettings()
        self._database = database
        self._journal = journal
        self._bus = bus
        self._lock = lock
        self._on_fenced = on_fenced
        self._clock = clock
        self._repository = EngineRepository(database.dialect)
        poll_s = self.settings.safety_poll_s
        self._results = Results(database, journal, bus, self._repository, safety_poll_s=poll_s)
        self._signals = Signals(
            database, journal, bus, self._repository, clock=clock, safety_poll_s=poll_s
        )
        self._schedules = Schedules(database, bus, clock=clock, fire=self._fire)
        self._handlers: dict[str, Handler] = {}
        self._node: Node | None = None
