"""A server whose tools are what a file says at the moment: over stdio, or with a port over streamable HTTP.

    shifting_server.py FILE [tell]      stdio; with `tell` it says when the file changed
    shifting_server.py FILE PORT        HTTP

The file holds a list of tools as in ``tools/list``. A tool answers with its ``answer``, or with what it was given.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FILE = Path(sys.argv[1])
OPTION = sys.argv[2] if len(sys.argv) > 2 else ""
TELLS = OPTION == "tell"
writing = threading.Lock()


def tools() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(FILE.read_text())
    return found


def answered(message: dict[str, Any]) -> dict[str, Any] | None:
    identifier, method = message.get("id"), message.get("method")
    if identifier is None:
        return None
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": identifier}
    if method == "initialize":
        reply["result"] = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": TELLS}},
            "serverInfo": {"name": "shifting", "version": "1"},
        }
    elif method == "tools/list":
        shown = [{key: item[key] for key in item if key != "answer"} for item in tools()]
        reply["result"] = {"tools": shown}
    elif method == "tools/call":
        name = message["params"]["name"]
        known = {item["name"]: item for item in tools()}
        text = known[name].get("answer") or json.dumps(message["params"].get("arguments"))
        reply["result"] = {"content": [{"type": "text", "text": text}]}
    elif method == "ping":
        reply["result"] = {}
    else:
        reply["error"] = {"code": -32601, "message": "unknown method"}
    return reply


def send(message: dict[str, Any]) -> None:
    with writing:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def tell_of_changes() -> None:
    before, never = FILE.read_text(), threading.Event()
    while not never.wait(0.02):
        now = FILE.read_text()
        if now != before:
            before = now
            send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = answered(body)
        data = json.dumps(reply).encode() if reply is not None else b""
        self.send_response(200 if reply is not None else 202)
        if reply is not None:
            self.send_header("content-type", "application/json")
        if body.get("method") == "initialize":
            self.send_header("mcp-session-id", "one")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.refuse()

    def do_DELETE(self) -> None:
        self.refuse()

    def refuse(self) -> None:
        self.send_response(405)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    if OPTION.isdigit():
        ThreadingHTTPServer(("127.0.0.1", int(OPTION)), Handler).serve_forever()
    if TELLS:
        threading.Thread(target=tell_of_changes, daemon=True).start()
    for line in sys.stdin:
        if (reply := answered(json.loads(line))) is not None:
            send(reply)


main()
