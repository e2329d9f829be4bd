"""Transports to MCP servers, with bounds that the SDK's own do not have.

A stdio server runs in a sandbox with the network, or, when it is not confined, under a warden alone: it gets a clean
environment, its lines are bounded, and it ends when we end.
"""

import asyncio
import contextlib
import shutil
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from mosaic.core.errors import ContractViolation
from mosaic.outbound import GuardedTransport
from mosaic.tools.declarations import McpServer
from mosaic.tools.http_bounds import BoundedTransport
from mosaic.tools.mcp.reach import BESIDE_US
from mosaic.tools.processes import Process, clean_environment, plain_text
from mosaic.tools.processes.environment import program_path
from mosaic.tools.sandbox import Job, Sandboxes
from mosaic.tools.sandbox.places import installation_of

__all__ = ["Diagnostics", "http_transport", "stdio_transport"]

_LINE_BYTES = 8_000_000
_MOST_GARBAGE = 100
_CONNECT_S = 10.0
# Many servers close a connection that was quiet for 5 s; what is sent in that moment is lost and cannot be sent again.
_LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)


class Diagnostics:
    """What a server said beside the protocol, to explain its end.

    Attributes:
        violation: why we gave it up.
        ended: it will say nothing any more.
    """

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=10)
        self.violation: str | None = None
        self.ended = False

    def note(self, line: bytes) -> None:
        """Keep a line of its stderr, or one of its stdout that is no message."""
        if text := plain_text(line).strip():
            self._lines.append(text[:300])

    def __str__(self) -> str:
        return self.violation or " | ".join(self._lines)[-600:]


@asynccontextmanager
async def stdio_transport(
    server: McpServer,
    *,
    workspace: Path | None,
    scratch: Path,
    diagnostics: Diagnostics,
    sandboxes: Sandboxes | None = None,
) -> AsyncIterator[Any]:
    """Start a server and exchange newline-delimited messages with it.

    Raises:
        ToolFailed: if it cannot be started.
        NoSandbox: if it is to be confined and nothing here holds what is required.
    """
    async with _started(server, workspace, scratch, sandboxes or Sandboxes()) as process:
        to_us, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, from_us = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process.stdout, to_us, diagnostics)
            tasks.start_soon(_write, process, from_us, to_us)
            tasks.start_soon(_listen, process.stderr, diagnostics)
            try:
                yield incoming, outgoing
            finally:
                tasks.cancel_scope.cancel()
                for stream in (incoming, outgoing, to_us, from_us):
                    stream.close()


def _started(
    server: McpServer, workspace: Path | None, scratch: Path, sandboxes: Sandboxes
) -> AbstractAsyncContextManager[Process]:
    if not server.confined:
        return Process.start(
            server.command,
            cwd=workspace or scratch,
            environment=clean_environment(scratch, workspace=workspace, extra=server.environment),
            with_stdin=True,
        )
    job = Job(
        server.command,
        scratch,
        workspace,
        environment=server.environment,
        network=True,
        readable=_programs(server.command, workspace),
    )
    return sandboxes.start(job)


def _programs(command: tuple[str, ...], workspace: Path | None) -> tuple[Path, ...]:
    """Return what the command's words name, with what belongs to it; whoever declared the server named it."""
    program, *words = command
    found = shutil.which(program, path=program_path(workspace)) or program
    return tuple(place for word in (found, *words) for place in installation_of(word, workspace))


async def _read(
    stdout: asyncio.StreamReader,
    to_us: MemoryObjectSendStream[SessionMessage | Exception],
    diagnostics: Diagnostics,
) -> None:
    garbage = 0
    with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with to_us:
            async for line in _lines(stdout, diagnostics):
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    garbage += 1
                    diagnostics.note(line[:300])
                    if garbage > _MOST_GARBAGE:
                        diagnostics.violation = "it prints lines that are no MCP messages"
                        break
                    continue
                await to_us.send(SessionMessage(message))
    diagnostics.ended = True


async def _lines(stream: asyncio.StreamReader, diagnostics: Diagnostics) -> AsyncIterator[bytes]:
    """Yield lines; one that is too long ends the stream."""
    buffer = bytearray()
    while chunk := await stream.read(65_536):
        buffer += chunk
        if b"\n" in chunk:
            *whole, rest = bytes(buffer).split(b"\n")
            buffer = bytearray(rest)
            for line in whole:
                if line.strip():
                    yield line
        if len(buffer) > _LINE_BYTES:
            diagnostics.violation = f"it sent a line of more than {_LINE_BYTES} bytes"
            return


async def _write(
    process: Process,
    from_us: MemoryObjectReceiveStream[SessionMessage],
    to_us: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    stdin = process.stdin
    assert stdin is not None  # noqa: S101  # it was started with one
    try:
        async with from_us:
            async for outgoing in from_us:
                text = outgoing.message.model_dump_json(by_alias=True, exclude_unset=True)
                stdin.write(text.encode() + b"\n")
                await stdin.drain()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return
    except OSError:
        # It reads no more: end the session, or a request would wait for ever.
        to_us.close()


async def _listen(stderr: asyncio.StreamReader, diagnostics: Diagnostics) -> None:
    while chunk := await stderr.read(65_536):
        for line in chunk[-8_192:].splitlines():
            diagnostics.note(line)


@asynccontextmanager
async def http_transport(server: McpServer, *, auth: httpx2.Auth | None = None) -> AsyncIterator[Any]:
    """Connect to a streamable HTTP server.

    Raises:
        ContractViolation: if the server has no address.
    """
    if server.url is None:
        raise ContractViolation("The MCP server has neither a command nor a url.")
    # Calls may take as long as the door allows; only connecting has a limit of its own.
    timeout = httpx2.Timeout(None, connect=_CONNECT_S)
    client = httpx2.AsyncClient(
        headers=dict(server.headers),
        auth=auth,
        timeout=timeout,
        transport=GuardedTransport(
            BoundedTransport(httpx2.AsyncHTTPTransport(limits=_LIMITS), limit_bytes=_LINE_BYTES),
            allowed=BESIDE_US,
        ),
        follow_redirects=False,
    )
    async with (
        client,
        streamable_http_client(server.url, http_client=client, max_sse_event_size=_LINE_BYTES) as streams,
    ):
        yield streams
