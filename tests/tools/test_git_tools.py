"""Looking with git executes nothing that the repository names, and changes nothing."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import PermissionDenied, ToolFailed
from mosaic.tools import Invocation
from mosaic.tools.builtin import git_diff, git_log, git_status

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
