"""What the board asks for besides what every client does: where the journal ends, the audit trail, the examples."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from mosaic.app.board_workflows import EXAMPLES
from mosaic.app.build import Application
from mosaic.app.first_run import example_folder
from mosaic.app.requests import INSTALLED_TOOLS, run_request
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject, canonical_json
from mosaic.workflows import load

__all__ = ["audit_digest", "audit_lines", "audit_page", "examples", "journal_head", "start_example"]

_WINDOW = 500
_MOST_LOOKED_AT = 20_000
# What somebody answerable did or allowed, or was refused.
_AUDITED = (
    "run.created", "run.cancel", "run.reopened", "approval.", "key.", "budget.", "price.", "policy.", "tool.denied",
    "tool.rejected", "tool.registered", "audit.", "provider.", "route.", "plan.", "webhook.", "hook.",
    "feedback.", "comment.",
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
    start = max(0, end - 1 - _MOST_LOOKED_AT)
    events = await app.journal.read_back(
        ctx, before=end, after=start, beginnings=tuple(types) or _AUDITED, actor=actor, limit=limit
    )
    end = events[-1].seq if len(events) == limit else start + 1
    return {"items": [event.to_json() for event in events], "next_before": end if end > 1 else None}


async def audit_lines(app: Application, ctx: Context, *, types: Sequence[str]) -> AsyncIterator[bytes]:
    """Yield audited events as JSON lines, oldest first."""
    after = 0
    while events := await app.journal.read(ctx, after=after, limit=_WINDOW):
        lines = [event.to_json() for event in events]
        chosen = [line for line in lines if _audited(line, types, None)]
        if chosen:
            yield "".join(json.dumps(line, default=str) + "\n" for line in chosen).encode()
        after = events[-1].seq


async def audit_digest(app: Application, ctx: Context, *, through: int | None) -> JsonObject:
    """Return a digest over the audit trail up to an event: whoever kept it can tell later whether anything was changed.

    Each event's digest is the SHA-256 of the one before it and the event as canonical JSON, so that a changed, removed
    or added event changes every digest after it.

    Args:
        app: the installation.
        ctx: whose journal.
        through: the sequence number of the last event that counts; None means the newest.
    """
    last = await app.journal.head(ctx) if through is None else through
    digest, count, after = hashlib.sha256().digest(), 0, 0
    while after < last and (events := await app.journal.read(ctx, after=after, limit=_WINDOW)):
        for event in events:
            shown = event.to_json()
            if event.seq <= last and _audited(shown, (), None):
                digest = hashlib.sha256(digest + canonical_json(shown)).digest()
                count += 1
        after = events[-1].seq
    return {"through": last, "events": count, "digest": f"sha256:{digest.hex()}"}


def _audited(event: JsonObject, types: Sequence[str], actor: str | None) -> bool:
    return str(event["type"]).startswith(tuple(types) or _AUDITED) and actor in (None, event["actor"])


async def examples(_: Application, __: Context) -> JsonObject:
    """Return the examples that came along, with what they do and take."""
    return {"items": await asyncio.to_thread(_examples)}


def _examples() -> list[JsonObject]:
    found = []
    for name in EXAMPLES:
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
    folder: Path | None = example_folder(name) if name in EXAMPLES else None
    if folder is None:
        raise NotFound(f"There is no example {name!r}.", hint="GET /api/v1/examples lists them.")
    request = await asyncio.to_thread(run_request, folder, inputs=inputs, options={})
    return await app.operations.start_run(ctx, request)
