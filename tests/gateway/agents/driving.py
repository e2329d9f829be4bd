"""Drives a coding agent headless: one task, in a git worktree of its own, with the gateway as its only way out."""

import asyncio
import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Drive", "Finished", "Worktree", "claude_code", "codex"]

# An agent is done in seconds; one that goes on for ever must not.
AGENT_S = 60.0
# Nobody listens there: an agent that calls home gets no answer, wherever the tests run.
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Worktree:
    """A branch of a small repository, checked out beside it.

    Attributes:
        folder: what the agent may change.
        repository: what it must leave alone.
        file: what it is asked to edit.
    """

    folder: Path
    repository: Path
    file: Path

    @classmethod
    def make(cls, root: Path) -> "Worktree":
        """Make the repository and the worktree."""
        repository = root / "repository"
        repository.mkdir(parents=True)
        (repository / "greeting.txt").write_text("Hello\nGood bye\n")
        (repository / "README").write_text("Greetings.\n")
        _git(repository, "init", "-q", "-b", "main")
        _git(repository, "add", ".")
        _git(repository, "commit", "-q", "-m", "Greet")
        folder = root / "worktree"
        _git(repository, "worktree", "add", "-q", "-b", "agent", str(folder))
        return cls(folder, repository, folder / "greeting.txt")

    def changes(self) -> str:
        """What git sees changed in the worktree."""
        return _git(self.folder, "diff", "--unified=0", "--no-color") + _git(
            self.folder, "ls-files", "--others"
        )

    def untouched(self) -> bool:
        """Say whether nothing happened outside of the worktree, and nothing was committed."""
        same = not _git(self.repository, "status", "--porcelain")
        return same and _git(self.repository, "rev-parse", "main") == _git(self.folder, "rev-parse", "agent")


@dataclass(frozen=True)
class Finished:
    """How an agent ended.

    Attributes:
        status: its exit status.
        events: what it told, line by line.
        text: all it wrote.
    """

    status: int
    events: list[dict[str, Any]]
    text: str


@dataclass(frozen=True)
class Drive:
    """A command that runs an agent.

    Attributes:
        command: with its arguments.
        environment: all that the agent sees of ours.
        folder: where it starts.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path

    async def finish(self) -> Finished:
        """Run the agent to its end.

        Raises:
            AssertionError: if it does not come to one; the agent and all that it started are ended.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        told = b""
        try:
            async with asyncio.timeout(AGENT_S):
                while piece := await process.stdout.read(65_536):
                    told += piece
                status = await process.wait()
        except TimeoutError:
            last = told[-4000:].decode(errors="replace")
            raise AssertionError(f"the agent went on for {AGENT_S:.0f} s; last it said: {last}") from None
        finally:
            _end(process.pid)
            await process.wait()
        lines = told.decode(errors="replace").splitlines()
        return Finished(
            status, [json.loads(line) for line in lines if line.startswith("{")], "\n".join(lines)
        )


def claude_code(
    program: Path, worktree: Worktree, home: Path, *, url: str, key: str, model: str, task: str
) -> Drive:
    """Claude Code on a task; edits need no approval."""
    environment = {
        **_environment(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_MODEL": model,
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }
    told = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")
    command = (str(program), "-p", task, *told, "--permission-mode", "acceptEdits")
    return Drive(command, environment, worktree.folder)


def codex(
    program: Path, worktree: Worktree, home: Path, *, url: str, key: str, model: str, task: str
) -> Drive:
    """Codex on a task; it may write in the worktree only."""
    folder = home / "codex"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f"""
model = "{model}"
model_provider = "mosaic"
approval_policy = "never"
check_for_update_on_startup = false
[analytics]
enabled = false
[sandbox_workspace_write]
exclude_slash_tmp = true
exclude_tmpdir_env_var = true
[model_providers.mosaic]
name = "MosAIc"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "MOSAIC_KEY"
requires_openai_auth = false
supports_websockets = false
"""
    )
    environment = {**_environment(home), "CODEX_HOME": str(folder), "MOSAIC_KEY": key}
    # Without a sandbox of its own: which one it uses depends on what the machine has, and the task is ours.
    command = (
        str(program), "exec", "--json", "--sandbox", "danger-full-access", "--cd", str(worktree.folder), task,
    )  # fmt: skip
    return Drive(command, environment, worktree.folder)


def _environment(home: Path) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), _NOWHERE)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        **proxies,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def _end(group: int) -> None:
    """End what the agent left running: it leads a process group of its own."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _git(folder: Path, *args: str) -> str:
    settings = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "core.hooksPath=/dev/null")
    done = subprocess.run(
        ["git", *settings, *args], cwd=folder, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout
