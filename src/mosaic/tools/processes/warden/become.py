"""Turns a forked child into the command: bounded, confined, then replaced by the program."""

import contextlib
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

from .groups import join_groups
from .landlock import confine
from .namespaces import drop_capabilities, enter_namespaces
from .seccomp import filter_program, install_filter

_PR_SET_PDEATHSIG = 1


def become(order: dict[str, Any], libc: Any, control: int, failure: int) -> NoReturn:
    """Never returns: runs the program, or tells through `failure` which step could not be done."""
    step = ["start"]
    try:
        _prepare(order, libc, control, step)
        step[0] = "start"
        os.execvpe(order["argv"][0], order["argv"], order["environment"])  # noqa: S606  # that is our task
    except OSError as error:
        message = {"failed": step[0], "errno": error.errno or 0, "message": error.strerror or str(error)}
        os.write(failure, json.dumps(message).encode())
    os._exit(127)


def _prepare(order: dict[str, Any], libc: Any, control: int, step: list[str]) -> None:
    os.setpgid(0, 0)
    for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.close(control)
    step[0] = "limit"
    join_groups(order.get("groups", []))
    if sys.platform == "linux":
        _prefer_for_oom()
    confinement = order.get("confinement") or {}
    step[0] = "confine"
    if confinement.get("namespaces"):
        enter_namespaces(
            libc,
            confinement["bound"],
            confinement["protected"],
            own_network=confinement["own_network"],
        )
    if sys.platform == "linux":
        # After the namespaces: a change of credentials forgets it.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    step[0] = "limit"
    _bound(order.get("limits", {}))
    step[0] = "enter"
    os.chdir(order["cwd"])
    step[0] = "confine"
    for number, text in order.get("descriptors", {}).items():
        _hand_over(int(number), text.encode())
    if confinement.get("drop_capabilities"):
        drop_capabilities(libc)
    if confinement.get("writable") is not None:
        confine(
            libc,
            confinement["writable"],
            confinement["readable"],
            network=confinement["network"],
        )
    wanted = order.get("filter")
    if wanted is not None and (program := filter_program(network=wanted["network"], unix=wanted["unix"])):
        if wanted["descriptor"] is None:
            install_filter(libc, program)
        else:
            _hand_over(wanted["descriptor"], program)


def _bound(limits: dict[str, int]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, value in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(number)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (most, most))


def _hand_over(number: int, data: bytes) -> None:
    """Let the program find `data` at a descriptor; at most what a pipe holds."""
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    os.dup2(read, number)
    os.set_inheritable(number, True)
    if read != number:
        os.close(read)


def _prefer_for_oom() -> None:
    """When memory runs out, the command goes before we do."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("800")
