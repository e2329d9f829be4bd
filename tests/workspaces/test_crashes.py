"""Killed at any moment, a workspace comes back whole."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic.core.errors import Locked
from mosaic.workspaces import Workspace, Workspaces, WorkspaceSettings

pytestmark = pytest.mark.anyio

Run = Callable[..., str]

WORKER = """
import asyncio, sys
from pathlib import Path
from mosaic.workspaces import Workspaces

async def main(data, source, run, steps):
    workspaces = Workspaces(Path(data))
    workspace = await workspaces.prepare(run, Path(source))
    record = Path(data) / "record"  # what the engine's journal is in real life
    for step in range(len(record.read_text()) if record.exists() else 0, int(steps)):
        (workspace.path / f"step{step}").write_text("done\\n")
        made = await workspaces.commit(workspace, f"Step {step}", key=f"{run}/{step}")
        assert made is not None, step
        with record.open("a") as file:
            file.write(".")

asyncio.run(main(*sys.argv[1:]))
"""


def start(data_dir: Path, source: Path, run: str, steps: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(data_dir), str(source), run, str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def first_line_as_number(code: str) -> int:
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        process.wait(30)
    return number


@pytest.mark.parametrize("kind", ["repository", "directory"])
async def test_killed_at_random_moments_the_work_ends_as_if_undisturbed(
    data_dir: Path, repository: Path, tmp_path: Path, git: Run, kind: str
) -> None:
    source = repository
    if kind == "directory":
        source = tmp_path / "plain"
        source.mkdir()
        for number in range(200):
            (source / f"file{number}").write_text(f"{number}\n")
    chance, steps = random.Random(7), 3
    for _ in range(12):
        process = start(data_dir, source, "run_1", steps)
        try:
            await asyncio.to_thread(process.wait, chance.uniform(0.15, 0.6))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(data_dir, source, "run_1", steps)
    _, problems = await asyncio.to_thread(last.communicate, timeout=60)
    assert last.returncode == 0, problems
    workspace = await Workspaces(data_dir).prepare("run_1", source)
    subjects = git("log", "--format=%s", f"{workspace.base_commit}..mosaic/run_1", cwd=workspace.repository)
    assert subjects.split("\n") == ["Step 2", "Step 1", "Step 0"], "every step once, none lost, none twice"
    assert git("status", "--porcelain", cwd=workspace.path) == ""
    git("fsck", "--strict", "--no-dangling", cwd=workspace.repository)


async def test_a_half_made_worktree_is_made_anew(
    workspaces: Workspaces, data_dir: Path, repository: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    admin = workspace.store / "worktrees" / "run_1"
    # As `git worktree add` leaves it when it is killed: locked, some files out, not marked whole.
    (admin / "mosaic-whole").unlink()
    (admin / "locked").write_text("initializing")
    (admin / "index.lock").touch()
    (workspace.path / "app.py").write_text("half")
    assert await Workspaces(data_dir).prepare("run_1", repository) == workspace
    assert (workspace.path / "app.py").read_text() == "print('one')\n"


async def test_stale_lock_files_of_a_killed_git_do_not_stop_a_commit(
    workspaces: Workspaces, data_dir: Path, repository: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "new").write_text("x")
    (workspace.store / "worktrees" / "run_1" / "index.lock").touch()
    (data_dir / "workspaces" / "run_1.index.lock").touch()
    for git_dir in (workspace.store, repository / ".git"):
        (git_dir / "refs" / "heads" / "mosaic" / "run_1.lock").touch()
    assert await workspaces.commit(workspace, "Work") is not None


async def test_a_git_that_outlives_its_killed_parent_keeps_the_lock_until_it_ends(
    data_dir: Path, repository: Path
) -> None:
    """The child inherits the lock: nobody else works on the files while it still writes."""
    workspaces = Workspaces(data_dir, WorkspaceSettings(lock_timeout_s=0.3))
    workspace = await workspaces.prepare("run_1", repository)
    code = f"""
import asyncio, os, signal, subprocess
from pathlib import Path
from mosaic.workspaces.locking import file_lock
async def main():
    async with file_lock(Path({str(data_dir / "workspaces" / "run_1.lock")!r}), timeout_s=5) as held:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(held,), start_new_session=True)
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    child = first_line_as_number(code)
    try:
        with pytest.raises(Locked, match="Another process"):
            await workspaces.commit(workspace, "Work")
    finally:
        os.kill(child, signal.SIGKILL)
    later = Workspaces(data_dir, WorkspaceSettings(lock_timeout_s=10))
    assert await later.commit(workspace, "Work") is None


async def test_a_cancelled_commit_leaves_no_git_behind_and_can_be_repeated(
    workspaces: Workspaces, repository: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "big").write_bytes(os.urandom(30_000_000))
    task = asyncio.create_task(workspaces.commit(workspace, "Work"))
    index = workspace.path.parent / "run_1.index.lock"
    async with asyncio.timeout(20):
        while not index.exists() and not task.done():  # noqa: ASYNC110  # git makes it, not we
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert json.loads((workspace.path.parent / "run_1.json").read_text())["tip"] == workspace.base_commit
    made = await workspaces.commit(Workspace.from_json(workspace.to_json()), "Work")
    assert made is not None
    assert made.files == ("big",)
