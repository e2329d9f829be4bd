"""Where this installation's servers answer: a file each in `servers/` in the data folder, true while it is held.

The lock on the file, not the process id in it, says whether a server lives: ids are given again. On SQLite there is one
server at most; on PostgreSQL each node may serve.
"""

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Presence", "Server", "find_server"]

_FOLDER = "servers"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        host: the machine it runs on; another one's loopback is not ours.
        address: what people use.
    """

    pid: int
    host: str
    address: str


class Presence:
    """This process's claim to serve an installation, until `withdraw` or the end of the process, however it ends."""

    def __init__(self, home: Path) -> None:
        self._folder = home / _FOLDER
        self._path = self._folder / f"{socket.gethostname()}-{os.getpid()}.json"
        self._file: int | None = None

    def announce(self, address: str) -> None:
        """Say that this process serves the installation at `address`."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # Locked before it gets its name: a file there that nobody holds was left by somebody dead.
        draft = self._path.with_suffix(".new")
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, json.dumps(asdict(Server(os.getpid(), socket.gethostname(), address))).encode())
        draft.replace(self._path)
        self._file = file

    def withdraw(self) -> None:
        """Say that this process serves no more."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


def find_server(home: Path) -> Server | None:
    """Return a server of this installation on this machine, or None when no process serves it."""
    for path in sorted((home / _FOLDER).glob("*.json")):
        server = _read(path)
        if server is not None and server.host == socket.gethostname():
            return server
    return None


def _read(path: Path) -> Server | None:
    """Return the server whose file this is; one that nobody holds is cleared away."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            values = json.loads(file.read())
            return Server(int(values["pid"]), str(values["host"]), str(values["address"]))
        path.unlink(missing_ok=True)
    return None
