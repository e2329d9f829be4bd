"""A server written by hand, so that it can misbehave in every way: the behaviour is its first argument."""

import json
import os
import signal
import sys

behaviour = sys.argv[1]


def send(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def tool(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "description": name, "inputSchema": {"type": "object"}, **more}


TYPED = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^(a+)+$"}}}
TOOLS = [
    tool("work"),
    tool("typed", outputSchema=TYPED),
    tool("bad name with spaces"),
    tool("bad_schema", inputSchema={"type": "object", "properties": {"x": {"type": "sandwich"}}}),
    tool("reads", annotations={"readOnlyHint": True}),
]


def call(identifier: object) -> None:
    if behaviour == "crash":
        sys.stderr.write("fatal: out of cheese\n")
        sys.stderr.flush()
        os._exit(7)
    if behaviour == "hang":
        signal.pause()
    if behaviour == "huge":
        sys.stdout.write("x" * 20_000_000)
        sys.stdout.flush()
        signal.pause()
    if behaviour == "garbage":
        for _ in range(1_000):
            sys.stdout.write("this is no JSON\n")
        sys.stdout.flush()
        signal.pause()
    result: dict[str, object] = {"content": [{"type": "text", "text": "fine"}]}
    if behaviour == "redos":
        result["structuredContent"] = {"n": "a" * 40 + "!"}
    if behaviour == "nonsense":
        result = {"content": 42}
    if behaviour == "chatty":
        sys.stdout.write("a log line that does not belong here\n")
    send({"jsonrpc": "2.0", "id": identifier, "result": result})


def main() -> None:
    if behaviour == "dead":
        sys.stderr.write("no licence\n")
        sys.exit(1)
    if behaviour == "mute":
        signal.pause()
    for line in sys.stdin:
        message = json.loads(line)
        identifier, method = message.get("id"), message.get("method")
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            info = {"name": "raw", "version": "1"}
            send(
                {
                    "jsonrpc": "2.0",
                    "id": identifier,
                    "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info},
                }
            )
        elif method == "tools/list":
            send({"jsonrpc": "2.0", "id": identifier, "result": {"tools": TOOLS}})
        elif method == "tools/call":
            call(identifier)
        elif identifier is not None:
            send({"jsonrpc": "2.0", "id": identifier, "error": {"code": -32601, "message": "unknown method"}})


main()
