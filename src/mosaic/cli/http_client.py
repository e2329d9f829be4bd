"""The client of a running server: the REST API and its event stream, with resume."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mosaic.app.owner import owner_token
from mosaic.cli.door_client import DoorRequests
from mosaic.cli.plan_client import PlanRequests
from mosaic.cli.policy_client import PolicyRequests
from mosaic.cli.tool_client import ToolRequests
from mosaic.cli.webhook_client import WebhookRequests
from mosaic.core.errors import MosaicError, Unavailable, error_from_json
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["HttpClient"]

_RECONNECT_S = (0.1, 0.5, 1.0, 2.0, 2.0, 5.0, 5.0, 5.0, 5.0, 5.0)  # long enough for a server to start again
_CONNECT_S = 5.0
_ANSWER_S = 30.0
_SILENCE_S = 45.0  # three of the server's keep-alives


class HttpClient(DoorRequests, ToolRequests, PolicyRequests, PlanRequests, WebhookRequests):
    """Speaks to ``/api/v1`` of one server with the owner's token."""

    def __init__(self, http: Any, address: str) -> None:
        self._http = http
        self.address: str | None = address

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, address: str, home: Path) -> AsyncIterator["HttpClient"]:
        """Connect to the server at `address`."""
        import httpx2

        headers = {"Authorization": f"Bearer {owner_token(home)}"}
        timeout = httpx2.Timeout(_ANSWER_S, connect=_CONNECT_S)
        # The server is this installation's own: no proxy of the environment stands between us.
        async with httpx2.AsyncClient(
            base_url=f"{address}/api/v1", headers=headers, timeout=timeout, trust_env=False
        ) as http:
            yield cls(http, address)

    async def start_run(self, request: JsonObject) -> JsonObject:
        """Start a run."""
        return await self._json("POST", "/runs", json=request)

    async def run(self, run_id: str) -> JsonObject:
        """Return one run."""
        return await self._json("GET", f"/runs/{_id(run_id)}")

    async def runs(
        self, *, status: str | None, workflow: str | None, limit: int, cursor: str | None
    ) -> JsonObject:
        """Return a page of runs."""
        query = {"status": status, "workflow": workflow, "limit": limit, "cursor": cursor}
        return await self._json("GET", "/runs", params={k: v for k, v in query.items() if v is not None})

    async def cancel(self, run_id: str) -> JsonObject:
        """Cancel a run."""
        return await self._json("POST", f"/runs/{_id(run_id)}/cancel")

    async def fork(self, run_id: str, *, from_step: str, inputs: JsonObject | None) -> JsonObject:
        """Fork a run from a step."""
        return await self._json(
            "POST", f"/runs/{_id(run_id)}/fork", json={"from_step": from_step, "inputs": inputs}
        )

    async def signal(self, run_id: str, name: str, payload: JsonValue) -> JsonObject:
        """Deliver a signal to a run."""
        return await self._json("POST", f"/runs/{_id(run_id)}/signals/{_id(name)}", json=payload)

    async def approvals(
        self, *, status: str | None, run_id: str | None, limit: int = 1_000, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of approvals."""
        query = {"status": status, "run_id": run_id, "limit": limit, "cursor": cursor}
        return await self._json("GET", "/approvals", params={k: v for k, v in query.items() if v is not None})

    async def approval(self, approval_id: str) -> JsonObject:
        """Return one approval."""
        return await self._json("GET", f"/approvals/{_id(approval_id)}")

    async def approval_webhooks(self) -> JsonObject:
        """Return the webhooks of the settings."""
        return await self._json("GET", "/approvals/webhooks")

    async def preview_approval(self, approval_id: str, wanted: JsonObject) -> JsonObject:
        """Return what a yes would mean."""
        return await self._json("POST", f"/approvals/{_id(approval_id)}/preview", json=wanted)

    async def decide(self, approval_id: str, decision: JsonObject) -> JsonObject:
        """Answer an approval."""
        body = {key: value for key, value in decision.items() if key != "approve" and value is not None}
        verb = "approve" if decision["approve"] else "reject"
        return await self._json("POST", f"/approvals/{_id(approval_id)}/{verb}", json=body)

    async def agents(self) -> JsonObject:
        """Return the agents and the registry's figures."""
        return await self._json("GET", "/agents")

    async def artifacts(self, run_id: str) -> JsonObject:
        """Return what a run kept."""
        return await self._json("GET", f"/runs/{_id(run_id)}/artifacts")

    async def artifact_content(self, artifact_id: str) -> bytes:
        """Return an artifact's content."""
        response = await self._send("GET", f"/artifacts/{_id(artifact_id)}/content")
        content: bytes = response.content
        return content

    async def dead_letters(self) -> JsonObject:
        """Return work that was given up."""
        return await self._json("GET", "/dead-letters")

    async def requeue(self, execution_id: str) -> JsonObject:
        """Start given-up work again."""
        return await self._json("POST", f"/dead-letters/{_id(execution_id)}/requeue")

    async def events(self, *, run_id: str | None, after: int, follow: bool) -> AsyncGenerator[JsonObject]:
        """Yield events in order, each once; a broken stream is resumed after the last one seen."""
        path = f"/runs/{_id(run_id)}/events" if run_id else "/events"
        if not follow:
            while True:
                page = await self._json("GET", path, params={"after": after, "limit": 500})
                for event in page["items"]:
                    after = int(event["seq"])
                    yield event
                if not page["items"]:
                    return
        failures = 0
        while True:
            before = after
            try:
                async with contextlib.aclosing(self._stream(f"{path}/stream", after)) as stream:
                    async for event in stream:
                        after = int(event["seq"])
                        yield event
            except Unavailable:
                if failures == len(_RECONNECT_S) and after == before:
                    raise
            failures = 0 if after > before else failures + 1
            await asyncio.sleep(_RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)])

    async def _stream(self, path: str, after: int) -> AsyncGenerator[JsonObject]:
        import httpx2

        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        timeout = httpx2.Timeout(None, connect=_CONNECT_S, read=_SILENCE_S)
        try:
            async with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise _error(response)
                async with contextlib.aclosing(_lines(response.aiter_bytes())) as lines:
                    async for line in lines:
                        if line.startswith(b"data:"):
                            yield json.loads(line[5:])
        except httpx2.HTTPError as error:
            raise Unavailable(
                f"The stream from {self.address} broke: {type(error).__name__}.",
                hint="See whether `mosaic up` still runs.",
            ) from None

    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send a request and return the answer, or raise the error it tells of; of a list all pages, unless told which."""
        value = await self._json(method, path, **options)
        asked = options.get("params") or {}
        if method != "GET" or "limit" in asked or "cursor" in asked or not value.get("next_cursor"):
            return value
        items, cursor = list(value.get("items") or ()), value["next_cursor"]
        while cursor is not None:
            page = await self._json("GET", path, **{**options, "params": {**asked, "cursor": cursor}})
            items, cursor = items + page["items"], page["next_cursor"]
        return {**value, "items": items, "next_cursor": None}

    async def text(self, method: str, path: str, **options: Any) -> str:
        """Send a request and return the answer's text, or raise the error it tells of."""
        shown: str = (await self._send(method, path, **options)).text
        return shown

    async def _json(self, method: str, path: str, **options: Any) -> JsonObject:
        value: JsonObject = (await self._send(method, path, **options)).json()
        return value

    async def _send(self, method: str, path: str, **options: Any) -> Any:
        import httpx2

        try:
            response = await self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise Unavailable(
                f"The server at {self.address} does not answer ({type(error).__name__}).",
                hint="See whether `mosaic up` still runs; `mosaic doctor` says more.",
            ) from None
        if response.status_code >= 400:
            raise _error(response)
        return response


def _id(text: str) -> str:
    """Return an id as one segment of a path, whatever it holds."""
    return quote(text, safe="")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield lines that end in a line feed, and in nothing else: text may hold other characters that break lines."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _error(response: Any) -> MosaicError:
    """Return the error an RFC 9457 problem document describes."""
    try:
        shown = response.json()
        return error_from_json({**shown, "message": shown.get("detail") or shown.get("title") or ""})
    except (ValueError, AttributeError, TypeError):
        return Unavailable(
            f"The server answered {response.status_code} without a problem document.",
            hint="Perhaps it is no MosAIc server, or something stands between.",
        )
