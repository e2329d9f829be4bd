"""The sandbox on Daytona, over its HTTP interfaces: one for sandboxes, and the toolbox inside of each."""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from mosaic.core.errors import ContractViolation, Unavailable
from mosaic.tools.http_bounds import BoundedTransport
from mosaic.tools.sandbox.remote import RemoteSandbox, Session
from mosaic.tools.sandbox.schemas import Hold, Job

__all__ = ["DaytonaSandbox"]

_URL = "https://app.daytona.io/api"
_KEY, _URL_VARIABLE = "DAYTONA_API_KEY", "DAYTONA_API_URL"
_START_S, _POLL_S, _REQUEST_S = 120.0, 1.0, 60.0
_MOST_BYTES = 600 * 1024**2
_FAILED = frozenset({"error", "build_failed", "destroyed", "destroying", "stopped", "archived"})


class DaytonaSandbox(RemoteSandbox):
    """Runs each command in an ephemeral sandbox of Daytona's; the key comes from the environment.

    Args:
        snapshot: what sandboxes are made from; the vendor's default when None.
    """

    name = "daytona"

    def __init__(self, *, snapshot: str | None = None) -> None:
        self._snapshot = snapshot

    @property
    def amounts(self) -> frozenset[Hold]:
        """Memory and processors are the snapshot's."""
        return frozenset({Hold.MEMORY, Hold.CPU})

    def problem(self) -> tuple[str, str] | None:
        """Return what is missing to use it."""
        if not os.environ.get(_KEY):
            return f"{_KEY} is not set.", f"Make a key in Daytona's dashboard and set {_KEY}."
        return None

    @asynccontextmanager
    async def open(self, job: Job) -> AsyncIterator[Session]:
        """Get a sandbox for the length of the block; it also ends by itself."""
        if (missing := self.problem()) is not None:
            raise Unavailable(missing[0], hint=missing[1])
        transport = BoundedTransport(httpx2.AsyncHTTPTransport(), limit_bytes=_MOST_BYTES)
        headers = {"Authorization": f"Bearer {os.environ[_KEY]}"}
        async with httpx2.AsyncClient(headers=headers, timeout=_REQUEST_S, transport=transport) as client:
            control = _Control(client, (os.environ.get(_URL_VARIABLE) or _URL).rstrip("/"))
            made = await control.create(self._snapshot, job)
            try:
                yield _Toolbox(client, await control.started(made))
            finally:
                await asyncio.shield(control.delete(made))


class _Control:
    """The interface for sandboxes."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def create(self, snapshot: str | None, job: Job) -> str:
        """Return the id of a new sandbox."""
        wish: dict[str, Any] = {
            "networkBlockAll": not job.network,
            "autoStopInterval": 15,
            "autoDeleteInterval": 0,
            "ttlMinutes": int((job.timeout_s + _START_S) // 60) + 10,
            "labels": {"made-by": "mosaic"},
        }
        if snapshot is not None:
            wish["snapshot"] = snapshot
        return str((await _json(self._client, "POST", f"{self._url}/sandbox", json=wish)).get("id"))

    async def started(self, made: str) -> str:
        """Wait until a sandbox runs; returns the address of its toolbox."""
        try:
            async with asyncio.timeout(_START_S):
                while True:
                    seen = await _json(self._client, "GET", f"{self._url}/sandbox/{made}")
                    if seen.get("state") == "started":
                        break
                    if seen.get("state") in _FAILED:
                        raise Unavailable(f"Daytona's sandbox is {seen['state']}: {seen.get('errorReason')}.")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise Unavailable(f"Daytona started no sandbox within {_START_S:g} s.") from None
        url = seen.get("toolboxProxyUrl")
        if not url:
            url = (await _json(self._client, "GET", f"{self._url}/sandbox/{made}/toolbox-proxy-url")).get(
                "url"
            )
        return f"{str(url).rstrip('/')}/{made}"

    async def delete(self, made: str) -> None:
        """Delete a sandbox."""
        await _request(self._client, "DELETE", f"{self._url}/sandbox/{made}")


class _Toolbox:
    """The interface inside of one sandbox."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def put(self, path: str, data: bytes) -> None:
        """Write a file."""
        await self.execute(f"mkdir -p {shlex.quote(path.rpartition('/')[0])}", timeout_s=_REQUEST_S)
        await _request(
            self._client,
            "POST",
            f"{self._url}/files/upload-v2",
            params={"path": path},
            files={"file": ("file", data)},
        )

    async def execute(self, line: str, *, timeout_s: float) -> int:
        """Run a line to its end; returns its exit status."""
        wish = {"command": f"sh -c {shlex.quote(line)}", "timeout": int(timeout_s) + 1}
        seen = await _json(
            self._client, "POST", f"{self._url}/process/execute", json=wish, timeout=timeout_s + _REQUEST_S
        )
        code = seen.get("exitCode", seen.get("code"))
        if not isinstance(code, int):
            raise ContractViolation("Daytona's toolbox told no exit status.")
        return code

    async def get(self, path: str, *, limit_bytes: int) -> bytes:
        """Return a file's content."""
        answer = await _request(self._client, "GET", f"{self._url}/files/download", params={"path": path})
        if len(answer.content) > limit_bytes:
            raise ContractViolation(f"What came back is larger than {limit_bytes} bytes.")
        return answer.content


async def _json(client: httpx2.AsyncClient, method: str, url: str, **options: Any) -> dict[str, Any]:
    answer = await _request(client, method, url, **options)
    try:
        seen = answer.json()
    except ValueError as error:
        raise ContractViolation("Daytona answered no JSON.") from error
    if not isinstance(seen, dict):
        raise ContractViolation("Daytona answered no JSON object.")
    return seen


async def _request(client: httpx2.AsyncClient, method: str, url: str, **options: Any) -> httpx2.Response:
    try:
        answer = await client.request(method, url, **options)
    except httpx2.HTTPError as error:
        raise Unavailable(f"Daytona is not reached: {error}") from error
    if answer.status_code >= 400:
        hint = f"Check {_KEY}." if answer.status_code in (401, 403) else None
        raise Unavailable(f"Daytona answered {answer.status_code}: {answer.text[:300]}", hint=hint)
    return answer
