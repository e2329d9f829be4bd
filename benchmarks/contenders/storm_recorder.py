"""The world outside of a storm: an HTTP server that gets the runs' calls, and judges each against the journal."""

import asyncio
import contextlib
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import sqlalchemy

from mosaic.core.context import Context
from mosaic.storage import Database

__all__ = ["Recorder"]

_EFFECTS = sqlalchemy.text("SELECT key, status FROM effect WHERE tenant_id = :tenant AND run_id = :run")
_FLAKY = "flaky#request/"


@dataclass
class Recorder:
    """What was called, and what should not have been.

    Attributes:
        url: where it listens.
        calls: how many calls each route got.
        repeated: calls whose result was not recorded yet when they came again under the same key: a process died
            between the call and the record. Allowed for what is keyed or only reads.
        violations: calls that must not have been made.
        heard: what each run told, by run.
    """

    database: Database
    ctx: Context
    url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    heard: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _keys: Counter[str] = field(default_factory=Counter)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Recorder"]:
        """Listen on a free port of 127.0.0.1."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = await reader.readline()
            if not request.endswith(b"\n"):
                return  # whoever connected was killed before it said anything
            method, target, _ = request.decode().split(" ", 2)
            headers: dict[str, str] = {}
            while line := (await reader.readline()).decode().strip():
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status, answer = await self._judge(method, target, headers, body)
            said = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + said)
            await writer.drain()
        writer.close()

    async def _judge(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]]:
        address = urlsplit(target)
        about = {key: values[0] for key, values in parse_qs(address.query).items()} if method == "GET" else {}
        about = about or json.loads(body)
        run, route = str(about["run"]), address.path.strip("/")
        async with (
            self._turn
        ):  # in the order of their coming, so that none is judged by what came of a later one
            self.calls[route] += 1
            async with self.database.transaction(read_only=True) as tx:
                rows = await tx.rows(_EFFECTS.bindparams(tenant=self.ctx.tenant, run=run))
            effects = {str(row["key"]): str(row["status"]) for row in rows}
            if method == "GET":
                return self._flaky(run, effects)
            return self._told(run, route, str(about["what"]), headers.get("idempotency-key", ""), effects)

    def _flaky(self, run: str, effects: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Fail the first attempt, as often as it is made; answer the second."""
        mine = {key: status for key, status in effects.items() if key.removeprefix(_FLAKY).isdecimal()}
        if "done" in mine.values():
            self.violations.append(f"{run}: /flaky was called although its answer is recorded")
        attempt = 2 if mine.get(f"{_FLAKY}1") == "failed" else 1
        self._count(f"{run} flaky {attempt}", "flaky")
        return (200, {"answer": "steady"}) if attempt == 2 else (503, {"answer": "not yet"})

    def _told(
        self, run: str, route: str, what: str, key: str, effects: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        status = next((found for name, found in effects.items() if self._key(run, name) == key), None)
        if status in ("done", "failed"):
            self.violations.append(f"{run}: {what} was called again although its effect is {status}")
        if self._count(key, route) and route == "push":
            self.violations.append(
                f"{run}: {what} was sent twice under one key although it is not safe to repeat"
            )
        if route == "push" and status is None:
            self.violations.append(f"{run}: {what} was sent before its intent was recorded")
        self.heard[run].add(what)
        return 200, {"answer": f"heard {what}"}

    def _count(self, key: str, route: str) -> bool:
        self._keys[key] += 1
        again = self._keys[key] > 1
        if again:
            self.repeated[route] += 1
        return again

    def _key(self, run: str, effect: str) -> str:
        scope = f"{self.ctx.tenant}\n{run}\n{effect}"
        return "mosaic-" + hashlib.sha256(scope.encode()).hexdigest()[:40]
