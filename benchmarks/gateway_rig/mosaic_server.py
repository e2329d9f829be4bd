"""MosAIc as people run it: `mosaic up`, routes in a file, a virtual key with a budget, the ledger on."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway_rig.contenders import KEY, MODEL, Running
from gateway_rig.processes import CannotStart, free_port, running

ROUTE = "bench"
BUDGET_NANOS = 10**15  # a million dollars: it holds, and is not used up


@contextlib.contextmanager
def mosaic(upstream: int, scratch: Path) -> Iterator[Running]:
    """The server of this checkout, in front of the model as the provider `openai`."""
    home, port = scratch / "home", free_port()
    home.mkdir()
    price = {"input_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6}
    settings = {
        "providers": {"openai": {"base_url": f"http://127.0.0.1:{upstream}/v1"}},
        "cost": {"prices": {f"openai:{MODEL}*": price}},
    }
    (home / "config.json").write_text(json.dumps(settings))
    (home / "routes.yaml").write_text(json.dumps({"routes": {ROUTE: {"targets": [f"openai:{MODEL}"]}}}))
    try:
        secret = asyncio.run(_key_with_a_budget(home))
    except Exception as error:
        raise CannotStart(f"no key could be made: {type(error).__name__}: {error}") from error
    command = [
        sys.executable,
        "-m",
        "mosaic.cli",
        "--home",
        str(home),
        "up",
        "--port",
        str(port),
        "--no-example",
    ]
    with running(command, port=port, log=scratch / "mosaic.log", env={"OPENAI_API_KEY": KEY}) as pid:
        yield Running(port, pid, {"authorization": f"Bearer {secret}"}, ROUTE)


async def _key_with_a_budget(home: Path) -> str:
    """Migrate the installation's database, make a key, limit what it may spend; return the key."""
    from mosaic.app.settings import load_settings
    from mosaic.core.context import Actor, Context
    from mosaic.core.redaction import Redactor
    from mosaic.cost import Bookkeeper, BudgetLimits, NewBudget
    from mosaic.events import Journal, open_bus
    from mosaic.security import Keys, NewKey
    from mosaic.storage import Database, FileBlobs, StorageSettings
    from mosaic.storage.engines import make_sync_engine
    from mosaic.storage.migrations import upgrade

    settings = load_settings(home)
    storage = StorageSettings(settings.database_url, home)
    upgrade(lambda: make_sync_engine(storage))
    database = Database(storage)
    bus = open_bus(database)
    try:
        journal = Journal(database, bus, redactor=Redactor(), blobs=FileBlobs(home / "blobs"))
        ctx = Context(tenant=settings.tenant, project=settings.project, actor=Actor("user", "owner"))
        key, secret = await Keys(database, journal, bus).create(ctx, NewKey(name="bench"))
        limits = BudgetLimits(database, journal, bus, Bookkeeper(database, journal))
        await limits.set(ctx, NewBudget("tenant", nanos=BUDGET_NANOS))
        await limits.set(ctx, NewBudget("key", key.id, nanos=BUDGET_NANOS, period="month"))
        return secret
    finally:
        await bus.close()
        await database.close()
