"""The sandbox in a container, through the `docker` program (Docker, or Podman under that name)."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mosaic.core.errors import Unavailable
from mosaic.tools.processes import Finished, Process, Terms
from mosaic.tools.sandbox.local import Launch, LocalSandbox
from mosaic.tools.sandbox.places import git_places
from mosaic.tools.sandbox.schemas import Hold, Job, Probe

__all__ = ["DockerSandbox"]

_IMAGE = "python:3.12-slim"
_ANSWER_S = 20.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_INSTALL = "Install Docker (or Podman's `docker`), start it, and let this user talk to it."


class DockerSandbox(LocalSandbox):
    """Runs each command in a container of its own: programs are the image's, the worktree is mounted.

    Args:
        image: what containers are made from; it must have `sh` and whatever commands need.
        readable: directories of the host that every command may read.
    """

    name = "docker"

    def __init__(self, *, image: str | None = None, readable: tuple[Path, ...] = ()) -> None:
        super().__init__(readable=readable)
        self._image = image or _IMAGE
        self._names: dict[int, str] = {}

    async def launch(self, job: Job) -> Launch:
        """Return the command as it is started.

        Raises:
            Unavailable: if there is no `docker`.
        """
        program = shutil.which("docker")
        if program is None:
            raise Unavailable("docker is not installed.", hint=_INSTALL)
        name = f"mosaic-{os.getpid()}-{secrets.token_hex(8)}"
        self._names[id(job)] = name
        arguments = [
            *(
                "run",
                "--rm",
                "--interactive",
                "--init",
                "--name",
                name,
                "--label",
                f"mosaic.pid={os.getpid()}",
            ),
            *("--network", "host" if job.network else "none", "--read-only", "--cap-drop", "ALL"),
            *("--security-opt", "no-new-privileges", "--user", f"{os.getuid()}:{os.getgid()}"),
            *_amounts(job),
            *self._mounts(job),
            *_variables(job),
            *("--workdir", str(job.cwd), self._image, *job.argv),
        ]
        return Launch((program, *arguments), Terms())

    async def run(self, job: Job) -> Finished:
        """Run a command to its end, or until its time is up; its container is gone then."""
        job = replace(job)  # this run's own: it names the container
        try:
            return await super().run(job)
        finally:
            await self._remove(job)

    @asynccontextmanager
    async def start(self, job: Job) -> AsyncIterator[Process]:
        """Run a server for the length of the block."""
        job = replace(job)
        try:
            async with super().start(job) as process:
                yield process
        finally:
            await self._remove(job)

    async def probe(self) -> Probe:
        """Find out what holds here, by trying."""
        if shutil.which("docker") is None:
            return Probe(self.name, False, "docker is not installed.", _INSTALL)
        status, said = await _docker("version", "--format", "{{.Server.Version}}")
        if status != 0:
            return Probe(self.name, False, f"No engine answers: {said[-300:]}", _INSTALL)
        return await self.try_out(
            f"Docker {said}, image {self._image}",
            gaps={},
            fix=f"Get the image: `docker pull {self._image}`, or name another as `tools.sandbox.image`.",
        )

    def counted_together(self) -> frozenset[Hold]:
        """Return what the engine's control groups hold."""
        return frozenset({Hold.MEMORY, Hold.CPU})

    def environment_of(self, job: Job) -> dict[str, str]:  # noqa: ARG002  # the job's own go by arguments
        """Return the environment of the `docker` program: how it finds its engine, and nothing else."""
        kept = (
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "DOCKER_CONFIG",
            "DOCKER_TLS_VERIFY",
            "DOCKER_CERT_PATH",
            "HOME",
        )
        found = {name: os.environ[name] for name in kept if name in os.environ}
        return {"PATH": os.environ.get("PATH", os.defpath), **found}

    def must_exist(self, job: Job, environment: dict[str, str]) -> None:
        """Leave it to the engine: the programs are the image's."""

    async def _remove(self, job: Job) -> None:
        """Remove the container, also when its client was killed; a cancellation waits for it."""
        name = self._names.pop(id(job), None)
        if name is not None:
            await asyncio.shield(_docker("rm", "--force", name))

    def _mounts(self, job: Job) -> Iterator[str]:
        for place in {job.workspace or job.scratch: 0, job.scratch: 0}:
            yield from ("--volume", f"{place}:{place}")
        git = git_places(job.workspace)
        protected = [] if git.entry is None else [git.entry]
        for place in (*protected, *git.readable, *self.readable, *job.readable):
            yield from ("--volume", f"{place}:{place}:ro")
        for socket in job.sockets:
            yield from ("--volume", f"{socket}:{socket}")
        yield from ("--tmpfs", "/tmp:rw,exec,nosuid,nodev", "--tmpfs", "/run:rw,nosuid,nodev")  # noqa: S108  # its own


def _amounts(job: Job) -> Iterator[str]:
    limits = job.limits
    yield from ("--pids-limit", str(limits.processes))
    yield from ("--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes))
    yield from ("--ulimit", f"fsize={limits.file_bytes}", "--ulimit", "core=0")
    if limits.cpus is not None:
        yield from ("--cpus", str(limits.cpus))


def _variables(job: Job) -> Iterator[str]:
    home, temporary = job.scratch / "home", job.scratch / "tmp"
    for directory in (home, temporary):
        directory.mkdir(parents=True, exist_ok=True)
    variables = {
        "PATH": _PATH,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(job.scratch / "cache"),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        **job.environment,
    }
    for name, value in variables.items():
        yield from ("--env", f"{name}={value}")


async def _docker(*arguments: str) -> tuple[int, str]:
    """Return the status of a docker command and what it said."""
    process = await asyncio.create_subprocess_exec(
        "docker",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return 1, f"`docker {arguments[0]}` took longer than {_ANSWER_S:g} s"
    return process.returncode or 0, said.decode("utf-8", "replace").strip()
