"""What every driver does: starts, feeds, bounds and ends commands."""

import asyncio
import contextlib
import json

from mosaic.tools.processes import OutputLimits
from mosaic.tools.sandbox.conformance.grounds import Grounds, alive, check, must
from mosaic.tools.sandbox.schemas import Limits

__all__: list[str] = []


@check()
async def tells_status_output_and_errors_apart(on: Grounds) -> None:
    """An exit status, both streams, and nothing of ours among them."""
    done = await on.sh("echo out; echo err >&2; exit 3")
    must(done.exit_code == 3, f"exit status 3 came as {done.exit_code}")
    must((done.stdout.text, done.stderr.text) == ("out\n", "err\n"), "the streams came mixed, or with more")


@check()
async def works_on_the_worktree(on: Grounds) -> None:
    """What the worktree holds is there; what a command leaves in it stays."""
    (on.workspace / "given").write_text("given")
    done = await on.sh("cat given && mkdir -p made && echo made > made/file")
    must(done.stdout.text == "given", f"the worktree's file was not there: {done.stderr.text[:200]}")
    must((on.workspace / "made" / "file").read_text() == "made\n", "what was written is gone")


@check()
async def passes_arguments_as_they_are(on: Grounds) -> None:
    """No argument is taken for an option or read by a shell on its way."""
    odd = [
        "--",
        "-rf",
        "--help",
        "",
        " ",
        "a b",
        "$(touch planted)",
        "`id`",
        "; id",
        "'\"\\",
        "*",
        "\n",
        "é",
        "-",
    ]
    done = await on.python("import json, sys; print(json.dumps(sys.argv[1:]))", *odd)
    must(json.loads(done.stdout.text) == odd, f"the arguments came as {done.stdout.text[:300]}")
    must(not (on.workspace / "planted").exists(), "an argument was executed")


@check()
async def feeds_input_and_closes_it(on: Grounds) -> None:
    """Standard input is what was given; without any it is empty."""
    done = await on.sh("wc -c", stdin=b"x" * 300_000)
    must(done.stdout.text.strip() == "300000", "input was lost")
    must((await on.sh("cat; echo end")).stdout.text == "end\n", "input stayed open")


@check()
async def bounds_output(on: Grounds) -> None:
    """A flood of output costs its bound; the beginning and the end are kept, the rest is counted."""
    limits = OutputLimits(head_bytes=1_000, tail_bytes=1_000, spool_bytes=10_000)
    flood = "echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last"
    done = await on.sh(flood, output=limits)
    out = done.stdout
    must(out.size_bytes == 50_000_012 and len(out.text) < 3_000, f"{len(out.text)} of {out.size_bytes} kept")
    must(out.text.startswith("first") and out.text.endswith("last\n"), "head or tail is missing")
    must(out.whole is None or len(out.whole) <= 10_000, "the spool has no bound")


@check()
async def keeps_binary_output_and_terminal_commands_out(on: Grounds) -> None:
    """What is no text is named, not shown; what steers a terminal is taken out."""
    done = await on.python(
        r"import sys; sys.stdout.buffer.write(bytes(range(256)) * 40); sys.stderr.write('\x1b]0;t\x07red')"
    )
    must("\0" not in done.stdout.text and "binary" in done.stdout.text, "binary output came through")
    must(done.stderr.text == "red", f"terminal commands came through: {done.stderr.text!r}")


@check(local=True)
async def ends_in_time_with_everything_it_started(on: Grounds) -> None:
    """When its time is up a command is gone, with children that detached themselves or ignore signals."""
    script = 'trap "" TERM; (setsid sh -c \'trap "" TERM; sleep "$0"\' "$1" &); echo began; sleep "$1"'
    done = await on.sh(script, on.marker, timeout_s=0.7)
    must(done.timed_out and done.stdout.text == "began\n", f"{done.exit_code}, {done.stdout.text!r}")
    must(not alive(on.marker), "a process outlived the command")


@check(local=True)
async def asks_before_it_kills(on: Grounds) -> None:
    """TERM comes first, so that a command can clean up."""
    script = "trap 'echo cleaned > cleaned; exit 0' TERM; echo began; while :; do sleep 0.05; done"
    await on.sh(script, timeout_s=0.7)
    must((on.workspace / "cleaned").exists(), "it was killed without being asked")


@check(local=True)
async def ends_what_a_command_leaves_behind(on: Grounds) -> None:
    """A process in the background ends with its command."""
    await on.sh('setsid sleep "$1" & sleep "$1" & exit 0', on.marker)
    must(not alive(on.marker), "a process stayed behind")


@check(local=True)
async def ends_when_it_is_cancelled(on: Grounds) -> None:
    """When the cancellation is through, nothing runs any more."""
    task = asyncio.create_task(on.sh('setsid sleep "$1" & sleep "$1"', on.marker))
    async with asyncio.timeout(20):
        while not alive(on.marker):  # noqa: ASYNC110  # another process begins, no task of ours
            await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    must(not alive(on.marker), "it runs on")


@check(local=True)
async def bounds_files(on: Grounds) -> None:
    """No file becomes larger than its limit."""
    await on.sh("head -c 5000000 /dev/zero > big", limits=Limits(file_bytes=1_000_000))
    must((on.workspace / "big").stat().st_size <= 1_000_000, "the file is larger")
