"""Control groups for one command: made before it, left by it, removed after it.

A group is ``{"path": ..., "values": {file: text}}``. The kernel's two versions differ in the names of the files only.
"""

import contextlib
import os
import time
from typing import Any

_REMOVE_S = 2.0


def open_groups(groups: list[dict[str, Any]]) -> None:
    """Make the groups and set their limits."""
    for group in groups:
        os.mkdir(group["path"])
        for name, text in group["values"].items():
            _write(os.path.join(group["path"], name), text)


def join_groups(groups: list[dict[str, Any]]) -> None:
    """Put this process, and whatever it starts from now on, into the groups."""
    for group in groups:
        _write(os.path.join(group["path"], "cgroup.procs"), "0")


def stop_forking(groups: list[dict[str, Any]]) -> None:
    """Let nobody in the groups start another process: what is killed then stays dead."""
    for group in groups:
        if "pids.max" in group["values"]:
            with contextlib.suppress(OSError):
                _write(os.path.join(group["path"], "pids.max"), "0")


def close_groups(groups: list[dict[str, Any]]) -> None:
    """Remove the groups; the kernel may need a moment to let go of the dead."""
    end = time.monotonic() + _REMOVE_S
    for group in groups:
        while True:
            try:
                os.rmdir(group["path"])
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > end:
                    break
                time.sleep(0.002)
            else:
                break


def _write(path: str, text: str) -> None:
    # One write, no creation: a limit that this kernel does not have must not become a file.
    opened = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(opened, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(opened)
