"""The official MCP suite judges our server and our client, on both wires."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.conformance.installation import Programs
from tests.conformance.server import suite_server
from tests.conformance.suite import Verdict, required, run

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
AT_ONCE = 2  # each is two programs
REQUIRED = {
    ("server", "2025-11-25"): 30,
    ("server", "2026-07-28"): 37,
    ("client", "2025-11-25"): 18,
    ("client", "2026-07-28"): 32,
}


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_the_server_passes_every_required_scenario(programs: Programs, revision: str, tmp_path: Path):
    wanted = await required(programs, "server", revision)
    async with suite_server() as url:
        verdict = await run(programs, "server", tmp_path, "--url", url, "--requirements", revision)

    assert len(wanted) == REQUIRED["server", revision]
    missing = [name for name in wanted if not any(f"server-{name}-2" in ran for ran in verdict.scenarios)]
    assert not missing
    assert (
        not verdict.failures
    )  # of those neither that are not scored: extensions, tasks among them, and new ones
    assert verdict.passed, verdict.printed[-3000:]


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_the_client_passes_every_required_scenario(programs: Programs, revision: str, tmp_path: Path):
    wanted = await required(programs, "client", revision)
    room = asyncio.Semaphore(AT_ONCE)
    command = ("--command", f"{sys.executable} -m tests.conformance.client")
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])

    async def play(scenario: str) -> Verdict:
        # One by one: all at once, each would run into the suite's own bound of time on a small machine.
        async with room:
            which = ("--scenario", scenario, "--spec-version", revision)
            return await run(programs, "client", tmp_path / scenario, *command, *which, PYTHONPATH=path)

    verdicts = await asyncio.gather(*(play(scenario) for scenario in wanted))

    assert len(wanted) == REQUIRED["client", revision]
    assert all(verdict.scenarios for verdict in verdicts)
    assert not [fault for verdict in verdicts for fault in verdict.failures]
    assert not [verdict.printed[-2000:] for verdict in verdicts if not verdict.passed]
