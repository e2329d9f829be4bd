"""A repository that names programs runs none of them, whether it came hostile or an agent made it so."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic.core.errors import Conflict, InvalidInput, MosaicError
from mosaic.workspaces import Workspaces

pytestmark = pytest.mark.anyio

Run = Callable[..., str]
HOOKS = [
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "commit-msg"),
    *("prepare-commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push"),
    *("pre-receive", "update", "proc-receive", "post-receive", "post-update", "reference-transaction"),
    *("push-to-checkout", "pre-auto-gc", "post-rewrite", "post-index-change", "fsmonitor-watchman"),
]


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a mark when it is run; the mark's name is the way it was started."""
    marks = tmp_path / "marks"
    marks.mkdir()
    program = tmp_path / "trap"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> "{marks}/$(basename "$0")-$1"\ncat\nexit 0\n')
    program.chmod(0o755)
    return program


def as_an_agent(command: str, directory: Path) -> None:
    """Run git the way an agent's command does: discovering the repository, without our overrides."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *command.split()], cwd=directory, env=environment, check=True, capture_output=True)


def marks(trap: Path) -> list[str]:
    return sorted(file.name for file in (trap.parent / "marks").iterdir())


def arm(git_dir: Path, trap: Path) -> None:
    """Write every program-valued setting and hook that git knows."""
    config = f"""
[core]
    fsmonitor = {trap} fsmonitor
    sshCommand = {trap} ssh
    editor = {trap} editor
    pager = {trap} pager
    askPass = {trap}
    gitProxy = {trap}
    alternateRefsCommand = {trap} alternate
    hooksPath = {git_dir}/armed
    attributesFile = {git_dir}/armed-attributes
[filter "evil"]
    clean = {trap} clean
    smudge = {trap} smudge
    process = {trap} process
    required = true
[filter "a=b"]
    clean = {trap} clean-equals
    smudge = {trap} smudge-equals
[diff]
    external = {trap} external
[diff "evil"]
    textconv = {trap} textconv
    command = {trap} command
[merge "evil"]
    driver = {trap} merge
[gpg]
    program = {trap}
[commit]
    gpgSign = true
[tag]
    gpgSign = true
[log]
    showSignature = true
[trailer "evil"]
    command = {trap} trailer
[credential]
    helper = !{trap} credential
[uploadpack]
    packObjectsHook = {trap} pack
[protocol]
    allow = always
[protocol "ext"]
    allow = always
[remote "origin"]
    url = ext::{trap} remote
    uploadpack = {trap} uploadpack
    promisor = true
    partialCloneFilter = blob:none
[extensions]
    partialClone = origin
    worktreeConfig = true
[alias]
    add = !{trap} alias
[submodule "sub"]
    update = !{trap} submodule
    url = ext::{trap} submodule-url
    active = true
[url "ext::{trap} instead"]
    insteadOf = https://
