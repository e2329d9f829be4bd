"""Speaks with one agent elsewhere. Its card is checked: what it points to must be where we were told that it is."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError, A2AClientTimeoutError, AgentCardResolutionError
from a2a.types import (
    AgentCard,
    CancelTaskRequest,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.utils.errors import A2AError

from mosaic.core.errors import (
    ContractViolation,
    MosaicError,
    OutcomeUnknown,
    PermissionDenied,
    ToolFailed,
    Unavailable,
)
from mosaic.tools.a2a.carrying import GuardedCarrier
from mosaic.tools.a2a.peer import A2aPeer
from mosaic.tools.a2a.reading import said_of, said_of_message
from mosaic.tools.a2a.said import Said
from mosaic.tools.mcp.reach import BESIDE_US

__all__ = ["A2aClient"]

_CARD_S = 300.0
_CONNECT_S, _READ_S = 10.0, 60.0
_BINDING = "JSONRPC"
_MODES = ["text/plain", "application/json"]
_SKILL, _KEY = "skill", "idempotencyKey"
_NOT_TAKEN = frozenset({429, 503})
_NOT_ALLOWED = frozenset({401, 403})
_LONGEST = 500

Cards = dict[str, tuple[float, AgentCard]]


class A2aClient:
    """One agent elsewhere; an asynchronous context.

    Args:
        peer: where it is.
        cards: what is known of agents, by address; shared.
    """

    def __init__(self, peer: A2aPeer, cards: Cards) -> None:
        self._peer = peer
        self._cards = cards
        self._http: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        """Get ready; nothing is asked yet."""
        self._http = httpx.AsyncClient(
            transport=GuardedCarrier(BESIDE_US),
            headers=dict(self._peer.headers),
            timeout=httpx.Timeout(_READ_S, connect=_CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()

    async def card(self) -> AgentCard:
        """Return the agent's card: checked, and at most five minutes old.

        Raises:
            Unavailable: if it cannot be fetched.
            ContractViolation: if it is none, or points somewhere else.
        """
        assert self._http is not None  # noqa: S101  # it was entered
        known = self._cards.get(self._peer.url)
        if known is not None and time.monotonic() - known[0] < _CARD_S:
            return known[1]
        base, path = self._peer.url, None
        if urlsplit(base).path.endswith(".json"):
            base, _, name = base.rpartition("/")
            path = f"/{name}"
        try:
            card = await A2ACardResolver(self._http, base).get_agent_card(path)
        except AgentCardResolutionError as error:
            if isinstance(error.__cause__, httpx.HTTPError):
                raise Unavailable(
                    f"The card of {self._who} cannot be fetched.", agent=self._peer.name
                ) from None
            raise ContractViolation(f"What {self._who} shows is no agent card.") from None
        _check(card, self._peer.url, self._who)
        self._cards[self._peer.url] = (time.monotonic(), card)
        return card

    async def send(
        self,
        text: str,
        *,
        key: str,
        task: str | None = None,
        context: str | None = None,
        skill: str | None = None,
    ) -> Said:
        """Say something, and return as soon as the agent has taken it.

        Args:
            text: what.
            key: the message's id, and its idempotency key for agents that know such.
            task: which task it is for; None begins one.
            context: the conversation.
            skill: which of its skills is meant.

        Raises:
            OutcomeUnknown: if the agent may or may not have taken it.
            MosaicError: if it has not.
        """
        message = Message(message_id=key, role=Role.ROLE_USER, parts=[Part(text=text)])
        message.task_id, message.context_id = task or "", context or ""
        message.metadata[_KEY] = key
        if skill is not None:
            message.metadata[_SKILL] = skill
        request = SendMessageRequest(
            message=message,
            configuration=SendMessageConfiguration(accepted_output_modes=_MODES, return_immediately=True),
        )
        async with (
            self._asking(sending=True) as client,
            aclosing(_stream(client.send_message(request))) as answers,
        ):
            # A stream is left after its first word: by then the task has an id, and is found again by it.
            async for answer in answers:
                if answer.HasField("message"):
                    return said_of_message(answer.message)
                if answer.HasField("task"):
                    return said_of(answer.task)
                update = answer.status_update if answer.HasField("status_update") else answer.artifact_update
                return Said(update.task_id, update.context_id, "working")
        raise OutcomeUnknown(f"{self._who} took the message and said nothing.", agent=self._peer.name)

    async def state(self, task: str) -> Said:
        """Return where a task stands."""
        async with self._asking() as client:
            return said_of(await client.get_task(GetTaskRequest(id=task)))

    async def changed(self, task: str, *, within_s: float) -> None:
        """Return once something may have changed: the agent says so, or the time has passed."""
        began = time.monotonic()
        card = await self.card()
        if card.capabilities.streaming:
            try:
                async with asyncio.timeout(within_s), self._asking() as client:
                    stream = _stream(client.subscribe(SubscribeToTaskRequest(id=task)))
                    async with aclosing(stream) as updates:
                        async for update in updates:
                            if update.HasField("status_update"):
                                return
            except (MosaicError, TimeoutError):
                pass  # asking again is what counts
        left_s = within_s - (time.monotonic() - began)
        if not card.capabilities.streaming:
            await asyncio.sleep(max(0.0, left_s))
        else:
            await asyncio.sleep(min(max(0.0, left_s), 1.0))

    async def cancel(self, task: str) -> None:
        """Ask the agent to give a task up; one that has ended stays as it is."""
        async with self._asking() as client:
            await client.cancel_task(CancelTaskRequest(id=task))

    @property
    def _who(self) -> str:
        return f"the A2A agent {self._peer.name}"

    @asynccontextmanager
    async def _asking(self, *, sending: bool = False) -> AsyncIterator[Client]:
        """Yield the protocol's client; what goes wrong with it is said in our words."""
        assert self._http is not None  # noqa: S101  # it was entered
        card = await self.card()
        try:
            factory = ClientFactory(
                ClientConfig(httpx_client=self._http, supported_protocol_bindings=[_BINDING])
            )
            yield factory.create(card)
        except A2AError as error:
            raise self._failure(error, sending=sending) from None
        except (httpx.HTTPError, ValueError) as error:
            raise self._failure(error, sending=sending) from None

    def _failure(self, error: Exception, *, sending: bool) -> MosaicError:
        cause = error if isinstance(error, httpx.HTTPError) else error.__cause__
        if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout):
            return Unavailable(f"{self._who} cannot be reached.", agent=self._peer.name)
        if isinstance(cause, httpx.HTTPStatusError):
            return self._refusal(cause.response.status_code, sending=sending)
        lost = isinstance(error, A2AClientError) or isinstance(cause, httpx.HTTPError)
        if not lost and isinstance(error, A2AError):
            return ToolFailed(f"{self._who} refused: {str(error)[:_LONGEST]}", agent=self._peer.name)
        if sending:
            return OutcomeUnknown(
                f"{self._who} was sent the task, and its answer was lost: it may or may not work on it.",
                hint="Look at the other side, then start the step again or go on without it.",
                agent=self._peer.name,
            )
        timed_out = isinstance(error, A2AClientTimeoutError)
        return Unavailable(
            f"{self._who} {'did not answer in time' if timed_out else 'broke off'}.", agent=self._peer.name
        )

    def _refusal(self, status: int, *, sending: bool) -> MosaicError:
        if status in _NOT_ALLOWED:
            return PermissionDenied(
                f"{self._who} does not let us in ({status}).",
                hint=f"Set tools.a2a_agents.{self._peer.name}.headers to what it expects.",
            )
        if status in _NOT_TAKEN:
            return Unavailable(f"{self._who} takes nothing now ({status}).", agent=self._peer.name)
        if status >= 500 and sending:
            return OutcomeUnknown(
                f"{self._who} answered {status} to the task: it may or may not work on it.",
                agent=self._peer.name,
            )
        if status >= 500:
            return Unavailable(f"{self._who} answered {status}.", agent=self._peer.name)
        return ToolFailed(f"{self._who} answered {status}.", agent=self._peer.name)


def _check(card: AgentCard, url: str, who: str) -> None:
    """Check that a card points to where it came from: what we send may hold a secret.

    Raises:
        ContractViolation: if it does not.
    """
    spoken = [each for each in card.supported_interfaces if each.protocol_binding.upper() == _BINDING]
    if not spoken:
        raise ContractViolation(f"{who} does not speak JSON-RPC.", hint="MosAIc speaks that binding only.")
    if any(_origin(each.url) != _origin(url) for each in spoken):
        raise ContractViolation(
            f"The card of {who} points to another host than {_origin(url)}.",
            hint="Name the agent by the address that its card shows.",
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or port}"


async def _stream(answers: Any) -> Any:
    """Yield what the protocol's client yields, and close it whatever it is."""
    try:
        async for answer in answers:
            yield answer
    finally:
        close = getattr(answers, "aclose", None)
        if close is not None:
            await close()
