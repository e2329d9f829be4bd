"""What do a thousand clients of the event stream cost one node, and what does one that does not read?

Four loads on a fresh `mosaic up`, while short runs are started and journal their events:

- 1,000 clients of `GET /api/v1/events/stream`: every one has to get every event once and in order; memory and processor
  time for each, and the delay from an event's time to its arrival (its time is taken just before its commit);
- 50 clients that read nothing: the memory that the server's process and the kernel keep for each, until they are dropped;
- 20 clients that cut their connection 100 times each and come back with Last-Event-ID.

    python benchmarks/live_clients.py [--database sqlite|postgres] [--clients 1000] [--runs-per-s 5] [--seconds 20]
                                      [--only crowd,stalled,cut] [--check]

`--check` exits with status 1 when an event is lost, repeated or out of order, when a client that does not read costs 100 KB
or more, or when it is not dropped.
"""

import argparse
import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from api_rig.site import Server, installation, serve

from mosaic.app.requests import run_request

HERE = Path(__file__).parent
STALLED, STALLED_GOAL_BYTES = 50, 100_000
CUTTING, CUTS = 20, 100
_ESTABLISHED = "01"
_PATIENCE_S = 90.0
WORKFLOW = """mosaic: v1
kind: Workflow
metadata: {name: ticks}
do:
  - a: {set: 1}
  - b: {set: 2}
"""
BUSY = """mosaic: v1
kind: Workflow
metadata: {name: busy}
inputs: {type: object, properties: {items: {type: array}}}
do:
  - all: {for: {each: n, in: '${inputs.items}', parallel: 4}, do: [{one: {set: '${n}'}}]}
"""


class Listeners:
    """Clients in a process of their own."""

    def __init__(self, server: Server, clients: int, *, cuts: int = 0) -> None:
        start = int(server.get("/journal")["head"])
        asked = {"port": server.port, "token": server.token, "clients": clients, "start": start, "cuts": cuts}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "api_rig" / "listeners.py"), json.dumps(asked)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("the listeners have ended")
        return dict(json.loads(line))

    def until(self, place: int) -> dict[str, Any]:
        """Wait until every client has an event; return what they saw."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"until {place}\n")
        self._process.stdin.flush()
        return self._line()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait(30)


class Runs:
    """Starts runs at a steady rate, from a thread."""

    def __init__(self, server: Server, folder: Path, *, per_s: float) -> None:
        self._server = server
        folder.mkdir(exist_ok=True)
        (folder / "workflow.yaml").write_text(WORKFLOW)
        self._request = run_request(folder / "workflow.yaml", inputs={}, options={})
        self._pause = 1.0 / per_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._start, daemon=True)
        self.started = 0

    def _start(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._server.post("/runs", self._request)
            self.started += 1
            due += self._pause

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def settled_head(server: Server) -> int:
    """The journal's end once nothing is added any more."""
    before = -1
    while (head := int(server.get("/journal")["head"])) != before:
        before = head
        time.sleep(0.5)
    return head


def settled_memory(server: Server) -> int:
    time.sleep(1.0)
    return server.spent().memory_bytes


def crowd(server: Server, options: argparse.Namespace, folder: Path) -> list[str]:
    """A thousand clients that read."""
    with Runs(server, folder, per_s=options.runs_per_s):
        time.sleep(2.0)  # warm
    settled_head(server)
    alone = settled_memory(server)
    first, before = settled_head(server), server.spent().cpu_s
    with Runs(server, folder, per_s=options.runs_per_s):
        time.sleep(min(10.0, options.seconds))
    an_event = (server.spent().cpu_s - before) / max(1, settled_head(server) - first)
    listeners = Listeners(server, options.clients)
    together = settled_memory(server)
    idle_before, idle_began = server.spent().cpu_s, time.monotonic()
    time.sleep(3.0)
    idle = (server.spent().cpu_s - idle_before) / (time.monotonic() - idle_began)
    began, before = time.monotonic(), server.spent().cpu_s
    with Runs(server, folder, per_s=options.runs_per_s):
        time.sleep(options.seconds)
    seen = listeners.until(settled_head(server))
    taken = time.monotonic() - began
    spent = server.spent()
    listeners.close()
    cpu = spent.cpu_s - before
    deliveries = max(1, seen["deliveries"])
    telling = max(0.0, cpu - idle * taken - an_event * seen["events"])
    kept = (together - alone) / options.clients / 1000
    print(
        f"\n{options.clients} clients, {options.runs_per_s:g} runs/s for {options.seconds:g} s: {seen['events']} events,"
    )
    print(
        f"  {deliveries} deliveries ({deliveries / taken:.0f}/s), {seen['mistakes']} lost, repeated or out of order"
    )
    print(f"  memory a client: {kept:.1f} KB connected,")
    print(
        f"    {(spent.memory_bytes - alone) / options.clients / 1000:.1f} KB after the load"
        f" ({spent.memory_bytes / 1e6:.0f} MB in all)"
    )
    print(
        f"  processor: {cpu / taken:.0%} of a core, {idle:.1%} with idle clients; {telling / deliveries * 1e6:.1f} us a delivery,"
    )
    print(
        f"    {cpu / taken / options.clients * 1000:.2f} ms a client and second; {an_event * 1000:.1f} ms to make an event"
    )
    print(
        f"  delay from the event to the client: p50 {seen['p50']:.0f} ms, p95 {seen['p95']:.0f} ms, p99 {seen['p99']:.0f} ms"
    )
    return [text for text in (seen["late"], *seen["wrong"]) if text]


