"""The environment of a command: what it needs to find programs, and nothing of ours."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["clean_environment", "program_path"]


def program_path(keep_out: Path | None = None) -> str:
    """Return the PATH for commands: this interpreter's programs first, then ours, absolute directories only.

    Args:
        keep_out: a directory whose programs must not be found by name, such as the worktree.
    """
    # Not resolved: the link in a virtual environment is what selects it.
    directories = [str(Path(sys.executable).parent)]
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        inside = keep_out is not None and Path(directory).is_relative_to(keep_out)
        if Path(directory).is_absolute() and not inside and directory not in directories:
            directories.append(directory)
    return os.pathsep.join(directories)


def clean_environment(
    scratch: Path, *, workspace: Path | None = None, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the whole environment of a command; its home and temporary files live in `scratch`.

    Makes the directories. No variable of ours is passed on except the directories of PATH, so no key or token.
    """
    home, temporary = scratch / "home", scratch / "tmp"
    for directory in (home, temporary):
        directory.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": program_path(workspace),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "PYTHONPYCACHEPREFIX": str(scratch / "pycache"),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PAGER": "cat",
        "USER": "mosaic",
        "LOGNAME": "mosaic",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        **(extra or {}),
    }
