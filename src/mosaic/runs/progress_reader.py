"""What runs are doing, kept between questions: only what the journal has got since is read."""

from collections import OrderedDict
from collections.abc import Iterable

from mosaic.core.context import Context
from mosaic.events import Journal
from mosaic.runs.progress import RunProgress

__all__ = ["ProgressReader"]

_KEPT = 1_000
_PAGE = 500
_TYPES = (
    "step.started",
    "step.completed",
    "step.failed",
    "step.skipped",
    "step.cancelled",
    "approval.requested",
    "approval.decided",
    "approval.expired",
)


class _Known:
    """A run's progress up to a place in the journal."""

    __slots__ = ("progress", "upto")

    def __init__(self) -> None:
        self.progress = RunProgress()
        self.upto = 0


class ProgressReader:
    """Tells how far runs are. What it remembers of a run is what the journal says up to a place, so it is never wrong."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def of(self, ctx: Context, run_ids: Iterable[str]) -> dict[str, RunProgress]:
        """Return the progress of some runs as the journal has it now."""
        wanted = {run_id: self._recall(ctx, run_id) for run_id in run_ids}
        if not wanted:
            return {}
        # Read before the events: they are all there up to this place.
        head = await self._journal.head(ctx)
        behind: dict[int, list[str]] = {}
        for run_id, known in wanted.items():
            if known.upto < head:
                behind.setdefault(known.upto, []).append(run_id)
        for after, some in behind.items():
            await self._catch_up(ctx, {run_id: wanted[run_id] for run_id in some}, after)
        for known in wanted.values():
            known.upto = max(known.upto, head)
        return {run_id: known.progress for run_id, known in wanted.items()}

    async def _catch_up(self, ctx: Context, wanted: dict[str, _Known], after: int) -> None:
        while True:
            events = await self._journal.read_runs(ctx, list(wanted), after=after, types=_TYPES, limit=_PAGE)
            for event in events:
                progress = wanted[event.run_id or ""].progress
                # Somebody else may have read the same meanwhile.
                if event.seq > progress.last_seq:
                    progress.apply(event.to_json())
            if len(events) < _PAGE:
                return
            after = events[-1].seq

    def _recall(self, ctx: Context, run_id: str) -> _Known:
        key = (ctx.tenant, run_id)
        known = self._known.pop(key, None) or _Known()
        self._known[key] = known
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known
