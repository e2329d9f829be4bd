"""The frozen values of the sandbox: what it can hold, what it is asked to run, what a probe found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mosaic.core.values import JsonObject
from mosaic.tools.processes import OutputLimits

__all__ = ["Doors", "Hold", "Job", "Limits", "Probe"]


class Hold(StrEnum):
    """What a sandbox can keep a command from."""

    WRITES = "writes"
    """Changing the content or names of files outside the worktree and its scratch directory."""
    METADATA = "metadata"
    """Changing modes, times, owners and attributes of files outside."""
    READS = "reads"
    """Reading the host's home directories, secrets and other people's files."""
    NETWORK = "network"
    """Sending anything to another machine or to a server of this one, when it is to have no network."""
    ENVIRONMENT = "environment"
    """Seeing the variables of the process that started it, also through `/proc`."""
    GIT = "git"
    """Changing what git would execute or follow: the worktree's hooks, configuration and pointer."""
    PROCESSES = "processes"
    """Starting more processes than its limit, whoever the user is."""
    MEMORY = "memory"
    """Taking more memory than its limit, all of its processes together."""
    CPU = "cpu"
    """Taking more processor time than its share."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one command may take.

    Attributes:
        memory_bytes: of all its processes together, where the driver can count them together.
        processes: at the same time, threads included.
        cpus: processors' worth of time; None leaves it to the scheduler.
        file_bytes: the largest file it may write.
    """

    memory_bytes: int = 4 * 1024**3
    processes: int = 512
    cpus: float | None = None
    file_bytes: int = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Doors:
    """The model gateway and the tool door, for a command without any other network.

    Attributes:
        socket: the unix socket of the host that serves them, and nothing else.
        key: lets the command in; good for this command only.
        port: where they are on the loopback interface inside.
    """

    socket: Path
    key: str = field(repr=False)
    port: int = 8420

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find them."""
        at = f"http://127.0.0.1:{self.port}"
        return {
            "OPENAI_BASE_URL": f"{at}/v1",
            "OPENAI_API_BASE": f"{at}/v1",
            "OPENAI_API_KEY": self.key,
            "ANTHROPIC_BASE_URL": at,
            "ANTHROPIC_API_KEY": self.key,
            "MOSAIC_MCP_URL": f"{at}/mcp",
            "MOSAIC_KEY": self.key,
        }


def _silent(_line: str) -> None:
    """Drop a progress line."""


@dataclass(frozen=True, slots=True)
class Job:
    """One command for a sandbox.

    Attributes:
        argv: program and arguments; no shell reads them.
        scratch: a directory of its own outside the worktree, for home, temporary files and caches.
        workspace: the worktree it may change; None when it has only `scratch`.
        directory: where it starts, inside one of the two; the worktree (or `scratch`) when None.
        environment: variables beside those that every command gets.
        network: whether it may use the host's network.
        readable: files and directories of the host that it may read beside the system's and the installation's.
        sockets: unix sockets of the host that it may talk to, such as the gateway's; at the same paths inside.
        doors: what it may reach in place of a network.
        timeout_s: then TERM, two seconds later KILL.
        stdin: what it reads; nothing when None.
        limits: how much it may take.
        output: how much of each stream is kept.
        progress: gets the last line of what it prints, now and then.
    """

    argv: tuple[str, ...]
    scratch: Path
    workspace: Path | None = None
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    readable: tuple[Path, ...] = ()
    sockets: tuple[Path, ...] = ()
    doors: Doors | None = None
    timeout_s: float = 300.0
    stdin: bytes | None = None
    limits: Limits = field(default_factory=Limits)
    output: OutputLimits | None = None
    progress: Callable[[str], None] = _silent

    @property
    def cwd(self) -> Path:
        """Where it starts."""
        return self.directory or self.workspace or self.scratch


@dataclass(frozen=True, slots=True)
class Probe:
    """What a driver can do on this machine, found out by trying.

    Attributes:
        driver: its name.
        works: whether a command ran in it.
        detail: its version and what it stands on; or why it does not work.
        fix: the next step where it does not work, or holds less than it could.
        holds: what was tried and held.
        gaps: what it does not hold, and why.
    """

    driver: str
    works: bool
    detail: str
    fix: str | None = None
    holds: frozenset[Hold] = frozenset()
    gaps: Mapping[Hold, str] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return the probe as JSON."""
        return {
            "driver": self.driver,
            "works": self.works,
            "detail": self.detail,
            "fix": self.fix,
            "holds": sorted(hold.value for hold in self.holds),
            "gaps": {hold.value: why for hold, why in self.gaps.items()},
        }
