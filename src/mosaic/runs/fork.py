"""Which recorded results a fork keeps: everything that was finished before the step began, outside that step."""

from dataclasses import dataclass

from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.events import Journal

__all__ = ["ForkPlan", "fork_keys"]

# The interpreter records the commit of the files as they were when the step began as this effect's result.
STARTED = "started"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """What a fork takes over: effect keys, and the commit that holds the files as they were."""

    keys: tuple[str, ...]
    checkpoint: str | None


async def fork_keys(journal: Journal, ctx: Context, run_id: str, from_step: str) -> ForkPlan:
    """Return what a fork of `run_id` from `from_step` keeps.

    Raises:
        NotFound: if the run never began that step.
    """
    began: int | None = None
    steps: list[str] = []
    after = 0
    while events := await journal.read(ctx, after=after, run_id=run_id, types=["step.started"], limit=_PAGE):
        for event in events:
            path = event.path or ""
            if path not in steps:
                steps.append(path)
            if began is None and path == from_step:
                began = event.seq
        after = events[-1].seq
    if began is None:
        raise NotFound(
            f"Run {run_id} never began a step {from_step!r}.",
            hint=f"Steps it began: {', '.join(steps[:30])}.",
        )
    recorded = await journal.recorded(ctx, run_id)
    keys = [
        key
        for key, effect in recorded.items()
        if not effect.started_only
        and effect.event_seq < began
        and not _within(key, from_step)
        and not key.startswith("#")
    ]
    checkpoint = recorded.get(f"{from_step}#{STARTED}")
    commit = checkpoint.result if checkpoint else None
    return ForkPlan(tuple(keys), commit if isinstance(commit, str) else None)


def _within(key: str, step: str) -> bool:
    path = key.split("#", 1)[0]
    return path == step or (path.startswith(step) and path[len(step)] in "/[(")
