"""Control groups for commands, where this process may make them; both versions of the kernel's interface."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mosaic.tools.processes import ControlGroup
from mosaic.tools.sandbox.schemas import Hold, Limits

__all__ = ["control_groups", "holds_by_groups"]

_PERIOD_US = 100_000
_HOLDS = {"memory": Hold.MEMORY, "pids": Hold.PROCESSES, "cpu": Hold.CPU}


@dataclass(frozen=True, slots=True)
class _Home:
    """A group of ours in which groups for commands can be made.

    Attributes:
        controllers: what can be limited there.
        version: of the interface.
    """

    path: Path
    controllers: frozenset[str]
    version: int


def control_groups(limits: Limits) -> tuple[ControlGroup, ...]:
    """Return groups that hold one command to its limits; empty where none can be made."""
    name = f"mosaic-{os.getpid()}-{secrets.token_hex(6)}"
    return tuple(ControlGroup(home.path / name, _values(home, limits)) for home in _homes())


def holds_by_groups() -> frozenset[Hold]:
    """Return what control groups can hold here."""
    return frozenset(_HOLDS[name] for home in _homes() for name in home.controllers)


def _values(home: _Home, limits: Limits) -> Mapping[str, str]:
    memory, cpus = str(limits.memory_bytes), limits.cpus
    quota = str(max(1_000, int(_PERIOD_US * cpus))) if cpus is not None else None
    values: dict[str, str] = {}
    if "pids" in home.controllers:
        values["pids.max"] = str(limits.processes)
    if home.version == 2 and "memory" in home.controllers:
        values |= {"memory.max": memory, "memory.swap.max": "0", "memory.oom.group": "1"}
    elif "memory" in home.controllers:
        values["memory.limit_in_bytes"] = memory
        if (home.path / "memory.memsw.limit_in_bytes").exists():
            values["memory.memsw.limit_in_bytes"] = memory
    if quota is not None and "cpu" in home.controllers:
        if home.version == 2:
            values["cpu.max"] = f"{quota} {_PERIOD_US}"
        else:
            values |= {"cpu.cfs_period_us": str(_PERIOD_US), "cpu.cfs_quota_us": quota}
    return values


@cache
def _homes() -> tuple[_Home, ...]:
    """Find, once, where groups can be made; each place is tried with limits."""
    found, taken = [], set[str]()
    for home in _candidates():
        home = _Home(home.path, home.controllers - taken, home.version)
        if home.controllers and _works(home):
            found.append(home)
            taken |= home.controllers
    return tuple(found)


def _candidates() -> list[_Home]:
    ours = _own_groups()
    found = []
    for where, kind, options in _mounts():
        if kind == "cgroup":
            found += [
                _Home(where / ours.get(name, ""), frozenset({name}), 1) for name in _HOLDS.keys() & options
            ]
        elif "" in ours:
            own = where / ours[""]
            # Beside ours first: a group that has processes of its own cannot hand its controllers on.
            for place in (own.parent, own) if own != where else (own,):
                with contextlib.suppress(OSError):
                    names = (place / "cgroup.subtree_control").read_text().split()
                    found.append(_Home(place, frozenset(_HOLDS.keys() & set(names)), 2))
    return found


def _own_groups() -> dict[str, str]:
    """Return the group of this process by controller; the second version's under the empty name."""
    ours: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            ours |= dict.fromkeys(names.split(","), path.lstrip("/"))
    return ours


def _mounts() -> list[tuple[Path, str, set[str]]]:
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mounts").read_text().splitlines():
            _, where, kind, options, *_ = line.split()
            if kind in ("cgroup", "cgroup2"):
                found.append((Path(where), kind, set(options.split(","))))
    return found


def _works(home: _Home) -> bool:
    """Make a group with every limit, and remove it; on the way, those that dead processes of ours left behind."""
    trial = home.path / f"mosaic-{os.getpid()}-{secrets.token_hex(6)}"
    try:
        _sweep(home.path)
        trial.mkdir()
    except OSError:
        return False
    try:
        for name, text in _values(home, Limits(cpus=1.0)).items():
            with (trial / name).open("r+", encoding="ascii") as file:
                file.write(text)
        return os.access(trial / "cgroup.procs", os.W_OK)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            trial.rmdir()


def _sweep(place: Path) -> None:
    for left in place.glob("mosaic-*-*"):
        pid = left.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            with contextlib.suppress(OSError):
                left.rmdir()
