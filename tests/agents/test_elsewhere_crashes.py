"""A node is killed while an agent elsewhere works: the task was sent once, and once only."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from mosaic.engine import Engine
from mosaic.events import Bus, Journal
from mosaic.storage import Database, StorageSettings
from tests.agents.elsewhere import WAIT_S, elsewhere
from tests.agents.node import CTX, RUN
from tests.agents.test_crashes import Node

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


async def _node(settings: StorageSettings, work: Path, url: str) -> Node:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.agents.node",
        settings.url, str(settings.data_dir), "http://127.0.0.1:9", str(work), url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    return Node(process)


async def test_a_task_is_sent_once_though_its_sender_is_killed_while_it_waits(
    storage_settings: StorageSettings, database: Database, journal: Journal, bus: Bus, tmp_path: Path
) -> None:
    async with elsewhere() as there:

        async def waits() -> bool:
            return len(await journal.read(CTX, types=["agent.remote_task"])) == 1

        there.held = True
        first = await _node(storage_settings, tmp_path, there.url)
        await first.until(waits)
        await first.kill()
        second = await _node(storage_settings, tmp_path, there.url)
        there.go.set()
        result = await second.result()
        assert result["status"] == "succeeded", result
        assert result["output"]["output"] == "Done: Fix it."
        assert there.said == ["Fix it."]


async def test_a_task_whose_answer_is_lost_with_its_sender_is_not_sent_again(
    storage_settings: StorageSettings, database: Database, tmp_path: Path
) -> None:
    async with elsewhere() as there:
        there.mute = True

        async def taken() -> bool:
            return bool(there.taken)

        first = await _node(storage_settings, tmp_path, there.url)
        await first.until(taken)
        await first.kill()
        there.mute = False
        second = await _node(storage_settings, tmp_path, there.url)
        result = await second.result()
        assert result["status"] == "failed"
        assert "may or may not have happened" in result["error"]
        assert len(there.taken) == 1


async def test_a_cancelled_run_gives_the_task_up_over_there(
    storage_settings: StorageSettings, database: Database, journal: Journal, bus: Bus, tmp_path: Path
) -> None:
    async with elsewhere() as there:

        async def waits() -> bool:
            return len(await journal.read(CTX, types=["agent.remote_task"])) == 1

        there.held = True
        node = await _node(storage_settings, tmp_path, there.url)
        await node.until(waits)
        await Engine(database, journal, bus).cancel(CTX, RUN)
        result: Any = await node.result()
        assert result["status"] == "cancelled", result
        async with asyncio.timeout(WAIT_S):
            await there.was_cancelled.wait()
        assert len(there.taken) == 1
