"""Which recorded results a fork keeps: those of the steps that were finished before the chosen one began.

A step that was under way in another branch at that moment is done again whole: half of its record would show an agent
answers to questions it never asked. Of the steps around the chosen one, what they had decided until then is kept, but
not what they remembered without an event (deadlines above all, which would be over).
"""

from dataclasses import dataclass, field

from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject
from mosaic.events import Event, Journal, RecordedEffect
from mosaic.runs.progress import within

__all__ = ["ForkPlan", "checkpoints", "fork_keys"]

# The interpreter records the commit of the files as they were when the step began as this effect's result.
_CHECKPOINT = "checkpoint"
_ENDS = ("step.completed", "step.failed", "step.skipped", "step.cancelled")
_PAGE = 500
_SHOWN = 30


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """What a fork takes over: effect keys, and the commit that holds the files as they were."""

    keys: tuple[str, ...]
    checkpoint: str | None


@dataclass(slots=True)
class _Until:
    """The steps of a run up to the moment when the chosen one began."""

    step: str
    began: int | None = None
    active: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    seen: dict[str, None] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        path = event.path or ""
        if event.type == "step.started":
            self.seen[path] = None
        if self.began is not None:
            return
        if event.type != "step.started":
            self.active.discard(path)
            self.finished.add(path)
        elif path == self.step:
            self.began = event.seq
        else:
            self.active.add(path)
            self.finished.discard(path)

    def keeps(self, effect: RecordedEffect, began: int) -> bool:
        path = effect.key.split("#", 1)[0]
        if effect.started_only or not path or effect.event_seq >= began or within(path, self.step):
            return False
        if within(self.step, path):
            return effect.event_seq > 0
        owner = self._owner(path)
        # A step that this run knows no event of was finished in the run that it was itself forked from.
        return not owner or owner in self.finished

    def _owner(self, path: str) -> str:
        """Return the innermost step that `path` belongs to; empty when there is none."""
        around = (step for step in (*self.active, *self.finished) if within(path, step))
        return max(around, key=len, default="")


async def fork_keys(journal: Journal, ctx: Context, run_id: str, from_step: str) -> ForkPlan:
    """Return what a fork of `run_id` from `from_step` keeps.

    Raises:
        NotFound: if the run never began that step; the hint lists those it began.
    """
    until = _Until(from_step)
    types, after = ["step.started", *_ENDS], 0
    while events := await journal.read(ctx, after=after, run_id=run_id, types=types, limit=_PAGE):
        for event in events:
            until.apply(event)
        after = events[-1].seq
    if until.began is None:
        steps = list(until.seen)
        more = f" and {len(steps) - _SHOWN} more" if len(steps) > _SHOWN else ""
        began = f"Steps it began: {', '.join(steps[:_SHOWN])}{more}." if steps else "It began no step at all."
        raise NotFound(f"Run {run_id} never began a step {from_step!r}.", hint=began)
    recorded = await journal.recorded(ctx, run_id)
    keys = [key for key, effect in recorded.items() if until.keeps(effect, until.began)]
    checkpoint = recorded.get(f"{from_step}#{_CHECKPOINT}")
    commit = checkpoint.result if checkpoint else None
    return ForkPlan(tuple(keys), commit if isinstance(commit, str) else None)


async def checkpoints(journal: Journal, ctx: Context, run_id: str) -> list[JsonObject]:
    """Return the steps that a fork can begin from with their files, in the order they began.

    Each has ``step``, ``at`` and ``commit``, which holds the files as they were when the step began.
    """
    recorded = await journal.recorded(ctx, run_id)
    found: dict[str, JsonObject] = {}
    after = 0
    while events := await journal.read(ctx, after=after, run_id=run_id, types=["step.started"], limit=_PAGE):
        for event in events:
            kept = recorded.get(f"{event.path}#{_CHECKPOINT}")
            if kept is not None and isinstance(kept.result, str):
                at = event.to_json()["occurred_at"]
                found[str(event.path)] = {"step": event.path, "at": at, "commit": kept.result}
        after = events[-1].seq
    return list(found.values())
