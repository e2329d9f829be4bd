"""What a command of an agent may change: its worktree, its scratch directory, and the usual devices."""

import ctypes
from pathlib import Path

from mosaic.tools.processes.orders import Confinement
from mosaic.tools.processes.warden.landlock import landlock_version

__all__ = ["DEVICES", "confined_to", "confinement_version"]

DEVICES = tuple(
    Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")
)
"""The devices that every program may use."""


def confined_to(*directories: Path, network: bool = True) -> Confinement:
    """Return the confinement to `directories`."""
    return Confinement((*directories, *DEVICES), network)


def confinement_version() -> int:
    """Return the version of Landlock that confines commands here; 0 when nothing does.

    From 1 on commands cannot change files outside; from 4 on they can be kept from TCP; from 6 on they cannot
    signal other processes.
    """
    return landlock_version(ctypes.CDLL(None, use_errno=True))
