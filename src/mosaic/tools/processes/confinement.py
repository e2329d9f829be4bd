"""What a command of an agent may change: its worktree, its scratch directory, and the usual devices."""

import ctypes
from pathlib import Path

from mosaic.tools.processes.process import Confinement
from mosaic.tools.processes.warden import landlock_version

__all__ = ["confined_to", "confinement_version"]

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")


def confined_to(*directories: Path, network: bool = True) -> Confinement:
    """Return the confinement to `directories`."""
    return Confinement((*directories, *(Path("/dev", name) for name in _DEVICES)), network)


def confinement_version() -> int:
    """Return the version of Landlock that confines commands here; 0 when nothing does.

    From 1 on commands cannot change files outside; from 4 on they can be kept from TCP; from 6 on they cannot
    signal other processes.
    """
    return landlock_version(ctypes.CDLL(None, use_errno=True))
