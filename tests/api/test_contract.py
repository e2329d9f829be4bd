"""The contract, asked for what it does not say: every route, with data that fits its schema and data that does not."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.app.site import Site

pytestmark = [pytest.mark.anyio, pytest.mark.nightly]

CONTRACT = Path(__file__).parent / "contract"
LONGEST_S = 30
WAIT_S = 420.0


async def test_schemathesis_finds_nothing_with_all_its_checks(site: Site, token: str, tmp_path: Path) -> None:
    """A longer run is the same command with more examples: see docs/reference/rest.md."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(CONTRACT / "schemathesis.toml"),
            "run",
        ),
        *(f"{site.address}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}"),
        *(
            "--checks",
            "all",
            "--mode",
            "all",
            "--max-examples",
            "1",
            "--max-time",
            str(LONGEST_S),
            "--no-color",
        ),
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(CONTRACT / "hooks.py")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(WAIT_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    said = out.decode()
    assert process.returncode == 0, said[said.find("FAILURES") :][:20_000] or said
    assert "Tested:" in said