@contextlib.contextmanager
def stalled_clients(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """Connections that ask for the stream from its beginning and read nothing."""
    request = (
        f"GET /api/v1/events/stream HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
        f"authorization: Bearer {server.token}\r\nlast-event-id: {server.get('/journal')['head']}\r\n\r\n"
    ).encode()
    made = []
    try:
        for _ in range(count):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", server.port))
            sock.sendall(request)
            made.append(sock)
        yield made
    finally:
        for sock in made:
            sock.close()


def queues(port: int) -> tuple[int, int]:
    """How many connections the server has, and the bytes that the kernel keeps to be sent on them."""
    count = kept = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == _ESTABLISHED:
            count += 1
            kept += int(fields[4].partition(":")[0], 16)
    return count, kept


def stalled(server: Server, folder: Path) -> list[str]:
    """Clients that read nothing."""
    folder.mkdir(exist_ok=True)
    (folder / "workflow.yaml").write_text(BUSY)
    request = run_request(
        folder / "workflow.yaml", inputs={"items": ["a line of output, " * 20] * 100}, options={}
    )
    reader = Listeners(server, 1)  # so that the newest events are in memory already: all clients share them
    for _ in range(8):  # what a load like this leaves behind in the process without clients
        server.post("/runs", request)
        settled_head(server)
    before, others = settled_memory(server), queues(server.port)[0]
    most = kernel = runs = 0
    began = int(server.get("/journal")["head"])
    with stalled_clients(server, STALLED):
        until = time.monotonic() + _PATIENCE_S
        while True:
            server.post("/runs", request)
            runs += 1
            head = settled_head(server)
            count, kept = queues(server.port)
            if count >= STALLED:
                most, kernel = max(most, server.spent().memory_bytes - before), max(kernel, kept)
            if count <= others or time.monotonic() > until:
                break
    reader.close()
    process, kept = most / STALLED, kernel / STALLED
    left = max(0, count - others)
    print(
        f"\n{STALLED} clients that read nothing: {process / 1000:.1f} KB each in the process, {kept / 1000:.1f} KB in the kernel;"
    )
    print(f"  {STALLED - left} dropped after {head - began} events ({runs} runs)")
    missed = []
    if process + kept >= STALLED_GOAL_BYTES:
        missed.append(f"a client that reads nothing costs {(process + kept) / 1000:.0f} KB, not under 100")
    if left:
        missed.append(f"{left} clients that read nothing were not dropped")
    return missed


def cut(server: Server, folder: Path) -> list[str]:
    """Clients that lose their connection again and again."""
    listeners = Listeners(server, CUTTING, cuts=CUTS)
    with Runs(server, folder, per_s=20.0) as runs:
        until = time.monotonic() + _PATIENCE_S
        while runs.started < CUTS * 2 and time.monotonic() < until:
            time.sleep(0.1)
    seen = listeners.until(settled_head(server))
    listeners.close()
    print(f"\n{CUTTING} clients, each cut off {seen['cuts']} times or more over {seen['events']} events:")
    print(f"  {seen['mistakes']} lost, repeated or out of order")
    missed = [text for text in (seen["late"], *seen["wrong"]) if text]
    if seen["cuts"] < CUTS:
        missed.append(f"a client was cut off only {seen['cuts']} times")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--runs-per-s", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load (at most 60)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=["crowd", "stalled", "cut"])
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a goal is missed")
    options = parser.parse_args()
    options.seconds = min(options.seconds, 60.0)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server and the listeners inherit it
    missed: list[str] = []
    with installation(options.database) as at, serve(at) as server:
        print(f"{options.database}")
        folder = at.home.parent / "flows"
        folder.mkdir()
        if "crowd" in options.only:
            missed += crowd(server, options, folder / "ticks")
        if "cut" in options.only:
            missed += cut(server, folder / "ticks")
        if "stalled" in options.only:
            missed += stalled(server, folder / "busy")
    for line in missed:
        print(f"MISSED {line}")
    sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
    main()
