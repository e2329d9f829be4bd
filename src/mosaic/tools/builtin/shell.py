"""Running commands in the worktree."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject
from mosaic.engine import Safety
from mosaic.tools.builtin.files import confined
from mosaic.tools.functions import tool
from mosaic.tools.interfaces import Invocation
from mosaic.tools.processes import Finished
from mosaic.tools.sandbox import Job
from mosaic.tools.schemas import COMMAND_TIMEOUT_S, RiskClass, ToolEffect, ToolResult

__all__ = ["command_result", "run_shell"]

# TERM, its grace, KILL, and the rest of its output: the door waits that much longer than the command's time.
_STOP_S = 10.0


async def _preview(invocation: Invocation, arguments: JsonObject) -> JsonObject:
    return {
        "command": arguments.get("command") or arguments.get("argv"),
        "directory": arguments.get("directory", "."),
        "note": await _where(invocation),
    }


async def _where(invocation: Invocation) -> str:
    """Say in which sandbox a command would run, for whoever approves it."""
    network = invocation.commands_have_network
    try:
        sandbox = await invocation.sandboxes.chosen(network=network)
    except MosaicError as error:
        return f"It would be refused. {error.message}"
    if sandbox.name == "off":
        return "It runs without a sandbox: it can do whatever the user can that runs MosAIc."
    doors = invocation.sandboxes.gives_doors(invocation.network, granted=invocation.network_granted)
    reach = "with the network of this machine" if network else "without network"
    reach = "with the model gateway and the tool door for a network" if doors else reach
    return f"It runs in the sandbox {sandbox.name}, {reach}."


@tool(
    name="shell.run",
    risk=RiskClass.GENERATIVE,
    effects=(ToolEffect.READ, ToolEffect.WRITE, ToolEffect.EXEC),
    safety=Safety.UNSAFE,
    timeout_s=COMMAND_TIMEOUT_S,
    stop_s=_STOP_S,
    preview=_preview,
)
async def run_shell(
    invocation: Invocation,
    command: Annotated[str | None, Field(max_length=100_000, description="A line for /bin/sh.")] = None,
    argv: Annotated[
        list[str] | None, Field(min_length=1, description="Program and arguments, without a shell.")
    ] = None,
    directory: Annotated[str, Field(description="Where to run, relative to the worktree.")] = ".",
    timeout_s: Annotated[
        float | None, Field(gt=0, description="Seconds; at most the tool's own limit.")
    ] = None,
) -> ToolResult:
    """Run a command in the worktree and return its exit code and output.

    Give either `command` or `argv`. There is no terminal and no input; the command ends when its time is up.
    Python is the one that runs MosAIc. It runs in a sandbox: files outside the worktree are not there, nor, usually,
    is a network.
    """
    if (command is None) == (argv is None):
        raise InvalidInput("Give either command or argv.")
    files = confined(invocation)
    assert invocation.workspace is not None  # noqa: S101  # confined() has checked it
    assert invocation.scratch is not None  # noqa: S101
    with files.parent(f"{directory}/x"):  # it exists, inside
        pass
    job = Job(
        # After "--" nothing is an option of the shell, whatever the line begins with.
        ("/bin/sh", "-c", "--", command) if command is not None else tuple(argv or ()),
        invocation.scratch,
        invocation.workspace,
        directory=invocation.workspace / directory,
        network=invocation.commands_have_network,
        timeout_s=min(timeout_s or invocation.timeout_s, invocation.timeout_s),
        progress=invocation.progress,
    )
    async with invocation.doors() as doors:
        done = await invocation.sandboxes.run(replace(job, doors=doors))
    return await command_result(invocation, done)


async def command_result(invocation: Invocation, done: Finished) -> ToolResult:
    """Return how a command ended as a result; output that was cut is kept apart, whole."""
    content: JsonObject = {
        "exit_code": done.exit_code,
        "stdout": done.stdout.text,
        "stderr": done.stderr.text,
        "duration_s": round(done.duration_s, 3),
    }
    if done.signal is not None:
        content["signal"] = done.signal
    if done.timed_out:
        content["timed_out"] = True
    blobs: dict[str, str | None] = {}
    for name, captured in (("stdout", done.stdout), ("stderr", done.stderr)):
        if captured.dropped_bytes:
            content[f"{name}_bytes"] = captured.size_bytes
            blobs[name] = await invocation.keep(captured.whole) if captured.whole is not None else None
    if blobs.get("stderr") and blobs.get("stdout"):
        content["stderr_blob"] = blobs["stderr"]
    return ToolResult(
        content,
        is_error=done.exit_code != 0,
        truncated=bool(blobs),
        blob=blobs.get("stdout") or blobs.get("stderr"),
    )
