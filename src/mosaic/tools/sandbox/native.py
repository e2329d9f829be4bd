"""The sandbox that needs nothing but Python: Landlock, a filter of system calls, namespaces where they are allowed."""

import asyncio
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from mosaic.tools.processes import CallFilter, Confinement, Terms, confinement_version, warden
from mosaic.tools.processes.confinement import DEVICES
from mosaic.tools.processes.warden.seccomp import filter_program
from mosaic.tools.sandbox.groups import control_groups
from mosaic.tools.sandbox.local import Launch, LocalSandbox, bounds
from mosaic.tools.sandbox.places import ETC, git_places, program_places
from mosaic.tools.sandbox.schemas import Job, Probe

__all__ = ["NativeSandbox"]

_SYSTEM = tuple(
    Path(name)
    for name in (
        *("/bin", "/sbin", "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"),
        *("/proc", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm"),
    )
)
_SPARE_PROCESSES = 64
_TRY_S = 10.0
_ENTER = (
    "import ctypes, sys; sys.path.insert(0, sys.argv[1]); from warden.namespaces import enter_namespaces;"
    " enter_namespaces(ctypes.CDLL(None, use_errno=True), [sys.argv[1]], [], own_network=True)"
)


class NativeSandbox(LocalSandbox):
    """Confines a command by what this kernel offers to every process.

    It stays in the host's tree of files and processes: it sees the names of other processes and of files that it
    cannot open. Connections to servers of this machine over unix sockets are refused, because nothing keeps such a
    server from doing what the command may not; those in its job's `sockets` lift that for all.
    """

    name = "native"

    async def launch(self, job: Job) -> Launch:
        """Return the command as it is started."""
        namespaces = await asyncio.to_thread(namespaces_work)
        own_network = namespaces and not job.network
        writable = (job.scratch,) if job.workspace is None else (job.workspace, job.scratch)
        git = git_places(job.workspace)
        readable = (
            *_SYSTEM,
            *(Path("/etc", name) for name in ETC),
            *program_places(job.workspace, (*self.readable, *job.readable)),
            *git.readable,
        )
        confinement = Confinement(
            writable=(*writable, *DEVICES, *job.sockets),
            readable=readable,
            network=job.network or own_network,
            namespaces=namespaces,
            own_network=own_network,
            protected=() if git.entry is None else (git.entry,),
            drop_capabilities=True,
        )
        call_filter = CallFilter(network=job.network or own_network, unix=bool(job.sockets))
        groups = control_groups(job.limits)
        limits = bounds(job.limits, groups)
        # Without a namespace of its own the kernel counts all processes of the user.
        others = 0 if namespaces else _processes_of_ours() + _SPARE_PROCESSES
        limits["NPROC"] = job.limits.processes + others
        return Launch(job.argv, Terms(confinement, call_filter, limits, groups))

    async def probe(self) -> Probe:
        """Find out what holds here, by trying."""
        if sys.platform != "linux":
            return Probe(
                self.name,
                False,
                f"{sys.platform} has no Landlock.",
                "Use Docker: `tools.sandbox.driver: docker`.",
            )
        version = confinement_version()
        if version == 0:
            return Probe(
                self.name,
                False,
                "This kernel has no Landlock, or it is not switched on.",
                "Use Linux 5.13 or later, or add landlock to its `lsm=` parameter; or install bubblewrap.",
            )
        parts = [f"Landlock {version}"]
        if filter_program(network=True, unix=True):
            parts.append("system call filter")
        if await asyncio.to_thread(namespaces_work):
            parts.append("namespaces")
        return await self.try_out(
            ", ".join(parts), gaps={}, fix="Install bubblewrap; it sees and reaches less."
        )


@cache
def namespaces_work() -> bool:
    """Say whether a process of ours can have a network of its own; tried once, in another process."""
    if sys.platform != "linux":
        return False
    try:
        done = subprocess.run(  # noqa: S603  # this Python and our own words
            [sys.executable, "-I", "-S", "-c", _ENTER, str(Path(warden.__file__).parents[1])],
            capture_output=True,
            timeout=_TRY_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _processes_of_ours() -> int:
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                count += len(os.listdir(f"{entry.path}/task")) if entry.stat().st_uid == os.getuid() else 0
            except OSError:
                continue
    return count
