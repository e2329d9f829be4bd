"""Looking with git executes nothing that the repository names, and changes nothing."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import PermissionDenied, ToolFailed
from mosaic.tools import Invocation
from mosaic.tools.builtin import git_diff, git_log, git_status, run_shell
from mosaic.workspaces import Workspaces

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]


def git(workspace: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "A", f"GIT_{who}_EMAIL": "a@example.com"}
    done = subprocess.run(
        ["git", *arguments], cwd=workspace, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def plain_diff(workspace: Path) -> None:
    subprocess.run(["git", "diff"], cwd=workspace, capture_output=True, check=False)


@pytest.fixture
def repository(workspace: Path) -> Path:
    git(workspace, "init", "--quiet", "--initial-branch=main")
    (workspace / "app.py").write_text("one\n")
    (workspace / "old").write_text("old\n")
    git(workspace, "add", "--all")
    git(workspace, "commit", "--quiet", "-m", "first")
    (workspace / "app.py").write_text("two two\n")
    (workspace / "new").write_text("new\n")
    (workspace / "old").unlink()
    return workspace


async def output(tool: Any, invocation: Invocation, **arguments: Any) -> str:
    return str((await tool.call(invocation, arguments)).content["output"])


async def test_status_diff_and_log_show_the_work(invocation: Invocation, repository: Path) -> None:
    before = git(repository, "status", "--porcelain")
    status = await output(git_status, invocation)
    assert status.splitlines() == ["## main", " M app.py", " D old", "?? new"]
    diff = await output(git_diff, invocation)
    assert "-one\n+two two\n" in diff
    assert "+new\n" in diff, "new files are part of a diff"
    assert "-old\n" in diff
    assert "app.py" not in await output(git_diff, invocation, path="new")
    assert "3 files changed" in await output(git_diff, invocation, summary=True)
    assert (await output(git_log, invocation)).endswith("A  first\n")
    assert git(repository, "status", "--porcelain") == before, "the index is as it was"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ".git/config", ":(top)x/../.."])
async def test_paths_stay_inside(invocation: Invocation, path: str) -> None:
    with pytest.raises(PermissionDenied):
        await git_diff.call(invocation, {"path": path})


@pytest.mark.usefixtures("repository")
async def test_a_revision_that_is_none_is_a_clear_failure(invocation: Invocation) -> None:
    with pytest.raises(ToolFailed, match="nowhere"):
        await git_diff.call(invocation, {"base": "nowhere"})


async def test_without_a_repository_git_says_so(invocation: Invocation) -> None:
    with pytest.raises(ToolFailed, match="not a git repository"):
        await git_status.call(invocation, {})


async def test_a_hostile_configuration_executes_nothing(
    invocation: Invocation, repository: Path, tmp_path: Path
) -> None:
    marks = repository / "marks"
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\ntouch "{marks}"\ncat\n')
    trap.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    for key in (
        *("core.fsmonitor", "core.pager", "core.sshCommand", "diff.external", "core.alternateRefsCommand"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "filter.a=b.clean"),
        *("diff.evil.textconv", "diff.evil.command", "gpg.program", "interactive.diffFilter"),
    ):
        git(repository, "config", key, str(trap))
    for switch in ("filter.evil.required", "log.showSignature"):
        git(repository, "config", switch, "true")
    for hook in ("post-index-change", "pre-commit", "reference-transaction"):
        (repository / ".git" / "hooks" / hook).symlink_to(trap)
    plain_diff(repository)
    assert marks.exists(), "the traps do work when plain git is used"
    marks.unlink()
    assert "+two" in await output(git_diff, invocation)
    await output(git_status, invocation)
    await output(git_log, invocation)
    assert not marks.exists()


async def test_a_long_diff_is_cut_and_kept(invoked: Invoked, repository: Path) -> None:
    (repository / "big").write_text("".join(f"line {number}\n" for number in range(50_000)))
    kept: list[bytes] = []

    async def keep(data: bytes) -> str:
        kept.append(data)
        return "sha256:x"

    result = await git_diff.call(invoked(keep=keep), {})
    assert result.truncated
    assert result.blob == "sha256:x"
    assert b"+line 49999" in kept[0]


async def test_in_a_runs_own_worktree_git_looks_and_cannot_commit(
    invoked: Invoked, repository: Path, tmp_path: Path
) -> None:
    """The worktree hangs on a repository of ours, which hangs on the user's."""
    git(repository, "checkout", "--quiet", "--", ".")
    workspaces = Workspaces(tmp_path / "data")
    made = await workspaces.prepare("run_9", repository)
    (made.path / "app.py").write_text("changed here\n")
    (made.path / "fresh").write_text("fresh\n")
    invocation = invoked(workspace=made.path)
    assert (await output(git_status, invocation)).splitlines() == ["## mosaic/run_9", " M app.py", "?? fresh"]
    diff = await output(git_diff, invocation)
    assert "+changed here\n" in diff
    assert "+fresh\n" in diff
    assert "first" in await output(git_log, invocation)
    tried = await run_shell.call(
        invocation, {"command": "git status --short; git add -A; git commit -m mine"}
    )
    assert " M app.py" in tried.content["stdout"]  # type: ignore[index,call-overload]
    # Landlock denies it, a file system of the sandbox cannot be written.
    said = tried.content["stderr"]  # type: ignore[index,call-overload]
    assert "Permission denied" in said or "Read-only file system" in said
    committed = await workspaces.commit(made, "Ours")
    assert committed is not None
    assert set(committed.files) == {"app.py", "fresh"}
    assert await output(git_diff, invocation) == ""
    assert "Ours" in await output(git_log, invocation, count=1)
    assert "+changed here" in await output(git_diff, invocation, base="HEAD~1")
