"""What the board asks for besides what every client does: where the journal ends, the audit trail, the examples."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from mosaic.app.build import Application
from mosaic.app.first_run import example_folder
from mosaic.app.requests import INSTALLED_TOOLS, run_request
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject
from mosaic.workflows import load

__all__ = ["audit_lines", "audit_page", "examples", "journal_head", "start_example"]

_WINDOW = 500
_MOST_WINDOWS = 40
_EXAMPLES = ("hello-team", "fix-failing-test")
# What somebody answerable did or allowed, or was refused.
_AUDITED = (
    "run.created", "run.cancel", "run.reopened", "approval.", "key.", "budget.", "price.", "policy.", "tool.denied",
    "tool.rejected", "tool.registered", "audit.", "provider.", "route.", "plan.",
)  # fmt: skip


async def journal_head(app: Application, ctx: Context) -> JsonObject:
    """Return the sequence number of the newest event."""
    return {"head": await app.journal.head(ctx)}


async def audit_page(
    app: Application, ctx: Context, *, before: int | None, limit: int, types: Sequence[str], actor: str | None
) -> JsonObject:
    """Return audited events before a sequence number, newest first.

    Args:
        app: the installation.
        ctx: whose journal.
        before: continues a page; None begins at the newest event.
        limit: how many at most.
        types: beginnings of event types; empty means everything that is audited.
        actor: only what this one did.
    """
    end = await app.journal.head(ctx) + 1 if before is None else before
    items: list[JsonObject] = []
    for _ in range(_MOST_WINDOWS):
        if end <= 1:
            break
        start = max(0, end - 1 - _WINDOW)
        events = await app.journal.read(ctx, after=start, limit=end - 1 - start)
        for event in reversed(events):
            if len(items) == limit:
                break
            end = event.seq
            shown = event.to_json()
            if _audited(shown, types, actor):
                items.append(shown)
        else:
            end = start + 1
        if len(items) == limit:
            break
    return {"items": items, "next_before": end if end > 1 else None}


async def audit_lines(app: Application, ctx: Context, *, types: Sequence[str]) -> AsyncIterator[bytes]:
    """Yield audited events as JSON lines, oldest first."""
    after = 0
    while events := await app.journal.read(ctx, after=after, limit=_WINDOW):
        lines = [event.to_json() for event in events]
        chosen = [line for line in lines if _audited(line, types, None)]
        if chosen:
            yield "".join(json.dumps(line, default=str) + "\n" for line in chosen).encode()
        after = events[-1].seq


def _audited(event: JsonObject, types: Sequence[str], actor: str | None) -> bool:
    return str(event["type"]).startswith(tuple(types) or _AUDITED) and actor in (None, event["actor"])


async def examples(_: Application, __: Context) -> JsonObject:
    """Return the examples that came along, with what they do and take."""
    return {"items": await asyncio.to_thread(_examples)}


def _examples() -> list[JsonObject]:
    found = []
    for name in _EXAMPLES:
        folder = example_folder(name)
        if folder is not None:
            definition = load(folder / "workflow.yaml", tools=INSTALLED_TOOLS)
            found.append(
                {
                    "name": name,
                    "description": str(definition.description or ""),
                    "inputs": dict(definition.inputs_schema),
                }
            )
    return found


async def start_example(app: Application, ctx: Context, name: str, inputs: JsonObject) -> JsonObject:
    """Start an example; returns the run.

    Raises:
        NotFound: when no example has that name.
    """
    folder: Path | None = example_folder(name) if name in _EXAMPLES else None
    if folder is None:
        raise NotFound(f"There is no example {name!r}.", hint="GET /api/v1/examples lists them.")
    request = await asyncio.to_thread(run_request, folder, inputs=inputs, options={})
    return await app.operations.start_run(ctx, request)
