"""Installs MCP servers of other people: the versions of the locks beside this file, once, outside the repository.

They stand in the folder of what outlives a test session, see `tests.gateway.agents.installation`.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.agents.installation import NotInstalled, _npm, cache

__all__ = ["Servers", "installed"]

FOLDER = Path(__file__).parent
INSTALL_S = 300.0


@dataclass(frozen=True)
class Servers:
    """What starts each server; arguments follow."""

    filesystem: tuple[str, ...]
    git: tuple[str, ...]
    time: tuple[str, ...]


def installed() -> Servers:
    """Return the servers, installing them first where that has not been done.

    Raises:
        NotInstalled: if it cannot be done.
    """
    node = _prepared("mcp-npm", ("package-lock.json", "package.json"), _install_npm)
    python = _prepared("mcp-pypi", ("requirements.txt",), _install_pypi)
    program = node / "node_modules" / "@modelcontextprotocol" / "server-filesystem" / "dist" / "index.js"
    return Servers(
        filesystem=(_node(), str(program)),
        git=(str(python / "bin" / "mcp-server-git"),),
        time=(str(python / "bin" / "mcp-server-time"),),
    )


def _node() -> str:
    npm = _npm()[0]
    return npm if Path(npm).name == "node" else str(shutil.which("node") or Path(npm).with_name("node"))


def _prepared(name: str, locks: Sequence[str], install: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(b"".join((FOLDER / lock).read_bytes() for lock in locks)).hexdigest()[:16]
    folder = cache() / f"{name}-{digest}"
    with _alone(folder.with_suffix(".lock")):  # workers and checkouts share it
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install(folder)
            (folder / "complete").touch()
    return folder


def _install_npm(folder: Path) -> None:
    for manifest in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / manifest, folder)
    _run([*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)


def _install_pypi(folder: Path) -> None:
    # Scripts name their interpreter by its path: the folder cannot be moved afterwards.
    _run([sys.executable, "-m", "venv", str(folder)], folder)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "-r", str(FOLDER / "requirements.txt")], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    with tempfile.TemporaryFile("w+") as said:
        try:
            code = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=INSTALL_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"{command[0]} did not finish in {INSTALL_S:.0f} s") from None
        said.seek(0)
        text = said.read()[-1_500:].strip()
    if code != 0:
        raise NotInstalled(
            f"MCP servers that these tests drive could not be installed: {text}\nThe tests need the registries once; "
            "afterwards the folder that MOSAIC_TEST_CACHE names, or ~/.cache/mosaic-tests, has them."
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
