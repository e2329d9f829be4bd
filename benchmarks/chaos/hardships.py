"""Clients and endpoints that behave badly on purpose, one kind after the other."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from chaos.checks import Findings
from chaos.fleet import Fleet
from chaos.site import PROVIDERS, Site

__all__ = [
    "body_too_large",
    "breakers_close",
    "endless_stream",
    "header_flood",
    "large_bodies",
    "quota_comes_back",
    "slow_heads",
    "stalled_clients",
    "unread_answers",
]

_WAIT_S = 15.0
_STALLED = 24
_STALLED_MB = 3.0
_FLOOD_MB = 64
_FLOOD_TAKEN_MB = 4.0
_LARGE_MB = 30


def request(
    site: Site, model: str, *, key: str = "w0", stream: bool = False, content: Any = "id=x; hello"
) -> bytes:
    """A chat completion as bytes."""
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": content}],
    }
    if stream:
        body["stream"] = True
    data = json.dumps(body).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{site.port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {site.plan.keys[key]}\r\ncontent-length: {len(data)}\r\n\r\n"
    ).encode() + data


async def asked(site: Site, data: bytes, *, wait_s: float = _WAIT_S) -> tuple[int, bytes]:
    """Send a request on a connection of its own; return status and everything that came."""
    async with asyncio.timeout(wait_s):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        try:
            writer.write(data.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            answer = await reader.read(-1)
        finally:
            writer.close()
    return (int(answer[9:12]) if answer[9:12].isdigit() else 0), answer


async def until(condition: Callable[[], Awaitable[bool]], limit_s: float = _WAIT_S) -> float | None:
    """Wait for a condition; return how long it took, None when it did not come."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        if await condition():
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    return None


async def _silent(site: Site, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request and never read the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(data)
    return reader, writer


def _to_clients(site: Site) -> int:
    return sum(
        own == site.port and state not in ("TIME_WAIT", "NONE") for own, _, state in site.connections()
    )


async def stalled_clients(site: Site, fleet: Fleet, found: Findings) -> None:
    """Clients that stop reading an endless stream hold neither memory nor the upstream."""
    alpha = fleet.members["alpha"]
    await alpha.tell("endless")
    before, sent = site.memory_mb, (await alpha.state())["sent_bytes"]
    clients = [await _silent(site, request(site, "only-alpha", stream=True)) for _ in range(_STALLED)]
    await asyncio.sleep(1.0)
    held = site.memory_mb - before
    pushed = ((await alpha.state())["sent_bytes"] - sent) / 1e6

    async def ended() -> bool:
        return bool((await alpha.state())["open"] == 0)

    async def closed() -> bool:
        return _to_clients(site) == 0

    upstream_s, clients_s = await until(ended), await until(closed)
    for _, writer in clients:
        writer.transport.abort()
    await alpha.tell("ok")
    found.show(f"{_STALLED} clients that do not read: memory held, MB", f"{held:.1f}")
    found.show(
        "  the upstream call ended after, s", "never" if upstream_s is None else f"{upstream_s + 1:.1f}"
    )
    found.show(
        "  their connections were closed after, s", "never" if clients_s is None else f"{clients_s + 1:.1f}"
    )
    if held > _STALLED * _STALLED_MB or pushed > _STALLED * 16:
        found.wrong(f"{_STALLED} stalled clients hold {held:.0f} MB; the endpoint could send {pushed:.0f} MB")
    if upstream_s is None:
        found.wrong("upstream calls of stalled clients are not cancelled")
    if clients_s is None:
        found.wrong("connections of stalled clients are never closed")


async def unread_answers(site: Site, fleet: Fleet, found: Findings) -> None:
    """Whole answers of many megabytes that nobody reads are not kept for ever."""
    alpha = fleet.members["alpha"]
    await alpha.tell("large")
    before = site.memory_mb
    clients = [await _silent(site, request(site, "only-alpha")) for _ in range(8)]
    await asyncio.sleep(1.0)
    held = site.memory_mb - before

    async def closed() -> bool:
        return _to_clients(site) == 0

    closed_s = await until(closed)
    for _, writer in clients:
        writer.transport.abort()
    await alpha.tell("ok")
    found.show("8 answers of 8 MB that nobody reads: memory held, MB", f"{held:.1f}")
    if closed_s is None:
        found.wrong("answers that nobody reads are kept for as long as the client likes")


async def endless_stream(site: Site, fleet: Fleet, found: Findings) -> None:
    """A stream without end is ended by the route's time."""
    gamma = fleet.members["gamma"]
    await gamma.tell("endless")
    before = site.memory_mb
    began, size, tail = time.monotonic(), 0, b""
    try:
        async with asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(request(site, "only-gamma", stream=True))
            while b"0\r\n\r\n" not in tail:
                piece = await reader.read(1 << 16)
                if not piece:
                    break
                size += len(piece)
                tail = (tail + piece)[-500:]
            writer.close()
    except TimeoutError:
        found.wrong("a stream without end is never ended")
    await gamma.tell("ok")
    found.show("a stream without end was ended after, s", f"{time.monotonic() - began:.1f}")
    found.show(
        "  with so many MB passed on, and memory grown by, MB",
        f"{size / 1e6:.0f}, {site.memory_mb - before:.1f}",
    )
    if b"error" not in tail:
        found.wrong(f"a stream without end ended without an error event: {tail[-200:]!r}")


async def header_flood(site: Site, found: Findings) -> None:
    """A client's headers without end are refused early."""
    before, sent = site.memory_mb, 0
    piece = (b"x-flood: " + b"x" * 8_000 + b"\r\n") * 128
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_WAIT_S):
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
            while sent < _FLOOD_MB * 1_000_000:
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
            writer.transport.abort()
    found.show(
        "headers without end: taken before the end, MB; memory grown, MB",
        f"{sent / 1e6:.1f}; {site.memory_mb - before:.1f}",
    )
    if sent / 1e6 > _FLOOD_TAKEN_MB:
        found.wrong(f"{sent / 1e6:.0f} MB of headers were taken from a client without a key")


