"""Golden journals: the effects of finished runs as a release wrote them, one JSON file each.

A later release must replay them: the same definition, answered from these effects alone, takes the same way to the
same outputs and calls nothing. ``python -m tests.replay.golden`` records the files anew; do that only when the
journal's format is meant to change, and say so in the changelog: runs that are under way when a user upgrades are
journals like these.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from mosaic.app.lifespan import open_application
from mosaic.app.requests import run_request
from mosaic.app.settings import load_settings
from mosaic.core.context import Actor, Context
from mosaic.events.models import effect
from mosaic.storage import Database

FOLDER = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDED = (
    "hello-team",
    "patterns/bounded-iteration",
    "patterns/conditional",
    "patterns/control-do",
    "patterns/evaluator-optimizer",
    "patterns/handoff-group",
    "patterns/map-dag",
    "patterns/parallel",
    "patterns/quorum",
    "patterns/sequence",
    "patterns/step-set",
    "patterns/step-wait",
    "patterns/vote",
)
OWNER = Context("local", "default", Actor("user", "owner"))


def file_of(name: str) -> Path:
    """Return where the golden journal of an example is kept."""
    return FOLDER / f"{name.replace('/', '-')}.json"


async def effects_of(database: Database, run_id: str) -> list[dict[str, Any]]:
    """Return the finished effects of a run, without those by which the front desk begins and ends it."""
    columns = (effect.c.key, effect.c.status, effect.c.result, effect.c.error, effect.c.event_seq)
    async with database.transaction(read_only=True) as tx:
        rows = await tx.rows(select(*columns).where(effect.c.run_id == run_id).order_by(effect.c.key))
    return [dict(row) for row in rows if not row["key"].startswith(("#run:", "#artifact:", "#execution:"))]


async def put_effects(database: Database, run_id: str, effects: list[dict[str, Any]]) -> None:
    """Write recorded effects for a run that has not begun."""
    async with database.transaction() as tx:
        for row in effects:
            await tx.execute(insert(effect).values(tenant_id=OWNER.tenant, run_id=run_id, **row))


async def record(name: str) -> dict[str, Any]:
    """Run an example and return its golden journal."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(Path(folder), environ={})
        async with open_application(settings, execute=True) as application:
            request = run_request(EXAMPLES / name, inputs={}, options={})
            run = await application.operations.start_run(OWNER, request)
            finished = await application.runs.wait(OWNER, run["id"], timeout_s=60)
            assert finished.status == "succeeded", finished.error
            effects = await effects_of(application.database, run["id"])
            return {
                "example": name,
                "bundle": request["bundle"],
                "inputs": finished.inputs,
                "outputs": finished.outputs,
                "effects": effects,
            }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in RECORDED:
        journal = asyncio.run(record(name))
        file_of(name).write_text(json.dumps(journal, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
