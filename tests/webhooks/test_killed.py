"""A delivering process that is killed loses nothing: the next one goes on, in order."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mosaic.storage import StorageSettings
from tests.webhooks.conftest import Bench
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def delivering(settings: StorageSettings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that delivers; it is killed at the end."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.webhooks.delivering_process",
        settings.url,
        str(settings.data_dir),
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


@pytest.mark.requirement("ENT-81")
async def test_a_process_killed_while_it_delivers_loses_no_event_and_no_order(
    bench: Bench, storage_settings: StorageSettings, receiver: Receiver
) -> None:
    webhook, _ = await bench.subscribe(receiver.url)
    events = await bench.happens(*[f"a{number}.done" for number in range(40)])
    async with delivering(storage_settings):
        await receiver.hears(10)
        receiver.hold = asyncio.Event()
        await receiver.holds(1)  # killed with a message sent and its answer not noted
    more = await bench.happens(*[f"b{number}.done" for number in range(5)])
    receiver.hold.set()
    receiver.hold = None
    async with delivering(storage_settings):
        await receiver.until(lambda: receiver.types[-1] == "mosaic.b4.done")
    told = [str(event["id"]) for event in receiver.events]
    assert list(dict.fromkeys(told)) == [event.id for event in (*events, *more)], (
        "each, in the journal's order"
    )
    assert len(told) <= len(set(told)) + 2, "only what was under way is told twice"
    _, standing = await bench.webhooks.get(bench.ctx, webhook.name)
    assert standing.dead == 0
