"""A node that is killed in the middle of a job: another goes on, and nothing that was done is done again."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mosaic.agents import Conversations
from mosaic.events import Journal
from mosaic.storage import BlobStore, Database, StorageSettings
from tests.agents.node import CTX, PATH, RUN
from tests.agents.script import ScriptedModel, call, says
from tests.providers.endpoint import Reply, running_endpoint

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
WAIT_S = 60


class Node:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        await self._process.wait()

    async def until(self, there: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what it does while it lives."""
        async with asyncio.timeout(WAIT_S):
            while not await there():
                assert self._process.returncode is None, await self._errors()
                await asyncio.sleep(0.02)

    async def _errors(self) -> str:
        _, error = await self._process.communicate()
        return error.decode()[-4000:]

    async def result(self) -> Any:
        """What it printed at its end."""
        async with asyncio.timeout(WAIT_S):
            out, error = await self._process.communicate()
        assert out, error.decode()[-4000:]
        return json.loads(out.splitlines()[-1])


@asynccontextmanager
async def node(settings: StorageSettings, model: ScriptedModel, work: Path) -> AsyncIterator[Node]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.agents.node",
        settings.url,
        str(settings.data_dir),
        model.endpoint.url,
        str(work),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield Node(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.requirement("MOZ-02", "MAOS-44")
async def test_a_job_killed_twice_goes_on_and_repeats_nothing_that_was_done(
    storage_settings: StorageSettings, database: Database, journal: Journal, blobs: BlobStore, redactor: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    work = tmp_path / "work"
    work.mkdir()
    (work / "hang").touch()
    hung = asyncio.Event()

    async with running_endpoint() as endpoint:
        model = ScriptedModel(endpoint)

        def third(_body: Any) -> Any:
            if not hung.is_set():
                hung.set()
                return Reply(then="hang")
            return says("All done.")

        model.will(
            says("First.", call("note", {"text": "one"})),
            says("Then.", call("note", {"text": "two"}), call("look")),
            third,
        )

        async def in_the_second_turn() -> bool:
            """One of its calls is done, the other hangs."""
            done = await journal.read(CTX, types=["tool.called"])
            return len(done) == 2 and (work / "inside").exists()

        async def the_answer_hangs() -> bool:
            """It has been asked for and does not come."""
            return hung.is_set()

        async with node(storage_settings, model, work) as first:
            await first.until(in_the_second_turn)
            await first.kill()
        (work / "hang").unlink()
        async with node(storage_settings, model, work) as second:
            await second.until(the_answer_hangs)
            await second.kill()
        async with node(storage_settings, model, work) as third_node:
            result = await third_node.result()

        assert result["status"] == "succeeded", result
        assert (result["output"]["output"], result["output"]["turns"]) == ("All done.", 3)
        assert (work / "notes").read_text().splitlines() == ["one", "two"]
        assert (work / "looks").read_text().splitlines() == ["looked", "looked"]
        assert len(model.asked) == 4  # three answers, and the one whose answer was lost again
        assert len(await journal.read(CTX, types=["model.repeated"])) == 1
        moves = [event.data["to"] for event in await journal.read(CTX, types=["agent.turn"])]
        assert moves == [
            "ready", "running", "awaiting_tool", "running", "awaiting_tool", "running", "complete",
        ]  # fmt: skip
        conversations = Conversations(database, journal, blobs, redactor=redactor)
        found = await conversations.conversation(CTX, RUN, PATH)
        assert [message.role for message in found.messages] == [
            "user", "assistant", "tool", "assistant", "tool", "assistant",
        ]  # fmt: skip
