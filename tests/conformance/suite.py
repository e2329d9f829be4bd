"""Runs the MCP conformance suite, and reads what it found."""

import asyncio
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.conformance.installation import Programs

__all__ = ["Leg", "Verdict", "required", "run"]

RUN_S = 300.0
SCENARIO_MS = 60_000
Leg = Literal["server", "client"]
_GOOD = frozenset({"SUCCESS", "INFO", "WARNING", "SKIPPED"})
_HEADINGS: dict[Leg, str] = {"server": "Server scenarios", "client": "Client scenarios"}


@dataclass(frozen=True)
class Verdict:
    """What the suite found.

    Attributes:
        passed: whether everything that it scores is good.
        scenarios: the names of those that were run.
        failures: each check that is not good: scenario, check, why.
        printed: what it said.
    """

    passed: bool
    scenarios: frozenset[str]
    failures: tuple[str, ...]
    printed: str


async def required(programs: Programs, leg: Leg, revision: str) -> list[str]:
    """Return the scenarios that conformance to a revision needs."""
    _, printed = await _run(programs, "list", "--requirements", revision)
    _, _, after = printed.partition(_HEADINGS[leg])
    listed = after.splitlines()[1:]
    end = next(number for number, line in enumerate(listed) if not line.startswith("  - "))
    return [line.removeprefix("  - ").strip() for line in listed[:end]]


async def run(programs: Programs, leg: Leg, folder: Path, *arguments: str, **environment: str) -> Verdict:
    """Run the suite; it writes what it found below `folder`."""
    bounds = ("--timeout", str(SCENARIO_MS), "--output-dir", str(folder))
    status, printed = await _run(programs, leg, *arguments, *bounds, **environment)
    found = _found(folder)
    failures = [
        f"{scenario} / {check['id']}: {check.get('errorMessage') or check.get('details')}"
        for scenario, checks in found.items()
        for check in checks
        if check["status"] not in _GOOD
    ]
    return Verdict(status == 0, frozenset(found), tuple(failures), printed)


def _found(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {file.parent.name: json.loads(file.read_text()) for file in sorted(folder.rglob("checks.json"))}


async def _run(programs: Programs, *arguments: str, **environment: str) -> tuple[int, str]:
    ours = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    process = await asyncio.create_subprocess_exec(
        str(programs.node),
        str(programs.conformance),
        *arguments,
        env={**ours, "NO_COLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(RUN_S):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, printed.decode(errors="replace")
