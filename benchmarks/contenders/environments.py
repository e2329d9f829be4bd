"""Where a peer runs: in this environment when it has the peer (`./x install bench`), else in one made for it.

An environment made for a peer stands in the cache folder under the hash of its lock. It counts as made only once
the peer can be imported from it, so an interrupted installation is begun anew.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

__all__ = ["Absent", "python_with"]

ROOT = Path(__file__).resolve().parents[2]


class Absent(Exception):
    """The peer cannot be run here; the message says why."""


def _checkout_environment() -> ModuleType:
    """Return `.ci/environment.py`, which knows how a checkout finds uv. It is no package, so by its path."""
    spec = importlib.util.spec_from_file_location("checkout_environment", ROOT / ".ci" / "environment.py")
    if spec is None or spec.loader is None:
        raise Absent("this is no checkout: .ci/environment.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _imports(python: Path, modules: Sequence[str]) -> bool:
    command = [str(python), "-c", f"import {', '.join(modules)}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def python_with(modules: Sequence[str], lock: Path, *, cache: Path) -> Path:
    """Return an interpreter that can import `modules`, which `lock` installs.

    Raises:
        Absent: if this environment has none of them and another one cannot be made.
    """
    here = Path(sys.executable)
    if _imports(here, modules):
        return here
    folder = cache / f"mosaic-bench-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    python = folder / "bin" / "python"
    if not _imports(python, modules):
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder, python, lock)
    if not _imports(python, modules):
        raise Absent(f"{lock} does not install {', '.join(modules)}")
    return python


def _make(folder: Path, python: Path, lock: Path) -> None:
    checkout = _checkout_environment()
    try:
        uv = str(checkout.find_uv())
    except checkout.CannotPrepare as problem:
        raise Absent(str(problem)) from problem
    for command in (
        [uv, "venv", "-q", "--no-project", "--python", checkout.base_python(), str(folder)],
        [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(lock)],
    ):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=600, check=False, env=checkout.environment()
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Absent(str(error)) from error
        if done.returncode:
            raise Absent(done.stderr.strip()[-300:])
