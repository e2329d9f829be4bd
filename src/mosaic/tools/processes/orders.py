"""What the warden is told beside the command: what it may touch, how much it may take."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["CallFilter", "Confinement", "ControlGroup", "Terms"]


# Devices are written to on a read-only file system too.
_TERMINALS = Path("/dev/pts")


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a command may touch, where the kernel can enforce it (Linux with Landlock).

    Attributes:
        writable: files and directories; nothing else can be changed.
        network: whether Landlock leaves TCP alone.
        readable: what can be read beside that; None means everything.
        namespaces: give it a view of its own of the file system, where everything is read-only but the directories
            of `writable` and `/dev/shm`, and its own IPC and host name.
        own_network: with `namespaces`, a network with a loopback interface and nothing else.
        protected: with `namespaces`, what inside of `writable` stays read-only.
        drop_capabilities: take the superuser's privileges from it, where it has them.
    """

    writable: tuple[Path, ...]
    network: bool = True
    readable: tuple[Path, ...] | None = None
    namespaces: bool = False
    own_network: bool = False
    protected: tuple[Path, ...] = ()
    drop_capabilities: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as the warden reads it."""
        return {
            "writable": [str(path) for path in self.writable],
            "readable": None if self.readable is None else [str(path) for path in self.readable],
            "network": self.network,
            "namespaces": self.namespaces,
            "own_network": self.own_network,
            "protected": [str(path) for path in self.protected],
            "bound": [str(path) for path in self.writable if path.is_dir() and path != _TERMINALS],
            "drop_capabilities": self.drop_capabilities,
        }


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which system calls are refused beside those that are dangerous for everybody.

    Attributes:
        network: whether sockets of the internet families may be made.
        unix: whether sockets of this machine may be made.
        descriptor: hand the filter to the program at this number instead of installing it.
    """

    network: bool
    unix: bool
    descriptor: int | None = None


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A control group that lives as long as the command.

    Attributes:
        path: a directory that does not exist yet.
        values: what is written into its files.
    """

    path: Path
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a command runs.

    Attributes:
        confinement: what it may touch; None leaves everything to it.
        filter: which system calls are refused; None refuses none.
        limits: resource limits by the kernel's names without their prefix, such as ``FSIZE``.
        groups: its control groups.
        descriptors: text that the program finds at these numbers.
        wrapped: the program is a wrapper around the command and dies last.
    """

    confinement: Confinement | None = None
    filter: CallFilter | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[ControlGroup, ...] = ()
    descriptors: Mapping[int, str] = field(default_factory=dict)
    wrapped: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return them as the warden reads them."""
        return {
            "confinement": None if self.confinement is None else self.confinement.to_json(),
            "filter": None if self.filter is None else asdict(self.filter),
            "limits": dict(self.limits),
            "groups": [{"path": str(group.path), "values": dict(group.values)} for group in self.groups],
            "descriptors": {str(number): text for number, text in self.descriptors.items()},
            "wrapped": self.wrapped,
        }
