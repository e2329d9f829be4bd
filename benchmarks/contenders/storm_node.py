"""A node of a storm: a process that opens the application, starts the runs it is told to, and executes until killed.

It is forked from a server process that has imported everything, so that a start costs milliseconds and not the
seconds that Python needs to import; what a start does to the data is all there: migrations, lock or lease, recovery.
"""

import asyncio
import cProfile
import json
import logging
import os
from typing import Any

from contenders.approval_ledger import append
from contenders.storm_tool import record

from mosaic.app.build import build
from mosaic.app.settings import Settings
from mosaic.core.context import Actor, Context

__all__ = ["PRELOAD", "run_node"]

LINE_BYTES = 4_000_000
PRELOAD = [
    "mosaic.app.lifespan",
    "mosaic.engine.node",
    "mosaic.plugins.scripted",
    "mosaic.agents.backends.model",
    "mosaic.storage.migrations.operations",
    "aiosqlite",
    "alembic.autogenerate",
    "alembic.command",
    "alembic.config",
    "alembic.ddl.postgresql",
    "alembic.ddl.sqlite",
    "anyio._backends._asyncio",
    "dbos._dbos",
    "dbos._sys_db_postgres",
    "dbos._sys_db_sqlite",
    "encodings.idna",
    "genai_prices.data_snapshot",
    "httpcore2",
    "logging.config",
    "psycopg_binary",
    "pydantic_ai",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "truststore",
]
"""What a node imports sooner or later; the rest of it comes with these."""


def run_node(order: dict[str, Any]) -> None:
    """Be a node; returns when told to stop.

    Args:
        order: ``settings``, the ``control`` socket to report to, the ``name`` to report as, the ``log`` file, and
            where to write a ``profile`` of it, if anywhere.
    """
    log = os.open(order["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if order["profile"] is None:
        asyncio.run(_serve(order))
        return
    profile = cProfile.Profile()
    profile.runcall(asyncio.run, _serve(order))
    profile.dump_stats(order["profile"])


async def _serve(order: dict[str, Any]) -> None:
    settings = Settings.model_validate(order["settings"])
    ctx = Context(settings.tenant, settings.project, Actor("user", "owner"))
    reader, writer = await asyncio.open_unix_connection(order["control"], limit=LINE_BYTES)

    def say(**words: Any) -> None:
        writer.write(json.dumps(words).encode() + b"\n")

    async def start(request: dict[str, Any]) -> None:
        run_id = request["options"]["run_id"]
        try:
            await application.operations.start_run(ctx, request)
        except Exception as error:  # whatever it is, the storm must hear of it
            logging.getLogger("storm").exception("the start of %s failed", run_id)
            say(refused=run_id, error=f"{type(error).__name__}: {error}")
        else:
            say(accepted=run_id)

    say(name=order["name"])
    # `open_application` with tools of the installation's own, which must be known before work is recovered.
    application = build(settings)
    application.tools.boxes.register(record)
    application.tools.boxes.register(append)
    try:
        await application.open(execute=True, address=None)
        say(ready=application.engine.node_id)
        async with asyncio.TaskGroup() as tasks:
            while line := await reader.readline():
                told = json.loads(line)
                if "stop" in told:
                    break
                tasks.create_task(start(told["start"]))
    finally:
        await application.close()
