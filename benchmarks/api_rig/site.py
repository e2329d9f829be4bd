"""An installation for a benchmark: a database of either kind, and `mosaic up` on it as people run it."""

import contextlib
import json
import secrets
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine_overhead import fresh_postgres, postgres_server
from gateway_rig.processes import Spent, free_port, running, spent

__all__ = ["Installation", "Server", "installation", "serve"]

_ANSWER_S = 60.0


@dataclass(frozen=True)
class Installation:
    """Where an installation keeps its data.

    Attributes:
        url: of the database.
        postgres_pid: of the database server, where there is one.
    """

    home: Path
    url: str
    postgres_pid: int | None


@dataclass(frozen=True)
class Server:
    """`mosaic up`, running."""

    installation: Installation
    port: int
    pid: int
    token: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spent(self) -> Spent:
        """What the server has used so far."""
        return spent(self.pid)

    def database_cpu_s(self) -> float:
        """Processor seconds of PostgreSQL so far; SQLite's are the server's own."""
        pid = self.installation.postgres_pid
        return spent(pid).cpu_s if pid is not None else 0.0

    def get(self, path: str) -> Any:
        """Ask the API."""
        return self._ask(path, None)

    def post(self, path: str, body: Any) -> Any:
        """Ask the API to do something."""
        return self._ask(path, json.dumps(body).encode())

    def _ask(self, path: str, body: bytes | None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.address}/api/v1{path}", data=body, headers=headers
        )  # our own address
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_ANSWER_S) as answer:
            return json.load(answer)


@contextlib.contextmanager
def installation(database: str) -> Iterator[Installation]:
    """An empty installation on ``sqlite`` or ``postgres``, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mosaic-bench-") as folder, contextlib.ExitStack() as stack:
        home = Path(folder) / "home"
        home.mkdir()
        if database == "sqlite":
            yield Installation(home, f"sqlite:///{home / 'mosaic.db'}", None)
            return
        cluster = Path(folder) / "pg"
        server = stack.enter_context(postgres_server(cluster))
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
        yield Installation(home, fresh_postgres(server, "mosaic_bench"), pid)


@contextlib.contextmanager
def serve(at: Installation) -> Iterator[Server]:
    """Run `mosaic up` on an installation."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mosaic.cli",
        "--home",
        str(at.home),
        "up",
        "--port",
        str(port),
        "--no-example",
    ]
    token = secrets.token_urlsafe(32)
    environment = {"MOSAIC_DATABASE_URL": at.url, "MOSAIC_OWNER_TOKEN": token}
    with running(command, port=port, log=at.home.parent / "mosaic.log", env=environment) as pid:
        server = Server(at, port, pid, token)
        until = time.monotonic() + _ANSWER_S
        while True:
            with contextlib.suppress(OSError):
                server.get("/journal")
                break
            if time.monotonic() > until:
                raise TimeoutError((at.home.parent / "mosaic.log").read_text()[-2000:])
            time.sleep(0.1)
        yield server