"""
    with (git_dir / "config").open("a") as file:
        file.write(config)
    (git_dir / "armed-attributes").write_text("* filter=evil diff=evil merge=evil\n")
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    (git_dir / "config.worktree").write_text(f"[core]\n    fsmonitor = {trap} worktree-config\n")
    for directory in (git_dir / "hooks", git_dir / "armed"):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        for hook in HOOKS:
            (directory / hook).symlink_to(trap)


@pytest.fixture
def hostile(repository: Path, trap: Path, git: Run) -> Path:
    (repository / ".gitattributes").write_text("*.py filter=evil diff=evil merge=evil\n*.txt filter=a=b\n")
    (repository / "notes.txt").write_text("notes\n")
    (repository / ".gitmodules").write_text(
        f'[submodule "sub"]\n\tpath = sub\n\turl = ext::{trap} gitmodules\n'
    )
    git("add", "--all", cwd=repository)
    head = git("rev-parse", "HEAD", cwd=repository)
    git("update-index", "--add", "--cacheinfo", f"160000,{head},sub", cwd=repository)
    git("commit", "--quiet", "-m", "armed", cwd=repository)
    arm(repository / ".git", trap)
    return repository


@pytest.mark.parametrize("command", ["status", "diff"])
def test_the_traps_do_work_when_plain_git_is_used(hostile: Path, trap: Path, command: str) -> None:
    """Without this the next tests could pass because nothing was armed."""
    (hostile / "app.py").write_text("changed\n")
    subprocess.run(["git", command], cwd=hostile, capture_output=True, check=False)
    assert marks(trap) != []


async def test_a_whole_run_on_a_hostile_repository_executes_nothing(
    workspaces: Workspaces, hostile: Path, trap: Path
) -> None:
    workspace = await workspaces.prepare("run_1", hostile)
    (workspace.path / "app.py").write_text("print('two')\n")
    (workspace.path / "notes.txt").write_text("two\n")
    (workspace.path / "new.py").write_text("new\n")
    assert "+print('two')" in await workspaces.diff(workspace)
    made = await workspaces.commit(workspace, "Work")
    assert made is not None
    assert set(made.files) == {"app.py", "notes.txt", "new.py"}
    shutil.rmtree(workspace.path)
    await workspaces.ensure(workspace)
    await workspaces.remove(workspace)
    assert marks(trap) == []


async def test_git_in_the_worktree_itself_executes_nothing_that_came_with_the_repository(
    workspaces: Workspaces, hostile: Path, trap: Path
) -> None:
    workspace = await workspaces.prepare("run_1", hostile)
    (workspace.path / "app.py").write_text("changed\n")
    for command in ("status", "diff", "log -p -1", "add -A", "stash list"):
        as_an_agent(command, workspace.path)
    assert marks(trap) == []


async def test_what_an_agent_writes_into_the_repository_it_sees_is_not_executed(
    workspaces: Workspaces, repository: Path, trap: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    arm(workspace.store, trap)
    arm(workspace.store / "worktrees" / "run_1", trap)
    (workspace.path / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (workspace.path / "app.py").write_text("print('two')\n")
    assert "+print('two')" in await workspaces.diff(workspace)
    assert await workspaces.commit(workspace, "Work") is not None
    assert marks(trap) == []


async def test_what_an_agent_writes_into_the_users_repository_is_not_executed_at_hand_over(
    workspaces: Workspaces, repository: Path, trap: Path, git: Run
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    arm(repository / ".git", trap)
    (workspace.path / "new").write_text("x")
    made = await workspaces.commit(workspace, "Work")
    assert made is not None
    assert marks(trap) == []
    assert (repository / ".git" / "refs" / "heads" / "mosaic" / "run_1").read_text().strip() == made.sha


async def test_a_replaced_git_pointer_or_branch_is_refused(
    workspaces: Workspaces, repository: Path, trap: Path, tmp_path: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    pointer = (workspace.path / ".git").read_text()
    fake = tmp_path / "fake"
    shutil.copytree(workspace.store, fake)
    arm(fake, trap)
    (workspace.path / ".git").write_text(f"gitdir: {fake}\n")
    with pytest.raises(Conflict, match="not as it was made"):
        await workspaces.commit(workspace, "Work")
    (workspace.path / ".git").write_text(pointer)
    (workspace.store / "worktrees" / "run_1" / "HEAD").write_text("ref: refs/heads/main\n")
    with pytest.raises(Conflict, match="refs/heads/main"):
        await workspaces.commit(workspace, "Work")
    assert marks(trap) == []


async def test_a_repository_inside_the_worktree_is_refused_and_not_entered(
    workspaces: Workspaces, repository: Path, trap: Path, git: Run
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    inner = workspace.path / "inner"
    inner.mkdir()
    git("init", "--quiet", cwd=inner)
    (inner / "file").write_text("x")
    git("add", "--all", cwd=inner)
    git("commit", "--quiet", "-m", "inner", cwd=inner)
    arm(inner / ".git", trap)
    with pytest.raises(Conflict, match="inner"):
        await workspaces.commit(workspace, "Work")
    shutil.rmtree(inner / ".git")
    assert await workspaces.commit(workspace, "Work") is not None
    assert marks(trap) == []


async def test_an_agents_marks_in_the_index_do_not_hide_its_changes(
    workspaces: Workspaces, repository: Path, git: Run
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    git("update-index", "--assume-unchanged", "app.py", cwd=workspace.path)
    git("update-index", "--skip-worktree", "tests/test_app.py", cwd=workspace.path)
    (workspace.path / "app.py").write_text("hidden\n")
    (workspace.path / "tests" / "test_app.py").write_text("hidden\n")
    made = await workspaces.commit(workspace, "Work")
    assert made is not None
    assert set(made.files) == {"app.py", "tests/test_app.py"}


async def test_commits_an_agent_made_itself_are_not_history(
    workspaces: Workspaces, repository: Path, git: Run
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "new").write_text("x")
    git("add", "--all", cwd=workspace.path)
    git("commit", "--quiet", "-m", "by the agent", cwd=workspace.path)
    made = await workspaces.commit(workspace, "By the orchestrator")
    assert made is not None
    assert made.files == ("new",)
    assert git("log", "--format=%s", "main..mosaic/run_1", cwd=repository) == "By the orchestrator"


async def test_a_git_file_that_points_into_somebody_elses_repository_is_refused(
    workspaces: Workspaces, repository: Path, tmp_path: Path
) -> None:
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / ".git").write_text(f"gitdir: {repository}/.git\n")
    with pytest.raises(InvalidInput, match="belongs to another directory"):
        await workspaces.prepare("run_1", planted)
    (planted / ".git").unlink()
    shutil.copytree(repository / ".git", planted / ".git")
    (planted / ".git" / "commondir").write_text(f"{repository}/.git\n")
    with pytest.raises(InvalidInput, match="part of another repository"):
        await workspaces.prepare("run_1", planted)


async def test_a_configuration_that_includes_a_pipe_does_not_hang_us(
    data_dir: Path, repository: Path, tmp_path: Path
) -> None:
    from mosaic.workspaces import WorkspaceSettings

    os.mkfifo(tmp_path / "pipe")
    with (repository / ".git" / "config").open("a") as file:
        file.write(f"[include]\n    path = {tmp_path}/pipe\n")
    with pytest.raises(MosaicError, match="took longer than 1 s"):
        await Workspaces(data_dir, WorkspaceSettings(git_timeout_s=1)).prepare("run_1", repository)


async def test_links_in_the_data_directory_are_not_followed(tmp_path: Path, repository: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    data.mkdir()
    outside.mkdir()
    (data / "workspaces").symlink_to(outside)
    with pytest.raises(InvalidInput, match="leads out of the data directory"):
        await Workspaces(data).prepare("run_1", repository)
    assert list(outside.iterdir()) == []


async def test_a_worktree_full_of_links_is_removed_without_following_them(
    workspaces: Workspaces, repository: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o755)
    (precious / "file").write_text("keep")
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "link").symlink_to(precious)
    shutil.rmtree(workspace.scratch)
    workspace.scratch.symlink_to(precious)
    await workspaces.remove(workspace)
    assert (precious / "file").read_text() == "keep"
    assert stat.S_IMODE(precious.stat().st_mode) == 0o755
