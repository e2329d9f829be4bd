"""Where this installation's server answers: `server.json` in the data folder, valid while its process lives."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Server", "announce", "find_server", "withdraw"]

_NAME = "server.json"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process and the address people use."""

    pid: int
    address: str


def announce(home: Path, address: str) -> None:
    """Say that this process serves the installation at `address`."""
    temporary = home / f"{_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(asdict(Server(os.getpid(), address))), encoding="utf-8")
    temporary.replace(home / _NAME)


def withdraw(home: Path) -> None:
    """Say that this process serves no more; another process's announcement stays."""
    server = _read(home)
    if server and server.pid == os.getpid():
        (home / _NAME).unlink(missing_ok=True)


def find_server(home: Path) -> Server | None:
    """Return the server of this installation, or None when no process serves it."""
    server = _read(home)
    return server if server and _alive(server.pid) else None


def _read(home: Path) -> Server | None:
    try:
        values = json.loads((home / _NAME).read_text(encoding="utf-8"))
        return Server(int(values["pid"]), str(values["address"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
