"""The chaos of `benchmarks/gateway_chaos.py`, in short."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.anyio

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gateway_chaos.py"
LIMIT_S = 240.0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1])
async def test_calls_are_answered_and_books_agree_while_providers_fail(seed: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), "--check", "--requests", "2000", "--aborts", "200", "--at-once", "1000",
        "--seconds", "90", "--seed", str(seed),
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
