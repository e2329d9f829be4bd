"""ReDoS: a pattern that never ends costs its time limit and nothing else."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mosaic.core.errors import ContractViolation, InvalidInput, MosaicError, TimedOut
from mosaic.tools import Invocation
from mosaic.tools.builtin import list_files, search_files
from tests.tools.test_processes import alive

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]

CATASTROPHES = [
    r"(a+)+$", r"(a|a)*$", r"(a|aa)+$", r"(.*a){25}$", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(a*)*b", r"(?:a?){40}a{40}$",
    r"(x+x+)+y", r"(?=(a+))a*b\1", r"(\w+\s?)+$", r"([a-zA-Z]+)*$", r"a{1000000000}", r"(a{1000}){1000}",
]  # fmt: skip


@pytest.mark.parametrize("pattern", CATASTROPHES)
async def test_a_catastrophic_pattern_is_ended(invoked: Invoked, workspace: Path, pattern: str) -> None:
    (workspace / "f").write_text("a" * 5_000 + "!\n" + "x" * 5_000 + "\n" + "ab " * 2_000 + "!\n")
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    try:
        await search_files.call(invoked(timeout_s=1.0), {"pattern": pattern})
    except TimedOut:
        pass
    finally:
        ticking.cancel()
    assert ticks > 0, "the loop that serves everybody else stood still"
    assert not alive(str(workspace))


@pytest.mark.parametrize("pattern", ["(" * 900, "(?P<x>" * 200, "[" * 900, "\\"])
async def test_a_pattern_that_cannot_be_compiled_is_explained(
    invoked: Invoked, workspace: Path, pattern: str
) -> None:
    (workspace / "f").write_text("a\n")
    with pytest.raises((InvalidInput, TimedOut, ContractViolation)):
        await search_files.call(invoked(timeout_s=5.0), {"pattern": pattern})


@pytest.mark.parametrize(
    "glob", ["*" * 250, "**/" * 90, "*a" * 120 + "b", "**" + "?*" * 140, "[" * 200, "{a,b}" * 50]
)
async def test_a_glob_is_no_way_around(invoked: Invoked, workspace: Path, glob: str) -> None:
    (workspace / ("a" * 200)).write_text("a\n")
    (workspace / ("b/" * 50)).mkdir(parents=True)
    invocation = replace(invoked(), timeout_s=3.0)
    for tool, arguments in ((search_files, {"pattern": "x", "glob": glob}), (list_files, {"pattern": glob})):
        try:
            async with asyncio.timeout(10):
                await tool.call(invocation, arguments)  # type: ignore[arg-type]  # plain JSON
        except MosaicError:
            continue
