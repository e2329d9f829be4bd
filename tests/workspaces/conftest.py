import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic.workspaces import Workspaces

Run = Callable[..., str]


@pytest.fixture
def git() -> Run:
    """Plain git, as a user has it."""

    def run(*arguments: str, cwd: Path, check: bool = True) -> str:
        environment = {
            **os.environ,
            "GIT_AUTHOR_NAME": "User",
            "GIT_AUTHOR_EMAIL": "user@example.com",
            "GIT_COMMITTER_NAME": "User",
            "GIT_COMMITTER_EMAIL": "user@example.com",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(
            ["git", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"git {shlex.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    return run


@pytest.fixture
def repository(tmp_path: Path, git: Run) -> Path:
    """A user's repository with one commit."""
    root = tmp_path / "project"
    root.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=root)
    (root / "app.py").write_text("print('one')\n")
    (root / "tests").mkdir()
    (root / "tests" / "test_app.py").write_text("def test_it(): pass\n")
    git("add", "--all", cwd=root)
    git("commit", "--quiet", "-m", "first", cwd=root)
    return root


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def workspaces(data_dir: Path) -> Workspaces:
    return Workspaces(data_dir)
