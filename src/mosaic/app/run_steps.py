"""The steps of a run, folded from its journal: what began, how it ended, how often it was tried."""

from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.core.values import JsonObject
from mosaic.events import Event

__all__ = ["run_steps"]

_ENDS = {"step.completed": "completed", "step.failed": "failed", "step.skipped": "skipped", "step.cancelled": "cancelled"}  # fmt: skip
_TYPES = ("step.started", *_ENDS, "step.retrying")
_PAGE = 500
_MOST_EVENTS = 50_000


async def run_steps(app: Application, ctx: Context, run_id: str) -> JsonObject:
    """Return the steps of a run that began or were skipped, in that order; `truncated` says that there are more.

    A step that began again, as after a jump back, is one row: it shows its newest try.

    Raises:
        NotFound: if there is no such run.
    """
    await app.runs.get(ctx, run_id)
    steps: dict[str, JsonObject] = {}
    after, seen = 0, 0
    while events := await app.journal.read(ctx, after=after, run_id=run_id, types=_TYPES, limit=_PAGE):
        for event in events:
            _apply(steps, event)
        after, seen = events[-1].seq, seen + len(events)
        if seen >= _MOST_EVENTS:
            break
    return {"items": list(steps.values()), "truncated": seen >= _MOST_EVENTS}


def _apply(steps: dict[str, JsonObject], event: Event) -> None:
    path, data, moment = str(event.path or ""), event.data, event.occurred_at.isoformat()
    step = steps.setdefault(path, _new(path, data))
    if event.type == "step.started":
        step |= {
            "status": "running",
            "started_at": moment,
            "finished_at": None,
            "error": None,
            "output": None,
        }
        step |= {"kind": data.get("kind"), "agent": data.get("agent"), "tries": step["tries"] + 1}
        step |= {"duration_ms": None, "reason": None}
    elif event.type == "step.retrying":
        step["reason"] = data.get("reason")
    else:
        step |= {"status": _ENDS[event.type], "finished_at": moment, "duration_ms": data.get("duration_ms")}
        step |= {"output": data.get("output"), "error": data.get("error"), "reason": data.get("reason")}
        step["kind"] = data.get("kind") or step["kind"]


def _new(path: str, data: JsonObject) -> JsonObject:
    return {
        "path": path,
        "name": data.get("name") or path.rpartition("/")[2],
        "step": data.get("step"),
        "kind": data.get("kind"),
        "agent": data.get("agent"),
        "status": "running",
        "tries": 0,
        "started_at": None,
        "finished_at": None,
        "duration_ms": None,
        "output": None,
        "error": None,
        "reason": None,
    }
