"""The process between us and a command: it sees to it that the command and all its children end.

Started as a script with one argument, the number of a connected socket. Over the socket it gets one line of JSON
(what to run), sends one line when the program is started and one when it has ended. When the socket closes or
anything arrives on it, the command must stop: TERM to its process group, a grace, then KILL to every descendant.
The socket closes also when the process that holds its other end is killed, so nothing survives that process. As
a "child subreaper" the warden inherits children that detach themselves, and finds them too.

It imports nothing of MosAIc and no third party: it starts in milliseconds and runs under ``python -I -S``.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_POLL_MS = 20
_GIVE_UP_S = 5.0

# Landlock, see linux/landlock.h: system call numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_WRITE_FILE, _TRUNCATE, _REFER, _CONNECT_TCP = 1 << 1, 1 << 14, 1 << 13, 1 << 1
_CHANGES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
_SCOPE_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11


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
    child = os.fork()
    if child == 0:
        _become(order, libc, control.fileno(), failure_write)
    os.close(failure_write)
    _let_go_of_the_output()
    if failure := os.read(failure_read, 4096):
        os.waitpid(child, 0)
        _tell(control, json.loads(failure))
        return
    _tell(control, {"pid": child})
    status = _watch(child, control, wake_read, float(order["grace_s"]))
    _kill_descendants()
    _tell(control, {"exit_code": os.waitstatus_to_exitcode(status)})


def _become(order: dict[str, Any], libc: Any, control: int, failure: int) -> NoReturn:
    """Turn this child into the command."""
    step = "start"
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.close(control)
        if sys.platform == "linux":
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            _prefer_for_oom()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        step = "enter"
        os.chdir(order["cwd"])
        if order["writable"] is not None:
            step = "confine"
            confine(libc, order["writable"], network=order["network"])
        step = "start"
        os.execvpe(order["argv"][0], order["argv"], order["environment"])  # noqa: S606  # that is our task
    except OSError as error:
        message = {"failed": step, "errno": error.errno or 0, "message": error.strerror or str(error)}
        os.write(failure, json.dumps(message).encode())
    os._exit(127)


def _let_go_of_the_output() -> None:
    """Only the command may hold its pipes: their end is then its end."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)


def _prefer_for_oom() -> None:
    """When memory runs out, the command goes before we do."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("800")


def _watch(child: int, control: socket.socket, wake: int, grace_s: float) -> int:
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
            _signal_group(child, signal.SIGKILL)
            _kill_descendants(but=child)
        for number, _ in poll.poll(_POLL_MS if deadline is not None else None):
            if number == wake:
                os.read(wake, 4096)
            else:
                poll.unregister(control)
                _signal_group(child, signal.SIGTERM)
                deadline = time.monotonic() + grace_s


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
    parents: dict[int, int] = {}
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
            if state not in (b"Z", b"X"):
                parents[int(name)] = int(parent)
    below, level = [], [os.getpid()]
    while level:
        level = [pid for pid, parent in parents.items() if parent in level]
        below += level
    return below


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody is there any more
        control.sendall(json.dumps(message).encode() + b"\n")


def landlock_version(libc: Any) -> int:
    """Return the kernel's Landlock version; 0 when it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def confine(libc: Any, writable: list[str], *, network: bool) -> None:
    """Take from this process, for ever, the right to change files outside `writable`, and to signal outsiders.

    Without `network` it cannot open TCP connections either. A kernel that cannot do a part of it leaves that out.
    """
    version = landlock_version(libc)
    if version == 0:
        return
    changes = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = [ctypes.c_uint64(changes)]
    if version >= 4:
        attributes.append(ctypes.c_uint64(0 if network else _CONNECT_TCP))
    if version >= 6:
        attributes.append(ctypes.c_uint64(_SCOPE_SIGNALS_AND_ABSTRACT_SOCKETS))
    packed = b"".join(bytes(value) for value in attributes)
    rules = _checked(
        libc, libc.syscall(_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), ctypes.c_uint32(0))
    )
    for path in writable:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        allowed = changes if os.path.isdir(path) else changes & (_WRITE_FILE | _TRUNCATE)
        rule = bytes(ctypes.c_uint64(allowed)) + bytes(ctypes.c_int32(opened))  # packed: no padding
        _checked(libc, libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)))
        os.close(opened)
    _checked(libc, libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc, libc.syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0)))
    os.close(rules)


def _checked(libc: Any, result: int) -> int:  # noqa: ARG001  # the errno is libc's
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    main()
