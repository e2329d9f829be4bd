"""The storm of `benchmarks/approval_storm.py`, in short."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "approval_storm.py"
LIMIT_S = 280.0


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_no_answer_is_lost_and_no_call_made_wrongly_while_nodes_are_killed(database: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "--check", "--approvals", "60", "--kills", "3", "--longest", "3",
        "--settle", "120", "--database", database,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ},
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    assert "approvals pending at once                                  60" in said.decode()
