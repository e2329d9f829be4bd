"""Looking at the worktree with git. Agents look; the orchestrator commits."""

import secrets
import shutil
from typing import Annotated

from pydantic import Field

from mosaic.core.errors import ToolFailed, Unavailable
from mosaic.core.git import LIST_CONFIG_KEYS, driver_overrides, git_environment
from mosaic.engine import Safety
from mosaic.tools.builtin.files import confined
from mosaic.tools.functions import tool
from mosaic.tools.interfaces import Invocation
from mosaic.tools.processes import Finished, OutputLimits, confined_to, run_command
from mosaic.tools.processes.environment import program_path
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult

__all__ = ["git_diff", "git_log", "git_status"]

_LIMITS = OutputLimits(head_bytes=60_000, tail_bytes=4_000, spool_bytes=4_000_000)
_REVISION = r"^[A-Za-z0-9_][A-Za-z0-9_./~^@{}-]*$"
Revision = Annotated[str | None, Field(pattern=_REVISION, max_length=200, description="A commit or branch.")]
# Git marks new files in a copy of the index, so that a diff shows them and nothing is changed. Even that makes an
# object, which goes beside the copy.
_DIFF = """
set -e
at() { ( unset GIT_INDEX_FILE; git rev-parse --path-format=absolute --git-path "$1" ) }
index="$(at index)"; objects="$(at objects)"
if [ -f "$index" ]; then cp "$index" "$GIT_INDEX_FILE"; fi
mkdir "$GIT_INDEX_FILE.objects"
export GIT_ALTERNATE_OBJECT_DIRECTORIES="\\"$objects\\"" GIT_OBJECT_DIRECTORY="$GIT_INDEX_FILE.objects"
git add --all --intent-to-add .
exec git "$@"
"""


@tool(
    name="git.status",
    risk=RiskClass.READ_ONLY,
    effects=(ToolEffect.READ,),
    safety=Safety.REPEATABLE,
    retries=True,
)
async def git_status(invocation: Invocation) -> ToolResult:
    """Show the branch and which files of the worktree were changed, added or deleted."""
    done = await _git(invocation, "status", "--short", "--branch", "--untracked-files=all")
    return await _result(invocation, done)


@tool(
    name="git.diff",
    risk=RiskClass.READ_ONLY,
    effects=(ToolEffect.READ,),
    safety=Safety.REPEATABLE,
    retries=True,
)
async def git_diff(
    invocation: Invocation,
    path: Annotated[str | None, Field(description="Only this file or directory.")] = None,
    base: Revision = None,
    summary: Annotated[bool, Field(description="Only the names and counts.")] = False,
) -> ToolResult:
    """Show what changed in the worktree since the last commit (or `base`), new files included."""
    options = ["diff", "--no-ext-diff", "--no-textconv", *(["--stat"] if summary else [])]
    arguments = [*options, "--end-of-options", base or "HEAD", "--", *_pathspec(invocation, path)]
    return await _result(invocation, await _git(invocation, *arguments, with_new_files=True))


@tool(
    name="git.log",
    risk=RiskClass.READ_ONLY,
    effects=(ToolEffect.READ,),
    safety=Safety.REPEATABLE,
    retries=True,
)
async def git_log(
    invocation: Invocation,
    path: Annotated[str | None, Field(description="Only commits that changed this.")] = None,
    revision: Revision = None,
    count: Annotated[int, Field(ge=1, le=200)] = 20,
) -> ToolResult:
    """Show the last commits: id, date, author, subject."""
    shape = "--format=%h %as %an  %s"
    tail = ["--end-of-options", revision or "HEAD", "--", *_pathspec(invocation, path)]
    return await _result(invocation, await _git(invocation, "log", f"--max-count={count}", shape, *tail))


def _pathspec(invocation: Invocation, path: str | None) -> list[str]:
    if path is None:
        return []
    with confined(invocation).parent(path, follow_last=False):
        return [f":(literal){path}"]


async def _git(invocation: Invocation, *arguments: str, with_new_files: bool = False) -> Finished:
    """Run git in the worktree; nothing that the repository's configuration names is executed."""
    confined(invocation)
    workspace, scratch = invocation.workspace, invocation.scratch
    assert workspace is not None  # noqa: S101  # confined() has checked it
    assert scratch is not None  # noqa: S101
    scratch.mkdir(parents=True, exist_ok=True)
    path = program_path(workspace)
    program = shutil.which("git", path=path)
    if program is None:
        raise Unavailable("git is not installed, or not on PATH.", hint="Install git 2.31 or later.")
    environment = git_environment(path)
    listing = await run_command(
        (program, *LIST_CONFIG_KEYS),
        cwd=workspace,
        environment=environment,
        timeout_s=invocation.timeout_s,
        confinement=confined_to(network=False),
        limits=OutputLimits(head_bytes=1_000_000, tail_bytes=0, spool_bytes=0),
    )
    if listing.exit_code != 0 or listing.stdout.dropped_bytes:
        return listing
    index = scratch / f"git-index-{secrets.token_hex(8)}"
    try:
        return await run_command(
            ("/bin/sh", "-c", _DIFF, "git", *arguments) if with_new_files else (program, *arguments),
            cwd=workspace,
            environment=git_environment(
                path,
                overrides=driver_overrides(listing.stdout.raw),
                extra={"GIT_INDEX_FILE": str(index)} if with_new_files else None,
            ),
            timeout_s=invocation.timeout_s,
            confinement=confined_to(scratch, network=False),
            limits=_LIMITS,
        )
    finally:
        index.unlink(missing_ok=True)
        shutil.rmtree(f"{index}.objects", ignore_errors=True)


async def _result(invocation: Invocation, done: Finished) -> ToolResult:
    if done.exit_code != 0:
        said = done.stderr.text.strip() or (
            f"it was ended by {done.signal}" if done.signal else "its time was up"
        )
        raise ToolFailed(f"git: {said[:1_000]}")
    cut = bool(done.stdout.dropped_bytes)
    blob = await invocation.keep(done.stdout.whole) if done.stdout.whole is not None else None
    return ToolResult({"output": done.stdout.text}, truncated=cut, blob=blob)
