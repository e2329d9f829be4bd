"""Runs inside a sandbox and tries what it must not be able to do; a script of its own, standard library only.

Reads one JSON object, prints a line ``reached <what>`` for everything that it could do, the names of its variables,
and ``began memory`` before the last attempt, which may end it.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

_MARGIN = 40
_WAIT_S = 0.5


def main() -> None:
    """Try everything."""
    order: dict[str, Any] = json.load(sys.stdin)
    for name in os.environ:
        _say(f"variable {name}")
    attempts: dict[str, Callable[[dict[str, Any]], bool]] = {
        "writes": _writes,
        "metadata": _metadata,
        "reads": _reads,
        "environment": _environment,
        "git": _git,
        "network": _network,
        "processes": _processes,
    }
    for what, attempt in attempts.items():
        if attempt(order):
            _say(f"reached {what}")
    _say("began memory")
    if _memory(order):
        _say("reached memory")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # that is its task


def _can(attempt: Callable[..., Any], *arguments: Any) -> bool:
    try:
        attempt(*arguments)
    except OSError:
        return False
    return True


def _read(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _write(path: str) -> None:
    with open(path, "a", encoding="ascii") as file:
        file.write("x")


def _writes(order: dict[str, Any]) -> bool:
    return any(_can(_write, os.path.join(order["outside"], name)) for name in ("file", "new"))


def _metadata(order: dict[str, Any]) -> bool:
    return _can(os.chmod, os.path.join(order["outside"], "file"), 0o640)


def _reads(order: dict[str, Any]) -> bool:
    seen, home = _can(_read, os.path.join(order["outside"], "file")), order["home"]
    with contextlib.suppress(OSError):
        # What of it was opened on purpose, such as a Python that lives there, is the only thing in it.
        seen = seen or any(not os.path.isdir(os.path.join(home, name)) for name in os.listdir(home))
    return seen


def _environment(order: dict[str, Any]) -> bool:
    return _can(_read, f"/proc/{order['pid']}/environ")


def _git(order: dict[str, Any]) -> bool:
    git = os.path.join(order["workspace"], ".git")
    written = [_can(_write, os.path.join(git, name)) for name in ("hooks/pre-commit", "config", "new")]
    return any([*written, _can(os.rename, git, f"{git}.moved")])


def _network(order: dict[str, Any]) -> bool:
    reached = _can(socket.create_connection, tuple(order["tcp"]), _WAIT_S)
    # The way to the machine that this one is a guest of: no namespace ends it.
    reached = reached or _can(socket.socket, socket.AF_VSOCK)
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", tuple(order["udp"]))  # who listens tells whether it came
    return reached


def _processes(order: dict[str, Any]) -> bool:
    children = []
    with contextlib.suppress(OSError):
        for _ in range(order["processes"] + _MARGIN):
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children) > int(order["processes"])


def _memory(order: dict[str, Any]) -> bool:
    child = os.fork()
    if child == 0:
        with contextlib.suppress(MemoryError):
            held = bytearray(3 * order["memory_bytes"])
            for place in range(0, len(held), 4096):
                held[place] = 1
            os._exit(7)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


main()
