"""Where this installation's server answers: `server.json` in the data folder, true while its process holds it.

The lock on the file, not the process id in it, says whether the server lives: ids are given again, and a folder that
two machines share has two sets of them.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from mosaic.core.errors import Locked

__all__ = ["Presence", "Server", "find_server"]

_NAME = "server.json"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process and the address people use."""

    pid: int
    address: str


class Presence:
    """This process's claim to serve an installation, until `withdraw` or the end of the process, however it ends."""

    def __init__(self, home: Path) -> None:
        self._path = home / _NAME
        self._file: int | None = None

    def announce(self, address: str) -> None:
        """Say that this process serves the installation at `address`.

        Raises:
            Locked: if another process does.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _taken(file):
            os.close(file)
            raise _served(find_server(self._path.parent))
        text = json.dumps(asdict(Server(os.getpid(), address))).encode()
        os.pwrite(file, text, 0)
        os.ftruncate(file, len(text))
        self._file = file

    def withdraw(self) -> None:
        """Say that this process serves no more. The file stays, empty: others may be about to lock it."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _taken(file: int) -> bool:
    """Take the lock; False when someone has it."""
    for pause_s in (0.01, 0.02, 0.05, 0.1, None):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if pause_s is not None:
                time.sleep(pause_s)  # `find_server` of another process holds it for an instant
        else:
            return True
    return False


def find_server(home: Path) -> Server | None:
    """Return the server of this installation, or None when no process serves it."""
    try:
        with (home / _NAME).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                values = json.loads(file.read())
                return Server(int(values["pid"]), str(values["address"]))
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # no such file, or taken this instant and not written yet


def _served(server: Server | None) -> Locked:
    where = f" at {server.address} (process {server.pid})" if server else ""
    data = asdict(server) if server else {}
    return Locked(
        f"MosAIc already runs on this data{where}.",
        hint="Use it as it is, or stop that process first.",
        **data,
    )
