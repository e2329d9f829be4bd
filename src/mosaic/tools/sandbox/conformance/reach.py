"""The network and the amounts: what a command must neither reach nor take."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mosaic.tools.sandbox.conformance.grounds import FEW, Grounds, alive, check, must
from mosaic.tools.sandbox.schemas import Hold, Limits

__all__ = ["unix_server"]

_REACH = """
import json, socket, struct, sys
addresses = json.loads(sys.argv[1])
def attempt(what, act):
    try:
        act()
        print("reached", what)
    except OSError:
        pass
def tcp(address, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_STREAM); s.settimeout(1); s.connect(tuple(address)); s.close()
def udp(address, data=b"x"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(data, tuple(address)); s.close()
attempt("tcp", lambda: tcp(addresses["tcp"]))
attempt("metadata", lambda: tcp(("169.254.169.254", 80)))
for address in addresses["own"]:
    attempt("own " + address, lambda: tcp((address, addresses["tcp"][1])))
try:
    udp(addresses["udp"]); udp(addresses["udp"], struct.pack(">6H", 7, 256, 1, 0, 0, 0) + b"\\7mosaic\\3com\\0\\0\\1\\0\\1")
except OSError:
    pass
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b"\\10\\0\\0\\0", ("127.0.0.1", 0)))
attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
attempt("dns", lambda: socket.getaddrinfo("one.one.one.one", 443))
"""


@check(Hold.NETWORK, local=True)
async def sends_nothing_without_network(on: Grounds) -> None:
    """No TCP, no UDP, no question to a name server, no raw packet leaves; nor reaches a server of this machine."""
    with _server(socket.SOCK_STREAM) as stream, _server(socket.SOCK_DGRAM) as datagrams:
        addresses = {
            "tcp": ("127.0.0.1", stream.getsockname()[1]),
            "udp": datagrams.getsockname(),
            "own": sorted({str(entry[4][0]) for entry in _own_addresses()}),
        }
        done = await on.python(_REACH, json.dumps(addresses))
        received = _received(datagrams)
    must(done.exit_code == 0, f"the attempt itself failed: {done.stderr.text[-300:]}")
    must(done.stdout.text == "", done.stdout.text)
    must(not received, "a datagram arrived")


@check(local=True)
async def reaches_the_network_when_it_may(on: Grounds) -> None:
    """With the host's network a server of this machine answers: the check above can fail."""
    with _server(socket.SOCK_STREAM) as stream, _server(socket.SOCK_DGRAM) as datagrams:
        addresses = {"tcp": ("127.0.0.1", stream.getsockname()[1]), "udp": datagrams.getsockname(), "own": []}
        done = await on.python(_REACH, json.dumps(addresses), network=True)
        received = _received(datagrams)
    must("reached tcp" in done.stdout.text, f"no connection: {done.stderr.text[-300:]}")
    must(received, "no datagram arrived")


@check(local=True)
async def talks_to_a_socket_that_it_was_given(on: Grounds) -> None:
    """A unix socket of the job answers, without any network."""
    path = str(on.outside / "gateway")
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('connected')"
    )
    with unix_server(path):
        done = await on.python(script, path, sockets=(Path(path),))
    must(done.stdout.text == "connected\n", f"it did not: {done.stderr.text[-300:]}")


@check(Hold.PROCESSES, local=True)
async def survives_a_fork_bomb(on: Grounds) -> None:
    """Its limit of processes holds, and nothing of it is left."""
    counted = await on.python(
        "import os, time\nn = 0\ntry:\n  while n < 200:\n    if os.fork() == 0: time.sleep(30); os._exit(0)\n    n += 1\n"
        "except OSError: pass\nprint(n)",
        limits=FEW,
    )
    must(counted.stdout.text.strip().isdigit(), f"it did not count: {counted.stderr.text[-300:]}")
    must(int(counted.stdout.text) <= FEW.processes, f"{counted.stdout.text.strip()} processes were started")
    bomb = 'f() { sleep "$1" & f "$1" | f "$1" & }; f "$1"; sleep "$1"'
    done = await on.sh(bomb, on.marker, limits=FEW, timeout_s=1.5)
    must(done.duration_s < 30, f"it took {done.duration_s:.0f} s to end it")
    must(not alive(on.marker), "a process of the bomb is left")


@check(Hold.MEMORY, local=True)
async def bounds_memory_of_all_processes_together(on: Grounds) -> None:
    """Neither one process nor several get more than the limit."""
    hold = "import sys, time\nheld = bytearray(int(sys.argv[1]))\nfor i in range(0, len(held), 4096): held[i] = 1\nprint('held', flush=True)"
    alone = await on.python(hold, str(2 * FEW.memory_bytes), limits=FEW)
    must("held" not in alone.stdout.text, "one process took twice the limit")
    several = 'for i in 1 2 3 4; do python3 -c "$1; time.sleep(2)" "$2" & done; wait'
    done = await on.sh(several, hold, str(FEW.memory_bytes // 2), limits=FEW)
    must(done.stdout.text.count("held") < 4, "four processes took twice the limit together")


@check(Hold.CPU, local=True)
async def bounds_processor_time(on: Grounds) -> None:
    """A fifth of a processor gives a busy process no more than about that."""
    script = "import time\nb = time.monotonic()\nwhile time.monotonic() - b < 2: pass\nprint(time.process_time() / 2)"
    done = await on.python(script, limits=Limits(cpus=0.2))
    must(
        done.exit_code == 0 and float(done.stdout.text) < 0.5,
        f"it took {done.stdout.text.strip()} of a processor",
    )


@contextmanager
def _server(kind: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, kind) as made:
        made.bind(("0.0.0.0", 0) if kind == socket.SOCK_STREAM else ("127.0.0.1", 0))  # noqa: S104  # it answers nobody
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen(8)
        yield made


@contextmanager
def unix_server(name: str) -> Iterator[None]:
    """Serve a unix socket that answers nobody."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(name)
        made.listen(8)
        yield


def _own_addresses() -> list[Any]:
    with contextlib.suppress(OSError):
        return socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    return []


def _received(datagrams: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return bool(datagrams.recv(512))
    return False
