"""A run ends once: its row, its event and what other rooms still hold open, in one transaction."""

from collections.abc import Awaitable, Callable, Sequence

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.events import Journal, NewEvent
from mosaic.runs.repository import RunRepository
from mosaic.runs.schemas import RunStatus
from mosaic.storage import Database, Transaction

__all__ = ["Closer", "Ending"]

Closer = Callable[[Transaction, Context, str], Awaitable[object]]
"""Ends what a room still holds open for a run that is over, in the transaction that ends the run."""


class Ending:
    """Ends runs."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        *,
        redactor: Redactor,
        closers: Sequence[Closer] = (),
        clock: Clock = now,
    ) -> None:
        self._redactor = redactor
        self._database = database
        self._journal = journal
        self._closers = tuple(closers)
        self._clock = clock
        self._rows = RunRepository()

    async def end(
        self,
        ctx: Context,
        run_id: str,
        status: RunStatus,
        *,
        outputs: JsonValue = None,
        error: JsonObject | None = None,
    ) -> bool:
        """End a run; False when it has ended already, and then nothing is written.

        The row decides, so a run that is cancelled while it finishes has one end and one event for it.
        """
        ctx = ctx.correlated(run_id)
        outputs, problem = self._redactor.value(outputs), self._redactor.value(error)
        async with self._database.transaction() as tx:
            write = self._rows.finish(
                ctx,
                run_id,
                status=status,
                outputs=outputs,
                error=problem if isinstance(problem, dict) else None,
                at=self._clock(),
            )
            written = await tx.execute(write)
            if not written.rowcount:
                return False
            for close in self._closers:
                await close(tx, ctx, run_id)
            data: JsonObject = {"outputs": outputs} if status is RunStatus.SUCCEEDED else {"error": problem}
            await self._journal.append(tx, ctx, [NewEvent(f"run.{status.value}", data, run_id=run_id)])
        return True
