"""One process per SQLite data directory: two would steal each other's running work."""

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from mosaic.core.errors import Locked
from mosaic.storage.errors import translate_os_error

__all__ = ["DataLock", "LockOwner", "read_owner", "sqlite_writer_pid"]

# SQLite's write lock in WAL mode is byte 120 of the shared-memory file (its file format document, "WAL locks").
_WAL_WRITE_LOCK_BYTE = 120


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The process that owns a data directory.

    Attributes:
        pid: its process id.
        address: where it answers, such as ``http://127.0.0.1:8700``; None when it serves nothing.
    """

    pid: int
    address: str | None = None

    def __str__(self) -> str:
        return f"process {self.pid} ({self.address})" if self.address else f"process {self.pid}"


class DataLock:
    """The lock on one data directory, held until `release` or the end of the process, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._file: int | None = None

    def acquire(self, *, address: str | None = None) -> None:
        """Take the lock, and write who we are for others to read.

        Raises:
            Locked: if another process has it; `data` holds its `pid` and `address`.
        """
        if self._file is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise translate_os_error(error, where=str(self._path)) from error
        if not _taken(file):
            os.close(file)
            raise self._locked()
        self._file = file
        self.announce(address)

    def announce(self, address: str | None) -> None:
        """Write the address we answer on; call it once the port is known."""
        if self._file is None:
            raise RuntimeError("the lock is not held")
        text = json.dumps({"pid": os.getpid(), "address": address}).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would let two processes lock two files of one name."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def read_owner(self) -> LockOwner | None:
        """Return who owns the directory now, which may be we ourselves; None when nobody does."""
        return read_owner(self._path.parent)

    def _locked(self) -> Locked:
        owner = self.read_owner()
        by = f" by {owner}" if owner else " by another process"
        hint = "Use it, or end that process first."
        if owner and owner.address:
            hint = f"It answers on {owner.address}; use that, or end the process first."
        pid, address = (owner.pid, owner.address) if owner else (None, None)
        return Locked(f"The data in {self._path.parent} is in use{by}.", hint=hint, pid=pid, address=address)


def _taken(file: int) -> bool:
    """Take the lock; False when someone has it."""
    for pause_s in (0.01, 0.02, 0.05, 0.1, None):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if pause_s is not None:
                time.sleep(pause_s)  # `read_owner` of another process holds it for an instant
        else:
            return True
    return False


def read_owner(data_dir: Path) -> LockOwner | None:
    """Return the process that owns `data_dir` now; None when nobody does."""
    try:
        with (data_dir / "lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                shown = json.loads(file.read())
                return LockOwner(int(shown["pid"]), shown.get("address"))
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no such file, or taken this instant and not written yet


def sqlite_writer_pid(database: Path) -> int | None:
    """Return the process that holds SQLite's write lock now; None when unknown (or not on Linux)."""
    try:
        inode = Path(f"{database}-shm").stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:  # "1: POSIX  ADVISORY  WRITE 1234 fe:00:56789 120 120"
        fields = line.split()
        if len(fields) < 8 or fields[3] != "WRITE" or not fields[5].endswith(f":{inode}"):
            continue
        if int(fields[6]) <= _WAL_WRITE_LOCK_BYTE and (
            fields[7] == "EOF" or int(fields[7]) >= _WAL_WRITE_LOCK_BYTE
        ):
            return int(fields[4])
    return None
