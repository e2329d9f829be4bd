"""What a call of an MCP tool through a proxy costs: MosAIc, FastMCP's proxy and ContextForge, in one run.

One canned MCP server on 127.0.0.1 answers everyone; each contender runs alone in front of it, with one worker, and gets
the same ``tools/call`` from a load generator in a process of its own. MosAIc runs as `mosaic up` with everything on: a
virtual key, quarantine, policy, limits and a journaled event for each call. Processor time is that of the contender's
whole process tree (/proc), divided by exactly the calls it answered. Ratios hold on a machine that is busy with other
things as far as all contenders suffer alike; absolute figures do not.

    python benchmarks/mcp_proxy.py [--connections 1,32] [--seconds 3] [--rounds 3] [--only MosAIc,FastMCP]

FastMCP and ContextForge are installed on first use, each into an environment of its own in the temporary folder; what
cannot be installed or started is reported as absent. `--check` exits with status 1 unless MosAIc answers 5 times as many
calls a second as FastMCP's proxy and 20 times as many as ContextForge, at 32 connections, and adds less than 5 ms to the
median call of one connection.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gateway_rig.contenders import HERE as GATEWAY_RIG
from gateway_rig.processes import CannotStart, free_port, running, spent
from gateway_rig.report import Figures
from mcp_rig.contenders import HERE, Running, contextforge, direct, fastmcp, mosaic
from mcp_rig.report import ADDED_AT, CONTEXTFORGE, DIRECT, FASTMCP, JUDGED_AT, MOSAIC, Cell, missed, table

CONTENDERS = {DIRECT: direct, FASTMCP: fastmcp, CONTEXTFORGE: contextforge, MOSAIC: mosaic}
MOST_CALLS = 100_000
WARM_UP = 100


def load(at: Running, *, connections: int, requests: int, seconds: float) -> dict[str, object]:
    """Send a bounded load to a contender; return what the generator saw."""
    arguments = {"query": "which of the three open questions should we answer first", "limit": 10}
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": at.tool, "arguments": arguments},
    }
    wire = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
    asked = {
        "port": at.port,
        "path": at.path,
        "headers": {**wire, **at.headers},
        "body": body,
        "expected": "canned",
        "connections": connections,
        "requests": requests,
        "seconds": seconds,
    }
    command = [sys.executable, str(GATEWAY_RIG / "load.py"), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if done.returncode:
        raise CannotStart(f"the load generator failed: {done.stderr.strip()[-500:]}")
    return dict(json.loads(done.stdout))


def measured(at: Running, *, connections: int, seconds: float) -> Figures | None:
    """What one load cost; None when nothing was answered."""
    before = spent(at.pid) if at.pid else None
    seen = load(at, connections=connections, requests=MOST_CALLS, seconds=seconds)
    after = spent(at.pid) if at.pid else None
    count = int(str(seen["requests"]))
    if seen["errors"]:
        print(f"  {seen['errors']} errors, the first: {seen['sample']}", file=sys.stderr)
    if not count:
        return None
    return Figures(
        requests=count,
        errors=int(str(seen["errors"])),
        requests_per_s=count / float(str(seen["seconds"])),
        p50_ms=float(str(seen["p50_ms"])),
        p99_ms=float(str(seen["p99_ms"])),
        cpu_us=(after.cpu_s - before.cpu_s) / count * 1e6 if before and after else None,
        memory_mb=after.memory_bytes / 1e6 if after else None,
    )


@contextlib.contextmanager
def canned_server(scratch: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, str(HERE / "canned.py"), str(port)]
    with running(command, port=port, log=scratch / "canned.log"):
        yield port


def compare(options: argparse.Namespace) -> tuple[dict[Cell, list[Figures]], dict[str, str]]:
    cells: dict[Cell, list[Figures]] = {}
    absent: dict[str, str] = {}
    for number in range(options.rounds):
        for name in options.only:
            if name in absent:
                continue
            print(f"round {number + 1}: {name}", file=sys.stderr)
            try:
                one_round(name, options, cells)
            except CannotStart as error:
                absent[name] = str(error)
                print(f"  absent: {error}", file=sys.stderr)
    return cells, absent


def one_round(name: str, options: argparse.Namespace, cells: dict[Cell, list[Figures]]) -> None:
    with tempfile.TemporaryDirectory(prefix="mosaic-bench-") as folder:
        scratch = Path(folder)
        with canned_server(scratch) as upstream, CONTENDERS[name](upstream, scratch) as at:
            load(at, connections=4, requests=WARM_UP, seconds=4)
            for connections in options.connections:
                figures = measured(at, connections=connections, seconds=options.seconds)
                if figures is None:
                    print(f"  no answer at {connections} connections", file=sys.stderr)
                else:
                    cells.setdefault((name, connections), []).append(figures)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", default=f"{ADDED_AT},{JUDGED_AT}")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each figure (at most 60)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, by comma")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a goal is missed")
    options = parser.parse_args()
    options.connections = [int(count) for count in options.connections.split(",")]
    options.only = [name for name in CONTENDERS if name.lower() in options.only.lower().split(",")]
    options.seconds = min(options.seconds, 60.0)
    cells, absent = compare(options)
    print(table(cells))
    for name, reason in absent.items():
        print(f"\nabsent: {name}: {reason}")
    wrong, unjudged = missed(cells, absent)
    print()
    for line in unjudged:
        print(f"NOT JUDGED {line}")
    for line in wrong:
        print(f"MISSED {line}")
    sys.exit(1 if wrong and options.check else 0)


if __name__ == "__main__":
    main()
