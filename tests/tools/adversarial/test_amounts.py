"""Too much of everything: processes, memory, output, files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mosaic.core.redaction import Redactor
from mosaic.tools import Hold, Sandboxes, SandboxLimits, ToolResult
from mosaic.tools.results import Bounds, bounded_result
from tests.tools.adversarial.conftest import Attacker
from tests.tools.sandbox.drivers import driver
from tests.tools.test_processes import alive, gone

pytestmark = pytest.mark.anyio

Bounded = Callable[..., Attacker]


@pytest.fixture
def bounded(attacker: Attacker) -> Bounded:
    def make(**limits: int) -> Attacker:
        settings = replace(attacker.invocation.sandboxes.settings, limits=SandboxLimits(**limits))
        return Attacker(replace(attacker.invocation, sandboxes=Sandboxes(settings)))

    return make


@pytest.mark.requirement("MAOS-11")
@pytest.mark.parametrize(
    "bomb",
    [
        'f() { f "$1" | f "$1" & }; f "$1"; sleep "$1"',
        'while :; do (setsid sleep "$1" &) ; done',
        "python3 -c 'import os\nwhile True:\n  try: os.fork()\n  except OSError: pass' & sleep \"$1\"",
        'trap "" TERM HUP INT; while :; do (trap "" TERM; setsid sh -c "trap \\"\\" TERM; sleep $1" &); done',
    ],
)
async def test_a_fork_bomb_stays_small_and_is_cleared_away(bounded: Bounded, bomb: str) -> None:
    attacker = bounded(processes=40)
    await driver(attacker.invocation.sandboxes.settings.driver, Hold.PROCESSES)
    marker = f"97{id(bomb) % 10**8}"
    seen = await attacker.run(argv=["sh", "-c", bomb, "sh", marker], timeout_s=1.5)
    assert seen.get("timed_out") or seen["exit_code"] != 0
    await gone(marker)
    assert alive(marker) == []
    assert (await attacker.run("echo usable"))["stdout"] == "usable\n"


@pytest.mark.requirement("STK-24", "MAOS-11")
async def test_a_command_that_eats_memory_ends_alone(bounded: Bounded) -> None:
    attacker = bounded(memory_bytes=128 * 1024**2)
    await driver(attacker.invocation.sandboxes.settings.driver, Hold.MEMORY)
    eaten = await attacker.run("python3 -c 'x = bytearray(10**9); print(len(x))'")
    assert "1000000000" not in eaten["stdout"]
    spread = "for i in 1 2 3 4 5 6; do python3 -c 'import time; x = bytearray(60 * 10**6); time.sleep(1); print(1)' & done; wait"
    assert (await attacker.run(spread))["stdout"].count("1") < 6
    # The temporary directory is memory too, where it is one of the sandbox's own.
    await attacker.run(
        "head -c 1000000000 /dev/zero > /dev/shm/x; head -c 1000000000 /dev/zero > /tmp/x; true"
    )
    assert (await attacker.run("echo usable"))["stdout"] == "usable\n"


async def test_a_flood_of_output_costs_its_bound(attacker: Attacker) -> None:
    seen = await attacker.run("yes '0123456789' | head -c 300000000; yes x | head -c 100000000 >&2")
    assert seen["stdout_bytes"] == 300_000_000
    assert seen["stderr_bytes"] == 100_000_000
    assert len(seen["stdout"]) + len(seen["stderr"]) < 70_000


async def test_binary_output_and_terminal_commands_do_not_come_through(attacker: Attacker) -> None:
    seen = await attacker.run(
        "head -c 100000 /dev/urandom | tr -d '\\n'; printf '\\033]0;title\\007\\033[2J\\033[31mred\\033[0m\\u202etxt' >&2"
    )
    shown = seen["stdout"] + seen["stderr"]
    assert not any(ord(character) < 32 and character not in "\n\t" for character in shown)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


async def test_one_endless_line_and_one_of_odd_bytes_are_bounded_json(attacker: Attacker) -> None:
    result = await attacker.run("python3 -c \"print('{' * 10**6)\"; printf '\\377\\376\\000broken'")
    bounds = Bounds(result_bytes=20_000, kept_bytes=1_000_000)

    async def keep(data: bytes) -> str:
        return str(len(data))

    bounded = await bounded_result(
        ToolResult(result), bounds, what="shell.run", redactor=Redactor(), keep=keep
    )
    assert bounded.truncated
    assert len(str(bounded.content)) < 40_000


async def test_a_huge_file_is_cut_short(bounded: Bounded, workspace: Path) -> None:
    attacker = bounded(file_bytes=10_000_000)
    await attacker.run(
        "head -c 100000000 /dev/zero > big; head -c 100000000 /dev/zero | dd of=big2 bs=1M; true"
    )
    for name in ("big", "big2"):
        assert (workspace / name).stat().st_size <= 10_000_000
