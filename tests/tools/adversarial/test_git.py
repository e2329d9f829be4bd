"""Hooks and configuration of git: a command writes none, and what it could write executes nothing of ours."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mosaic.tools import Hold
from mosaic.tools.builtin import git_diff, git_log, git_status
from mosaic.workspaces import Workspaces
from tests.tools.adversarial.conftest import Attacker
from tests.tools.sandbox.drivers import driver

pytestmark = pytest.mark.anyio

ATTACK = """
    for g in .git "$(git rev-parse --git-dir)" "$(git rev-parse --git-common-dir)"; do
        for h in pre-commit post-checkout post-commit reference-transaction post-index-change fsmonitor-watchman; do
            mkdir -p "$g/hooks"; printf '#!/bin/sh\\ntouch {planted}\\n' > "$g/hooks/$h"; chmod +x "$g/hooks/$h"
        done
        printf '[core]\\n\\tfsmonitor = touch {planted}\\n\\thooksPath = evil\\n[alias]\\n\\tstatus = !touch {planted}\\n' >> "$g/config"
        printf '[diff "x"]\\n\\ttextconv = touch {planted};\\n' > "$g/config.worktree"; echo '* diff=x filter=x' > "$g/info/attributes"
    done
    git config core.fsmonitor 'touch {planted}'; git config --worktree core.sshCommand 'touch {planted}'
    git config filter.x.clean 'touch {planted}'; git config core.hooksPath evil
    mkdir -p evil; cp /bin/sh evil/pre-commit; printf '* filter=x diff=x\\n' > .gitattributes; echo changed > a
    mv .git .moved && cp -r .moved .git; rm -rf .git; ln -s evil .git; true
"""


def git(place: Path, *arguments: str) -> str:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(place), *arguments]
    return subprocess.run(run, check=True, capture_output=True, text=True).stdout


def state(*places: Path) -> dict[str, bytes]:
    """Everything that git would follow or execute."""
    found = {}
    for place in places:
        for top, directories, names in os.walk(place):
            directories[:] = [name for name in directories if name not in ("objects", "refs", "logs")]
            for name in names:
                if (
                    name in ("config", "config.worktree", "attributes", "commondir", "gitdir", "alternates")
                    or "hooks" in top
                ):
                    found[os.path.join(top, name)] = Path(top, name).read_bytes()
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    made.mkdir()
    (made / "a").write_text("a\n")
    git(made, "init", "-q")
    git(made, "add", "-A")
    git(made, "commit", "-qm", "first")
    return made


async def test_a_runs_worktree(attacker: Attacker, source: Path, tmp_path: Path) -> None:
    name = attacker.invocation.sandboxes.settings.driver
    await driver(name, Hold.GIT)
    planted = tmp_path / "planted"
    workspaces = Workspaces(tmp_path / "data")
    made = await workspaces.prepare("run_9", source)
    before = state(source / ".git", made.store, made.path / ".git"), (made.path / ".git").read_bytes()
    inside = replace(attacker.invocation, workspace=made.path)
    assert inside.scratch is not None
    inside.scratch.mkdir(exist_ok=True)
    await Attacker(inside).run(ATTACK.replace("{planted}", str(planted)))
    assert (
        state(source / ".git", made.store, made.path / ".git"),
        (made.path / ".git").read_bytes(),
    ) == before
    for tool in (git_status, git_diff, git_log):
        await tool.call(inside, {})
    committed = await workspaces.commit(made, "Ours")
    assert committed is not None
    assert not planted.exists()


async def test_a_repository_of_its_own(attacker: Attacker, workspace: Path, tmp_path: Path) -> None:
    name = attacker.invocation.sandboxes.settings.driver
    await driver(name, Hold.GIT)
    planted = tmp_path / "planted"
    (workspace / "a").write_text("a\n")
    git(workspace, "init", "-q")
    git(workspace, "add", "-A")
    git(workspace, "commit", "-qm", "first")
    before = state(workspace / ".git")
    await attacker.run(ATTACK.replace("{planted}", str(planted)))
    assert state(workspace / ".git") == before
    for tool in (git_status, git_diff, git_log):
        await tool.call(attacker.invocation, {})
    # What is in the worktree, such as attributes, names nothing that the untouched configuration knows.
    git(workspace, "status")
    assert not planted.exists()
