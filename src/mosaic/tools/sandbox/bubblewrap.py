"""The sandbox on bubblewrap: a file system, processes and a network of its own, built for one command."""

import asyncio
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

from mosaic.core.errors import Unavailable
from mosaic.tools.processes import CallFilter, Terms
from mosaic.tools.processes.warden.seccomp import filter_program
from mosaic.tools.sandbox.errors import INSTALL_BUBBLEWRAP
from mosaic.tools.sandbox.groups import control_groups
from mosaic.tools.sandbox.local import Launch, LocalSandbox, bounds
from mosaic.tools.sandbox.places import ETC, git_places, program_places
from mosaic.tools.sandbox.schemas import Job, Probe

__all__ = ["BubblewrapSandbox"]

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_KERNEL = (
    "/proc/acpi",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/mtrr",
)
_KERNEL_SECRETS = (
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/timer_list",
)
_OWN_ETC = frozenset({"group", "passwd"})
_USER = 1000
_PASSWD = (
    f"mosaic:x:{_USER}:{_USER}:MosAIc:{{home}}:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
)
_GROUP = f"mosaic:x:{_USER}:\nnogroup:x:65534:\n"
_TEMPORARY_BYTES = 1024**3
_FILTER, _PASSWD_AT, _GROUP_AT, _ARGUMENTS = 50, 51, 52, 53
# Descriptors hold what a pipe holds.
_MOST_ARGUMENTS = 60_000
# The shells differ in the letter; where the number of processes cannot be set the control group still is.
_BOUNDED = 'if (ulimit -u "$1") 2>/dev/null; then ulimit -u "$1"; else ulimit -p "$1" 2>/dev/null; fi; shift; exec "$@"'
_VERSION_S = 10.0


class BubblewrapSandbox(LocalSandbox):
    """Gives a command only what it needs to see: programs, its worktree, its scratch directory.

    Everything else of the host does not exist inside. Without network it has a loopback interface of its own. It
    cannot gain privileges, make namespaces or see other processes, and dies with the process that started it.
    """

    name = "bubblewrap"

    async def launch(self, job: Job) -> Launch:
        """Return the command as it is started.

        Raises:
            Unavailable: if bubblewrap is not installed.
        """
        program = shutil.which("bwrap")
        if program is None:
            raise Unavailable("bubblewrap is not installed.", hint=INSTALL_BUBBLEWRAP)
        options = await asyncio.to_thread(_options, program)
        call_filter = None
        if filter_program(network=True, unix=True):
            call_filter = CallFilter(network=True, unix=True, descriptor=_FILTER)
        arguments = [
            *self._isolation(job, options),
            *(("--seccomp", str(_FILTER)) if call_filter is not None else ()),
            *self._system(),
            *self._kernel(options),
            *self._own(job),
            *("--remount-ro", "/", "--chdir", str(job.cwd)),
        ]
        descriptors = {_PASSWD_AT: _PASSWD.format(home=job.scratch / "home"), _GROUP_AT: _GROUP}
        listed = "\0".join(arguments) + "\0"
        if "--args" in options and len(listed.encode()) < _MOST_ARGUMENTS:
            descriptors[_ARGUMENTS] = listed
            arguments = ["--args", str(_ARGUMENTS)]
        groups = control_groups(job.limits)
        return Launch(
            (
                program,
                *arguments,
                "--",
                "/bin/sh",
                "-c",
                _BOUNDED,
                "sh",
                str(job.limits.processes),
                *job.argv,
            ),
            Terms(None, call_filter, bounds(job.limits, groups), groups, descriptors, wrapped=True),
        )

    async def probe(self) -> Probe:
        """Find out what holds here, by trying."""
        if sys.platform != "linux":
            return Probe(self.name, False, f"bubblewrap needs Linux, this is {sys.platform}.", "Use Docker.")
        program = shutil.which("bwrap")
        if program is None:
            return Probe(self.name, False, "bubblewrap is not installed.", INSTALL_BUBBLEWRAP)
        version = await asyncio.to_thread(_version, program)
        parts = [f"{version} at {program}"]
        if not filter_program(network=True, unix=True):
            parts.append(f"no system call filter for {platform.machine()}")
        return await self.try_out(
            ", ".join(parts),
            gaps={},
            fix="Let programs make user namespaces: `sysctl kernel.unprivileged_userns_clone=1`, and on Ubuntu"
            " `sysctl kernel.apparmor_restrict_unprivileged_userns=0` or an AppArmor profile for bwrap;"
            " in a container, allow them in its security options.",
        )

    def _isolation(self, job: Job, options: frozenset[str]) -> Iterator[str]:
        yield from (
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
        )
        if not job.network:
            yield "--unshare-net"
        if "--disable-userns" in options:
            yield "--disable-userns"
        yield from ("--die-with-parent", "--new-session", "--hostname", "sandbox")
        yield from ("--uid", str(_USER), "--gid", str(_USER))

    def _system(self) -> Iterator[str]:
        yield from ("--ro-bind", "/usr", "/usr")
        for name in _SYSTEM:
            if os.path.islink(name):
                yield from ("--symlink", os.readlink(name), name)
            elif os.path.isdir(name):
                yield from ("--ro-bind", name, name)
        for name in ETC:
            place = f"/etc/{name}"
            if name not in _OWN_ETC and os.path.exists(place):
                yield from ("--ro-bind", place, place)
        for number, name in ((_PASSWD_AT, "passwd"), (_GROUP_AT, "group")):
            yield from ("--ro-bind-data", str(number), f"/etc/{name}")

    def _kernel(self, options: frozenset[str]) -> Iterator[str]:
        yield from ("--proc", "/proc", "--dev", "/dev")
        yield from ("--ro-bind-try", "/sys/devices/system", "/sys/devices/system")
        # As the superuser's commands they own these files, and ownership is all that the kernel asks for.
        for name in filter(os.path.exists, _KERNEL):
            yield from ("--ro-bind", name, name)
        for name in filter(os.path.exists, _KERNEL_SECRETS):
            yield from ("--ro-bind", "/dev/null", name)
        for name in ("/run", "/tmp", "/var/tmp"):  # noqa: S108  # of its own, and empty
            if "--size" in options:
                yield from ("--size", str(_TEMPORARY_BYTES))
            yield from ("--tmpfs", name)
        yield from ("--symlink", "../run", "/var/run")

    def _own(self, job: Job) -> Iterator[str]:
        git = git_places(job.workspace)
        readable = [*program_places(job.workspace, (*self.readable, *job.readable)), *git.readable]
        # An outer directory first: mounted later, it would hide what lies inside.
        for place in sorted(set(readable), key=lambda path: len(path.parts)):
            if not place.is_relative_to("/usr"):
                yield from ("--ro-bind", str(place), str(place))
        own = (job.scratch,) if job.workspace is None else (job.workspace, job.scratch)
        for place in own:
            yield from ("--bind", str(place), str(place))
        if git.entry is not None:
            yield from ("--ro-bind", str(git.entry), str(git.entry))
        for socket in job.sockets:
            yield from ("--bind", str(socket), str(socket))


@cache
def _options(program: str) -> frozenset[str]:
    """Return the options that this bubblewrap knows."""
    words = _said(program, "--help").split()
    return frozenset(word for word in words if word.startswith("--"))


@cache
def _version(program: str) -> str:
    return _said(program, "--version").strip() or "an unknown version"


def _said(program: str, option: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # found on the PATH, a fixed option
            [program, option], capture_output=True, text=True, timeout=_VERSION_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{done.stdout}{done.stderr}"
