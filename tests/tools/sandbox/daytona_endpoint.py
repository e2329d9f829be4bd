"""An HTTP endpoint on this machine that speaks Daytona's protocol; its sandboxes are directories here."""

import email.parser
import email.policy
import json
import os
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["Endpoint", "daytona_endpoint"]

KEY = "dtn_a-key-of-the-test"


@dataclass
class Endpoint:
    """What the endpoint saw.

    Attributes:
        refuses: answers every creation with this status.
        spoils: replaces what a download answers.
    """

    url: str = ""
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    asked: int = 0
    refuses: int = 0
    spoils: bytes | None = None


@contextmanager
def daytona_endpoint() -> Iterator[Endpoint]:
    state = Endpoint()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    before = set(Path("/tmp").glob("mosaic-*"))
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for left in set(Path("/tmp").glob("mosaic-????????????????")) - before:
            shutil.rmtree(left, ignore_errors=True)


def _handler(state: Endpoint) -> type[BaseHTTPRequestHandler]:  # noqa: C901  # it counts a whole class
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            path, query = self._where()
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            if path == "/api/sandbox":
                self._create(json.loads(body))
            elif path.endswith("/process/execute"):
                self._execute(json.loads(body))
            elif path.endswith("/files/upload-v2"):
                head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
                message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
                (part,) = message.iter_parts()
                Path(query["path"]).write_bytes(part.get_payload(decode=True))
                self._answer(200, {})
            else:
                self._answer(404, {})

        def _create(self, wish: dict[str, Any]) -> None:
            if state.refuses:
                self._answer(state.refuses, {"message": "no"})
                return
            state.created.append(wish)
            self._answer(200, {"id": f"sb{len(state.created)}", "state": "creating"})

        def _execute(self, wish: dict[str, Any]) -> None:
            done = subprocess.run(
                wish["command"],
                shell=True,
                capture_output=True,
                timeout=wish["timeout"],
                env={"PATH": os.environ["PATH"]},
                check=False,
            )
            said = done.stdout.decode(errors="replace")
            self._answer(200, {"exitCode": done.returncode, "result": said})

        def do_GET(self) -> None:
            path, query = self._where()
            if path.endswith("/files/download"):
                data = state.spoils if state.spoils is not None else Path(query["path"]).read_bytes()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            state.asked += 1
            started = {"state": "started", "toolboxProxyUrl": f"{state.url}/toolbox/"}
            self._answer(
                200,
                {
                    "id": path.rpartition("/")[2],
                    **(started if state.asked % 2 == 0 else {"state": "starting"}),
                },
            )

        def do_DELETE(self) -> None:
            state.deleted.append(self._where()[0].rpartition("/")[2])
            self._answer(200, {})

        def _where(self) -> tuple[str, dict[str, str]]:
            assert self.headers["authorization"] == f"Bearer {KEY}"
            parts = urllib.parse.urlsplit(self.path)
            return parts.path, dict(urllib.parse.parse_qsl(parts.query))

        def _answer(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
