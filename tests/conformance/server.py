"""Serves the suite's own tools with our server's code, on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn

from mosaic.core.context import Actor, Context
from mosaic.mcp import Caller, McpDoor, McpSettings
from mosaic.mcp.interfaces import Headers
from mosaic.mcp.wire import Wire
from tests.conformance.fixture import SuiteOffer

__all__ = ["suite_server"]

WAIT_S = 60.0


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to the test."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def anyone(_headers: Headers) -> Caller:
    """Let everybody in: the suite shows no key."""
    return Caller(Context("suite", "suite", Actor("user", "suite")), "suite")


@asynccontextmanager
async def suite_server() -> AsyncIterator[str]:
    """Serve; yields the address of the MCP endpoint."""
    settings = McpSettings(hosts=frozenset({"127.0.0.1", "localhost", "[::1]"}))
    stopping, offer = asyncio.Event(), SuiteOffer()
    door = McpDoor(anyone, lambda: Wire(offer, settings, sealing_key=b"k" * 32), settings, stopping=stopping)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            door, interface="asgi3", log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=2
        )
        server = QuietServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://localhost:{listener.getsockname()[1]}/mcp"
        finally:
            stopping.set()
            server.should_exit = True
            async with asyncio.timeout(WAIT_S):
                await task
            await door.close()
            offer.jobs.close()
