"""One request of a client, on either wire, as those who answer it see it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import mcp.types as mcp_types
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from mosaic.core.errors import Unsupported
from mosaic.mcp.schemas import Caller

__all__ = ["Exchange", "InputNeeded"]

_MOST_LINES = 100
_LONGEST_LINE = 500
_ANSWERS: dict[type, type] = {
    mcp_types.ElicitRequest: mcp_types.ElicitResult,
    mcp_types.CreateMessageRequest: mcp_types.CreateMessageResult,
    mcp_types.ListRootsRequest: mcp_types.ListRootsResult,
}


class InputNeeded(Exception):  # not a failure: the client answers, and asks again
    """The request ends here: its client is asked, and sends it again with the answers (2026 wire).

    Attributes:
        result: what the client gets.
    """

    def __init__(self, result: mcp_types.InputRequiredResult) -> None:
        super().__init__("the client is asked")
        self.result = result


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request.

    Attributes:
        caller: who sent it.
        view: the part of the tools that it was sent to; None for the whole.
        session: the way back to the client.
        request_id: its id; None for a notification.
        meta: its `_meta`.
        responses: the client's answers to what it was asked before (2026 wire).
        state: what was given to the client with the question, unchanged (2026 wire).
        headers: of the HTTP request, in lower case.
        shown_levels: the log messages that the client wants.
    """

    caller: Caller
    view: str | None
    session: ServerSession
    request_id: mcp_types.RequestId | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    responses: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    shown_levels: frozenset[mcp_types.LoggingLevel] = frozenset()

    @property
    def is_modern(self) -> bool:
        """Whether it speaks the wire of 2026: no session, questions are answered by asking again."""
        return self.session.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def client(self) -> str:
        """The calling program's own name and version, as far as it told."""
        params = self.session.client_params
        if params is None:
            return "an MCP client"
        info = params.client_info
        text = f"{info.name} {info.version}".strip()[:100]
        return "".join(character if character.isprintable() else "?" for character in text) or "an MCP client"

    @property
    def capabilities(self) -> mcp_types.ClientCapabilities:
        """What the client says it can do."""
        return self.session.client_capabilities or mcp_types.ClientCapabilities()

    @property
    def can_be_asked(self) -> bool:
        """Whether the client shows forms to its user, and this request can carry one there and back."""
        elicitation = self.capabilities.elicitation
        if elicitation is None or (elicitation.form is None and elicitation.url is not None):
            return False
        return self.is_modern or self.session.can_send_request

    def has_extension(self, identifier: str) -> bool:
        """Say whether the client takes part in an extension, in this request."""
        return self.is_modern and identifier in (self.capabilities.extensions or {})

    async def ask(
        self, requests: Mapping[str, mcp_types.InputRequest], *, state: str, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Return the client's answers, by the keys of the requests.

        On the 2025 wire each is sent to the client and waited for. On that of 2026 the request ends with the questions,
        and comes again with the answers; then this returns at once.

        Args:
            requests: what to ask.
            state: comes back with the answers; sealed on its way, so the client can neither read nor change it.
            timeout_s: how long one answer may take (2025 wire).

        Raises:
            InputNeeded: to end the request (2026 wire); let it through.
            Unsupported: if the client cannot be asked.
            MCPError: if it refuses, or does not answer in time.
        """
        if self.is_modern:
            if all(key in self.responses for key in requests):
                return {key: self.responses[key] for key in requests}
            raise InputNeeded(
                mcp_types.InputRequiredResult(input_requests=dict(requests), request_state=state)
            )
        if not self.session.can_send_request:
            raise Unsupported("This connection has no way back to its client.")
        related = ServerMessageMetadata(related_request_id=self.request_id)
        answers: dict[str, Any] = {}
        for key, request in requests.items():
            answers[key] = await self.session.send_request(
                request,
                _ANSWERS[type(request)],
                request_read_timeout_seconds=timeout_s,
                metadata=related,
            )
        return answers

    async def tell(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress; nothing happens when the client did not want it, or has gone."""
        with contextlib.suppress(MCPError):
            await self.session.report_progress(done, total, message)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[Callable[[str], None]]:
        """Yield what passes lines of text on as progress, each a step further; it never waits, and may drop some."""
        lines: asyncio.Queue[str] = asyncio.Queue(_MOST_LINES)

        def report(line: str) -> None:
            with contextlib.suppress(asyncio.QueueFull):
                lines.put_nowait(line[:_LONGEST_LINE])

        async def pump() -> None:
            number = 0
            while True:
                line = await lines.get()
                number += 1
                await self.tell(number, None, line)
                lines.task_done()

        task = asyncio.create_task(pump())
        try:
            yield report
            if not lines.empty():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await lines.join()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def log(self, level: mcp_types.LoggingLevel, data: Any) -> None:
        """Send a log message with this request's answer, if the client wants messages of that level (2025 wire)."""
        if self.is_modern or level not in self.shown_levels:
            return
        params = mcp_types.LoggingMessageNotificationParams(level=level, data=data, logger="mosaic")
        await self.session.send_notification(
            mcp_types.LoggingMessageNotification(params=params), related_request_id=self.request_id
        )
