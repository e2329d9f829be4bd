"""The command tool as an agent sees it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import InvalidInput, NotFound, PermissionDenied
from mosaic.tools import Invocation
from mosaic.tools.builtin import run_shell

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]


async def shell(invocation: Invocation, **arguments: Any) -> Any:
    return (await run_shell.call(invocation, arguments)).content


async def test_a_line_and_an_argument_list_both_run(invocation: Invocation, workspace: Path) -> None:
    (workspace / "sub").mkdir()
    assert (await shell(invocation, command="pwd", directory="sub"))["stdout"] == f"{workspace}/sub\n"
    assert (await shell(invocation, argv=["echo", "$HOME; rm -rf /"]))["stdout"] == "$HOME; rm -rf /\n"


async def test_a_failing_command_is_a_failed_result_with_its_output(invocation: Invocation) -> None:
    result = await run_shell.call(invocation, {"command": "echo why >&2; exit 2"})
    assert result.is_error
    assert (result.content["exit_code"], result.content["stderr"]) == (2, "why\n")  # type: ignore[index,call-overload]


async def test_a_command_that_takes_too_long_tells_what_it_printed(invocation: Invocation) -> None:
    result = await run_shell.call(invocation, {"command": "echo began; sleep 60", "timeout_s": 0.3})
    assert result.is_error
    assert result.content["timed_out"]  # type: ignore[index,call-overload]
    assert result.content["stdout"] == "began\n"  # type: ignore[index,call-overload]


async def test_a_command_gets_no_more_time_than_the_door_gives(invoked: Invoked) -> None:
    result = await run_shell.call(invoked(timeout_s=0.3), {"command": "sleep 60", "timeout_s": 100})
    assert result.content["timed_out"]  # type: ignore[index,call-overload]


async def test_long_output_is_kept_apart_whole(invoked: Invoked) -> None:
    kept: list[bytes] = []

    async def keep(data: bytes) -> str:
        kept.append(data)
        return f"sha256:{len(kept)}"

    result = await run_shell.call(invoked(keep=keep), {"command": "seq 1 50000"})
    assert result.truncated
    assert result.blob == "sha256:1"
    assert kept[0].endswith(b"\n50000\n")
    assert len(str(result.content)) < 40_000


@pytest.mark.parametrize("arguments", [{}, {"command": "a", "argv": ["a"]}])
async def test_exactly_one_command_is_needed(invocation: Invocation, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="either"):
        await run_shell.call(invocation, arguments)


async def test_the_directory_stays_inside(invocation: Invocation, workspace: Path) -> None:
    (workspace / "out").symlink_to("/tmp")
    for directory in ("..", "/tmp", "out"):
        with pytest.raises(PermissionDenied):
            await run_shell.call(invocation, {"command": "pwd", "directory": directory})
    with pytest.raises(NotFound):
        await run_shell.call(invocation, {"command": "pwd", "directory": "absent"})


async def test_a_preview_shows_the_command(invocation: Invocation) -> None:
    shown = await run_shell.preview(invocation, {"command": "rm -rf build"})
    assert shown["command"] == "rm -rf build"
