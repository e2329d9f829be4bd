"""Sends a request to a provider that speaks another protocol: through the canonical messages, both ways."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

from mosaic.core.errors import ContractViolation, MosaicError, TimedOut
from mosaic.inference.attempt import Attempt
from mosaic.inference.door_call import Answer, begun
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.interfaces import StreamWriter
from mosaic.inference.passage import Passage
from mosaic.inference.telling import told
from mosaic.observability import get_logger
from mosaic.providers import AiProvider, Delta, ModelRequest, ModelResponse, Usage, estimate_tokens

__all__ = ["Translation", "foreign_code"]

_log = get_logger(__name__)
_BYTES_PER_TOKEN = 4


class Translation:
    """Calls of one wire to providers of any other."""

    def __init__(self, rooms: DoorRooms) -> None:
        self._rooms = rooms

    async def send(self, passage: Passage, attempt: Attempt, provider: AiProvider) -> Answer:
        """Return the answer of the passage's target, in the client's protocol.

        Raises:
            MosaicError: if it did not answer; nothing went to the client.
        """
        asked = passage.call.codec.read_request(passage.call.body)
        request = self._request(attempt, asked.request)
        if passage.call.peek.stream:
            return await self._stream(passage, attempt, provider, request, passage.call.codec.writer(asked))
        with foreign_code(attempt.target.provider):
            response = await provider.complete(request, idempotency_key=passage.call.request_id)
        attempt.first_byte()
        if passage.heard is not None:
            passage.hear(passage.call.codec.write_response(response, asked))
        nanos = _settle(passage, attempt, response)
        return Answer(told(passage, nanos), passage.call.codec.write_response(response, asked))

    async def _stream(
        self,
        passage: Passage,
        attempt: Attempt,
        provider: AiProvider,
        request: ModelRequest,
        writer: StreamWriter,
    ) -> Answer:
        pieces = provider.stream(request, idempotency_key=passage.call.request_id)
        first = await _next(pieces, attempt, self._rooms.timeouts(attempt.decision.policy).first_byte_s)
        if first is None:
            raise ContractViolation(
                f"{attempt.target.provider} ended its stream without a response.",
                provider=attempt.target.provider,
            )
        attempt.first_byte()
        passage.target = attempt.target
        return Answer(
            told(passage, None),
            chunks=await begun(_written(passage, attempt, request, pieces, first, writer)),
        )

    def _request(self, attempt: Attempt, request: ModelRequest) -> ModelRequest:
        call, settings = attempt.call, self._rooms.settings
        timeouts = self._rooms.timeouts(attempt.decision.policy)
        limit = request.max_output_tokens or attempt.limit or settings.max_output_tokens
        known = self._rooms.most_output(attempt.target)
        return replace(
            request,
            model=attempt.target.model or request.model,
            max_output_tokens=min(limit, known) if known else limit,
            # A whole answer comes at once with its head.
            timeout_s=timeouts.total_s if call.peek.stream else min(timeouts.first_byte_s, timeouts.total_s),
            metadata={"agent": call.payer.agent or "*", "path": "", "attempt": "1"},
        )


async def _written(
    passage: Passage,
    attempt: Attempt,
    request: ModelRequest,
    pieces: AsyncIterator[Delta | ModelResponse],
    first: Delta | ModelResponse,
    writer: StreamWriter,
) -> AsyncGenerator[bytes, None]:
    """Write the pieces as the client's events; settle however it ends."""
    response: ModelResponse | None = None
    failure: MosaicError | None = None
    written = 0
    idle_s = attempt.rooms.timeouts(attempt.decision.policy).idle_s
    try:
        yield b""  # see `begun`
        yield writer.start()
        item: Delta | ModelResponse | None = first
        while isinstance(item, Delta):
            written += len(item.text)
            if events := writer.feed(item):
                passage.hear(events)
                yield events
            item = await _next(pieces, attempt, idle_s)
        if item is None:
            raise ContractViolation(
                f"{attempt.target.provider} ended its stream without a response.",
                provider=attempt.target.provider,
                sent=True,
            )
        response = item
        yield writer.finish(response)
    except MosaicError as error:
        failure = error
        yield writer.fail(error)
    finally:
        await _closed(pieces)
        if response is not None:
            _settle(passage, attempt, response)
        else:
            used = Usage(estimate_tokens(request), written // _BYTES_PER_TOKEN + 1)
            passage.answered(attempt, None, estimate=used, model=None, response_id=None, finish_reason=None, error=failure,
                cancelled=failure is None,
            )  # fmt: skip


def _settle(passage: Passage, attempt: Attempt, response: ModelResponse) -> int | None:
    return passage.answered(
        attempt,
        None if response.usage_estimated else response.usage,
        estimate=response.usage,
        model=response.model,
        response_id=response.response_id,
        finish_reason=response.finish_reason,
    )


async def _next(
    pieces: AsyncIterator[Delta | ModelResponse], attempt: Attempt, within_s: float
) -> Delta | ModelResponse | None:
    """Return the next piece; None at the end.

    Raises:
        TimedOut: if it does not come in time.
        MosaicError: as the provider says.
    """
    provider = attempt.target.provider
    with foreign_code(provider):
        try:
            async with asyncio.timeout(within_s):
                return await anext(pieces, None)
        except TimeoutError as error:
            raise TimedOut(
                f"{provider} sent nothing for {within_s:g} s.",
                hint="Raise the timeout if the model needs longer.",
                provider=provider,
                sent=True,
            ) from error


async def _closed(pieces: AsyncIterator[Delta | ModelResponse]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        with foreign_code("the provider", quiet=True):
            await close()


@contextmanager
def foreign_code(provider: str, *, quiet: bool = False) -> Iterator[None]:
    """Turn the mistakes of a plugin into an error of ours, so that another target can be asked."""
    try:
        yield
    except (MosaicError, asyncio.CancelledError, GeneratorExit):
        if not quiet:
            raise
    except Exception as error:
        _log.exception("the provider plugin %s failed", provider)
        if not quiet:
            raise ContractViolation(
                f"The provider plugin {provider!r} failed: {type(error).__name__}.",
                hint="The log has the details.",
                provider=provider,
            ) from error
