"""Network egress: TCP, UDP and DNS from commands; metadata addresses through the HTTP tool."""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mosaic.core.errors import InvalidInput, PolicyDenied, Unavailable
from mosaic.outbound import is_public
from mosaic.tools import Hold, Invocation, ToolSettings
from mosaic.tools.http_request import HttpRequestTool
from tests.tools.adversarial.conftest import Attacker
from tests.tools.sandbox.drivers import driver

pytestmark = pytest.mark.anyio

QUESTION = r"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06secret\x07example\x03com\x00\x00\x01\x00\x01"
WAYS = {
    "tcp": "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)",
    "tcp by another address": "import socket, sys; socket.create_connection((sys.argv[3], int(sys.argv[1])), 2)",
    "tcp over IPv6": "import socket, sys; socket.create_connection(('::ffff:127.0.0.1', int(sys.argv[1])), 2)",
    "udp": "import socket, sys; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', int(sys.argv[2])))",
    "dns": f"import socket, sys; socket.socket(2, 2).sendto(b'{QUESTION}', ('127.0.0.1', int(sys.argv[2])))",
    "broadcast": (
        "import socket, sys; s = socket.socket(2, 2); s.setsockopt(1, 6, 1); s.sendto(b'x', ('255.255.255.255', int(sys.argv[2])))"
    ),
    "a child's own namespace": "import os, socket, sys; os.system('unshare -n true'); socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)",
    "the resolver": "import socket; socket.getaddrinfo('secret.example.com', 80)",
    "metadata": "import socket; socket.create_connection(('169.254.169.254', 80), 2)",
    "raw": "import socket; socket.socket(2, 3, 1).sendto(b'\\x08\\x00', ('127.0.0.1', 0))",
    "packets": "import socket; socket.socket(17, 3)",
    "the hypervisor": "import socket; socket.socket(40, 1)",
}


@pytest.fixture
def listening() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        stream.bind(("0.0.0.0", 0))
        datagrams.bind(("0.0.0.0", 0))
        stream.listen(16)
        for one in (stream, datagrams):
            one.setblocking(False)
        yield stream, datagrams


def own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))  # sends nothing: it asks the routes
        except OSError:
            return "127.0.0.2"
        return str(one.getsockname()[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("denied_by", ["settings", "policy"])
async def test_nothing_leaves(
    attacker: Attacker, listening: tuple[socket.socket, socket.socket], way: str, denied_by: str
) -> None:
    name = attacker.invocation.sandboxes.settings.driver
    await driver(name, Hold.NETWORK)
    invocation = replace(attacker.invocation, network=denied_by == "settings")
    stream, datagrams = listening
    ports = [str(one.getsockname()[1]) for one in (stream, datagrams)]
    seen = await Attacker(invocation).run(argv=["python3", "-c", WAYS[way], *ports, own_address()])
    for one in (stream, datagrams):
        with pytest.raises(BlockingIOError):
            one.accept() if one is stream else one.recv(100)
    if way not in ("udp", "dns", "broadcast"):  # a datagram without a receiver is no error
        assert seen["exit_code"] != 0


async def test_the_ways_do_lead_out_without_a_sandbox(listening: tuple[socket.socket, socket.socket]) -> None:
    """The test above can fail."""
    stream, datagrams = listening
    ports = [str(one.getsockname()[1]) for one in (stream, datagrams)]
    for way in ("tcp", "udp", "dns"):
        process = await asyncio.create_subprocess_exec("python3", "-c", WAYS[way], *ports, own_address())
        assert await process.wait() == 0
    stream.accept()[0].close()
    assert datagrams.recv(100) == b"x"
    assert b"example" in datagrams.recv(100)


METADATA = [
    *(
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    ),
    *(
        "169.254.170.2",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:169.254.169.254]",
    ),
    *(
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[::a9fe:a9fe]",
    ),
    *("[fe80::a9fe:a9fe]", "[2001:0:a9fe:a9fe::1]", "①⑥⑨.254.169.254", "169。254。169。254"),
]


@pytest.mark.parametrize("host", METADATA)
@pytest.mark.parametrize("path", ["/latest/meta-data/iam", "/computeMetadata/v1/"])
async def test_no_spelling_of_a_metadata_address_is_requested(
    invocation: Invocation, host: str, path: str
) -> None:
    with pytest.raises((PolicyDenied, InvalidInput, Unavailable)) as caught:
        await HttpRequestTool(ToolSettings()).call(invocation, {"url": f"http://{host}{path}"})
    assert not isinstance(caught.value, Unavailable) or "resolve" in caught.value.message


@pytest.mark.parametrize("scheme", ["file", "gopher", "ftp", "dict", "ldap", "unix", "http+unix"])
async def test_no_other_scheme_is_spoken(invocation: Invocation, scheme: str) -> None:
    with pytest.raises((PolicyDenied, InvalidInput)):
        await HttpRequestTool(ToolSettings()).call(
            invocation, {"url": f"{scheme}://169.254.169.254/etc/passwd"}
        )


@pytest.mark.parametrize(
    "url",
    [
        "http://user@169.254.169.254/",
        "http://example.com@169.254.169.254/",
        "http://169.254.169.254#@example.com/",
    ],
)
async def test_a_name_before_the_host_hides_nothing(invocation: Invocation, url: str) -> None:
    with pytest.raises((PolicyDenied, InvalidInput)):
        await HttpRequestTool(ToolSettings()).call(invocation, {"url": url})


async def test_a_name_that_changes_its_address_is_asked_once(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the address that was checked is the one that is connected to."""
    answers: list[str] = []
    loop = asyncio.get_running_loop()

    async def resolve(host: str, port: Any, **options: Any) -> list[Any]:
        answers.append("203.0.113.9" if not answers else "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    with pytest.raises((PolicyDenied, Unavailable)):  # a documentation network: not public, or not reached
        await HttpRequestTool(ToolSettings()).call(invocation, {"url": "http://rebind.example/"})
    assert answers == ["203.0.113.9"]


@pytest.mark.parametrize("address", [host.strip("[]") for host in METADATA if "[" in host or host[0] == "1"])
def test_a_metadata_address_is_not_public(address: str) -> None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return
    assert not is_public(parsed), json.dumps(address)
