"""Sends a request to a provider that speaks the client's own protocol: bytes go through, read along the way."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Never

from mosaic.core.errors import ContractViolation, MosaicError, Unavailable
from mosaic.core.values import JsonObject
from mosaic.inference.attempt import Attempt
from mosaic.inference.door_call import Answer, begun
from mosaic.inference.door_rooms import DoorRooms
from mosaic.inference.interfaces import Scanner
from mosaic.inference.passage import Passage
from mosaic.inference.telling import told
from mosaic.providers import Usage, WireEndpoint
from mosaic.providers.faults import Fault, error_for, read_fault, retry_after_s
from mosaic.providers.upstream import UpstreamResponse

__all__ = ["PassThrough"]

Say = Callable[[JsonObject, Attempt], MosaicError]

_ERROR_LIMIT_BYTES = 64_000
_BYTES_PER_TOKEN = 4
_STREAMED_BYTES_PER_TOKEN = 250  # an event's frame is much larger than the token in it


class PassThrough:
    """Calls of one wire to providers of the same wire."""

    def __init__(self, rooms: DoorRooms) -> None:
        self._rooms = rooms

    async def send(self, passage: Passage, attempt: Attempt, endpoint: WireEndpoint) -> Answer:
        """Return the answer of the passage's target.

        Raises:
            MosaicError: if it did not answer, or its stream began with an error; nothing went to the client.
        """
        call, target = passage.call, attempt.target
        stream = call.peek.stream
        body, added_usage = call.adapt(
            call.body,
            call.codec.name,
            endpoint,
            asked=call.peek.model,
            model=target.model or call.peek.model,
            max_tokens=attempt.limit,
            stream=stream,
        )
        response = await self._rooms.upstream.send(
            endpoint, body, headers=call.onward, timeouts=self._rooms.timeouts(passage.decision.policy)
        )
        attempt.headers = response.headers
        try:
            if response.status >= 300:
                await self._refused(response, target.provider)
            streams = stream and _is_event_stream(response)
            scanner = call.codec.scanner(stream=streams, strip_usage=added_usage)
            if streams:
                return await self._stream(passage, attempt, response, scanner)
            limit = self._rooms.settings.answer_limit_bytes
            data = response.at_once(limit)
            if data is None:
                data = await response.read(limit)
            return self._whole(passage, attempt, data, scanner)
        except BaseException:
            response.close()
            raise

    async def _refused(self, response: UpstreamResponse, provider: str) -> Never:
        """Raise the error that an answer stands for."""
        if response.status < 400:
            raise ContractViolation(
                f"{provider} answered with a redirect ({response.status}).",
                hint="Set the address to where the API is; redirects are not followed, to keep the key safe.",
                provider=provider,
                status=response.status,
            )
        body = b""
        async for chunk in response:
            body += chunk
            if len(body) > _ERROR_LIMIT_BYTES:
                break
        response.close()
        wait_s = retry_after_s(response.header_map())
        raise error_for(self._fault(body), provider=provider, status=response.status, wait_s=wait_s)

    def _fault(self, said: bytes | JsonObject) -> Fault:
        """Return what a vendor said, without secrets: some repeat the key they refuse."""
        fault = read_fault(said)
        return replace(fault, message=self._rooms.redactor.text(fault.message))

    def _said(self, error: JsonObject, attempt: Attempt) -> MosaicError:
        return error_for(self._fault({"error": error}), provider=attempt.target.provider)

    def _whole(self, passage: Passage, attempt: Attempt, data: bytes, scanner: Scanner) -> Answer:
        attempt.first_byte()
        scanner.feed(data)
        seen = scanner.result()
        if seen.error is not None:
            raise self._said(seen.error, attempt)
        if not seen.complete:
            raise ContractViolation(
                f"{attempt.target.provider} answered with what is no JSON object.",
                provider=attempt.target.provider,
                sent=True,
            )
        passage.hear(data)
        nanos = passage.answered(
            attempt,
            seen.usage,
            estimate=None if seen.usage else _estimate(passage, len(data) // _BYTES_PER_TOKEN),
            model=seen.model,
            response_id=seen.response_id,
            finish_reason=seen.finish_reason,
        )
        return Answer(told(passage, nanos), data)

    async def _stream(
        self, passage: Passage, attempt: Attempt, response: UpstreamResponse, scanner: Scanner
    ) -> Answer:
        first = b""
        # Errors that come before any content are another target's chance, whatever status they came with. So is noise.
        async for chunk in response:
            first += scanner.feed(chunk)
            seen = scanner.result()
            if seen.error is not None:
                raise self._said(seen.error, attempt)
            if (first and seen.events) or len(first) > _ERROR_LIMIT_BYTES:
                break
        else:
            raise Unavailable(
                f"{attempt.target.provider} ended its stream before it said anything.",
                provider=attempt.target.provider,
                sent=True,
            )
        attempt.first_byte()
        passage.target = attempt.target
        return Answer(
            told(passage, None),
            chunks=await begun(_relay(passage, attempt, response, scanner, first, self._said)),
        )


async def _relay(
    passage: Passage, attempt: Attempt, response: UpstreamResponse, scanner: Scanner, first: bytes, say: Say
) -> AsyncGenerator[bytes, None]:
    """Pass on the rest of a stream; settle however it ends."""
    failure: MosaicError | None = None
    try:
        yield b""  # see `begun`
        passage.hear(first)
        yield first
        async for chunk in response:
            if onward := scanner.feed(chunk):
                passage.hear(onward)
                yield onward
        if rest := scanner.rest():
            yield rest
        seen = scanner.result()
        if seen.error is not None:
            failure = say(seen.error, attempt)  # the client has it already, in the vendor's words
        elif not seen.complete:
            raise Unavailable(
                f"{attempt.target.provider} broke off its answer before the end.",
                provider=attempt.target.provider,
                sent=True,
            )
    except MosaicError as error:
        failure = error
        yield passage.call.broken(error)
    finally:
        # An answer that is not whole was billed for what was written, which is what we have seen of it.
        response.close()
        seen = scanner.result()
        passage.answered(
            attempt,
            seen.usage,
            estimate=_estimate(passage, max(seen.events, seen.n_bytes // _STREAMED_BYTES_PER_TOKEN)),
            model=seen.model,
            response_id=seen.response_id,
            finish_reason=seen.finish_reason,
            error=failure,
            cancelled=failure is None and not seen.complete,
        )


def _estimate(passage: Passage, output_tokens: int) -> Usage:
    return Usage(passage.call.peek.input_tokens, output_tokens)


def _is_event_stream(response: UpstreamResponse) -> bool:
    return (response.header(b"content-type") or b"").startswith(b"text/event-stream")