async def slow_heads(site: Site, found: Findings) -> None:
    """A client that never ends its headers is sent away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    began = time.monotonic()
    try:
        async with asyncio.timeout(60):
            await reader.read(-1)
        found.show(
            "a client that never ends its headers is sent away after, s", f"{time.monotonic() - began:.1f}"
        )
    except (TimeoutError, ConnectionError):
        found.wrong("a client that never ends its headers keeps its connection for ever")
    writer.close()


async def large_bodies(site: Site, fleet: Fleet, found: Findings) -> None:
    """Requests of 30 MB pass, and leave nothing behind; nor do those that fail."""
    picture = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + "A" * (_LARGE_MB * 1_000_000)},
    }
    data = request(site, "patient", content=[{"type": "text", "text": "id=large;"}, picture])
    await asyncio.gather(*(asked(site, data, wait_s=60) for _ in range(4)))
    before = site.memory_mb  # what the process keeps to use it again does not count
    answers = await asyncio.gather(*(asked(site, data, wait_s=60) for _ in range(4)))
    statuses = sorted(status for status, _ in answers)
    after = site.memory_mb
    found.show(
        f"4 requests of {_LARGE_MB} MB at once: statuses; memory kept, MB",
        f"{statuses}; {after - before:.1f}",
    )
    if statuses != [200] * 4:
        bad = next(answer for status, answer in answers if status != 200)
        found.wrong(f"requests of {_LARGE_MB} MB are not answered: {statuses} {bad[-300:]!r}")
    if after - before > 2 * _LARGE_MB:
        found.wrong(f"{after - before:.0f} MB stay behind after {_LARGE_MB} MB requests")

    await fleet.members["beta"].tell("broken")
    await asyncio.gather(*(asked(site, data, wait_s=60) for _ in range(4)))
    await fleet.members["beta"].tell("ok")
    failed = site.memory_mb
    found.show("  memory kept after as many that failed, MB", f"{failed - after:.1f}")
    if failed - after > 2 * _LARGE_MB:
        found.wrong(f"{failed - after:.0f} MB stay behind after {_LARGE_MB} MB requests that failed")


async def body_too_large(site: Site, found: Findings) -> None:
    """A larger one is refused before it is taken."""
    head = request(site, "only-beta").split(b"content-length", 1)[0]
    status, _ = await asked(site, head + b"content-length: 99000000\r\n\r\n" + b"x" * 100_000)
    if status not in (413, 422, 400):
        found.wrong(f"a body of 99 MB is answered with {status}")


async def quota_comes_back(site: Site, fleet: Fleet, found: Findings) -> None:
    """A key that may have eight calls open has eight, whatever became of earlier ones."""
    await fleet.members["alpha"].tell("slow")
    data = request(site, "only-alpha", key="quota")
    statuses = [status for status, _ in await asyncio.gather(*(asked(site, data) for _ in range(8)))]
    await fleet.members["alpha"].tell("ok")
    if statuses != [200] * 8:
        found.wrong(
            f"a key with eight places got {statuses} for eight calls after its earlier ones had ended"
        )


async def breakers_close(site: Site, found: Findings, *, limit_s: float) -> None:
    """Every endpoint that is well again gets calls again."""

    async def well(provider: str) -> bool:
        for _ in range(12):  # a breaker that comes back lets through one call more after each success
            status, _ = await asked(site, request(site, f"only-{provider}"))
            if status != 200:
                return False
        return True

    longest = 0.0
    for provider in PROVIDERS:
        taken = await until(lambda provider=provider: well(provider), limit_s)  # type: ignore[misc]
        if taken is None:
            status, answer = await asked(site, request(site, f"only-{provider}"))
            found.wrong(
                f"{provider} is well and gets no calls for {limit_s:.0f} s: {status} {answer[-300:]!r}"
            )
        else:
            longest = max(longest, taken)
    found.show("until every endpoint that was well again got calls, s", f"{longest:.1f}")
