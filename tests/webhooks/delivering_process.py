"""Delivers as a node does, until it is killed: ``delivering_process.py DATABASE_URL DATA_FOLDER``."""

import asyncio
import sys
from pathlib import Path

from mosaic.core.context import Actor, Context
from mosaic.core.redaction import Redactor
from mosaic.events import Journal, open_bus
from mosaic.storage import Database, FileBlobs, StorageSettings
from mosaic.webhooks import Deliverer, SecretMaker, SignedEvents
from tests.webhooks.conftest import KEY, SETTINGS


async def deliver(url: str, folder: Path) -> None:
    database = Database(StorageSettings(url, folder))
    bus = open_bus(database)
    journal = Journal(database, bus, redactor=Redactor(), blobs=FileBlobs(folder / "blobs", durable=False))
    form = SignedEvents(SecretMaker(KEY), max_body_bytes=SETTINGS.max_body_bytes)
    deliverer = Deliverer(
        database, journal, bus, settings=SETTINGS, forms={"event": form}, owner="process", alone=True
    )
    await deliverer.run(Context("t1", "p1", Actor("system", "webhooks")))


if __name__ == "__main__":
    asyncio.run(deliver(sys.argv[1], Path(sys.argv[2])))
