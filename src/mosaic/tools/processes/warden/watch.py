"""Starts the command and watches over it until it, and everything it started, is gone."""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from .become import become
from .groups import close_groups, open_groups, stop_forking

_PR_SET_CHILD_SUBREAPER = 36
_POLL_MS = 20
_GIVE_UP_S = 5.0


def main() -> None:
    """Run what the socket says and watch over it."""
    control = socket.socket(fileno=int(sys.argv[1]))
    line = control.makefile("rb").readline()
    if not line:
        return  # whoever wanted something is gone
    order: dict[str, Any] = json.loads(line)
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    failure_read, failure_write = os.pipe()
    groups = order.get("groups", [])
    try:
        open_groups(groups)
    except OSError as error:
        close_groups(groups)
        _let_go_of_the_output()
        _tell(control, {"failed": "limit", "message": f"{error.filename}: {error.strerror}"})
        return
    child = os.fork()
    if child == 0:
        become(order, libc, control.fileno(), failure_write)
    os.close(failure_write)
    _let_go_of_the_output()
    if failure := os.read(failure_read, 4096):
        os.waitpid(child, 0)
        close_groups(groups)
        _tell(control, json.loads(failure))
        return
    _tell(control, {"pid": child})
    status = _watch(child, control, wake_read, order)
    stop_forking(groups)
    _kill_descendants()
    close_groups(groups)
    _tell(control, {"exit_code": os.waitstatus_to_exitcode(status)})


def _let_go_of_the_output() -> None:
    """Only the command may hold its pipes: their end is then its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _watch(child: int, control: socket.socket, wake: int, order: dict[str, Any]) -> int:
    """Wait for the command's end, or make it end; returns its wait status."""
    poll = select.poll()
    poll.register(control, select.POLLIN | select.POLLHUP)
    poll.register(wake, select.POLLIN)
    deadline: float | None = None
    while True:
        status = _reap(child)
        if status is not None:
            return status
        if deadline is not None and time.monotonic() > deadline:
            stop_forking(order.get("groups", []))
            # A wrapper's own process goes last: it tells how the command ended.
            _kill_descendants(but=child)
            if not order.get("wrapped") or time.monotonic() > deadline + 1:
                _signal_group(child, signal.SIGKILL)
        for number, _ in poll.poll(_POLL_MS if deadline is not None else None):
            if number == wake:
                os.read(wake, 4096)
            else:
                poll.unregister(control)
                _ask_to_stop(child, wrapped=bool(order.get("wrapped")))
                deadline = time.monotonic() + float(order["grace_s"])


def _ask_to_stop(child: int, *, wrapped: bool) -> None:
    """Send TERM: to the command's group, or, inside a wrapper, to everything but the wrapper itself."""
    if not wrapped:
        _signal_group(child, signal.SIGTERM)
        return
    for pid in _descendants():
        if pid != child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)


def _reap(child: int) -> int | None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == child:
            return status
        if pid == 0:
            return None


def _kill_descendants(*, but: int = 0) -> None:
    """Kill everything below us, round after round: a killed parent's children become ours."""
    end = time.monotonic() + _GIVE_UP_S
    while (found := [pid for pid in _descendants() if pid != but]) and time.monotonic() < end:
        for stop in (signal.SIGSTOP, signal.SIGKILL):  # first stopped, so that none forks away meanwhile
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, stop)
        if but:
            return
        for _ in found:
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
        time.sleep(0.002)


def _descendants() -> list[int]:
    """Return the ids of all processes below this one, dead ones excepted."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            # A dead one may still have children that live: a process that is traced, or a thread's leader.
            children.setdefault(int(parent), []).append(
                int(name) if state not in (b"Z", b"X") else -int(name)
            )
    below, level = [], [os.getpid()]
    while level:
        found = [pid for parent in level for pid in children.get(parent, ())]
        below += [pid for pid in found if pid > 0]
        level = [abs(pid) for pid in found]
    return below


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody is there any more
        control.sendall(json.dumps(message).encode() + b"\n")
