"""An HTTP server that is told of events: it answers as it is told to, then with 204."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mosaic.core.values import JsonObject

WAIT_S = 60.0


@dataclass
class Receiver:
    """Answers with `answers` (a status, or a status and headers) in turn, then with 204.

    Attributes:
        heard: the headers and the body of each message.
    """

    url: str = ""
    answers: list[int | tuple[int, str]] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None
    together: int = 0
    most_together: int = 0

    @property
    def events(self) -> list[JsonObject]:
        """The CloudEvents that arrived."""
        return [json.loads(body) for _, body in self.heard]

    @property
    def types(self) -> list[str]:
        return [str(event["type"]) for event in self.events]

    @asynccontextmanager
    async def open(self, port: int = 0) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        headers: dict[str, str] = {}
        while line := (await reader.readline()).decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        self.news.set()
        if self.hold is not None:
            await self.hold.wait()
        self.together -= 1
        self.heard.append((headers, body))
        answer = self.answers.pop(0) if self.answers else 204
        status, more = answer if isinstance(answer, tuple) else (answer, "")
        writer.write(f"HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        self.news.set()

    async def holds(self, count: int) -> None:
        """Wait until that many messages are held at once."""
        await self.until(lambda: self.together >= count)

    async def hears(self, count: int) -> None:
        """Wait until that many messages have arrived."""
        await self.until(lambda: len(self.heard) >= count)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true that messages make so."""
        async with asyncio.timeout(WAIT_S):
            while not true():
                await self.news.wait()
                self.news.clear()
