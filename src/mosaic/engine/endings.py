"""How an execution ends when its handler left no result to record."""

from mosaic.core.clock import Clock
from mosaic.core.values import JsonObject
from mosaic.engine.repository import EngineRepository, ExecutionRow
from mosaic.engine.results import Results
from mosaic.engine.topics import execution_topic
from mosaic.events import Bus, Journal, NewEvent
from mosaic.storage import Database

__all__ = ["Endings", "ended_event"]


class Endings:
    """Ends executions that were cancelled or given up."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        repository: EngineRepository,
        results: Results,
        *,
        clock: Clock,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._repository = repository
        self._results = results
        self._clock = clock

    async def end(self, row: ExecutionRow, status: str, error_code: str | None) -> None:
        """End an execution without recording a result."""
        async with self._database.transaction() as tx:
            await tx.execute(
                self._repository.ended(row, status=status, error_code=error_code, now=self._clock())
            )
            await self._journal.append(tx, row.context(), [ended_event(row, status, None)])
            self._bus.publish_in(tx, execution_topic(row.id))
        row.status, row.error_code = status, error_code
        self._results.tell(row.id, await self._results.read(row))


def ended_event(row: ExecutionRow, status: str, error: JsonObject | None) -> NewEvent:
    """Return the event of an execution's end."""
    data: JsonObject = {
        "execution": row.id,
        "handler": row.handler,
        "status": status,
        "attempt": row.attempt,
    }
    if error is not None:
        data["error"] = error
    if row.crashes:
        data["crashes"] = row.crashes
    return NewEvent(f"execution.{status}", data, run_id=row.run_id, path=row.path)
