"""The lines of a streamed answer: server-sent events and newline-delimited JSON, with bounded buffers."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from mosaic.core.errors import ContractViolation
from mosaic.core.redaction import Redactor

__all__ = ["ServerEvent", "read_events", "read_json", "read_lines"]

LINE_LIMIT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    event: str
    data: str


async def read_lines(chunks: AsyncIterator[bytes], *, provider: str) -> AsyncIterator[str]:
    r"""Yield the lines of a byte stream without their ends (``\n``, ``\r\n`` or ``\r``).

    Raises:
        ContractViolation: if one line is longer than 4 MiB.
    """
    buffer = bytearray()
    pending_return = False
    async for chunk in chunks:
        data = chunk[1:] if pending_return and chunk.startswith(b"\n") else chunk
        pending_return = data.endswith(b"\r") if data else pending_return and not chunk
        buffer += data
        if b"\n" in data or b"\r" in data:
            *lines, rest = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                yield line.decode("utf-8", "replace")
        if len(buffer) > LINE_LIMIT_BYTES:
            raise ContractViolation(
                f"{provider} sent a line of more than {LINE_LIMIT_BYTES:,} bytes in its stream.",
                provider=provider,
            )
    if buffer:
        yield buffer.decode("utf-8", "replace")


async def read_events(chunks: AsyncIterator[bytes], *, provider: str) -> AsyncIterator[ServerEvent]:
    """Yield the server-sent events of a byte stream; comments and unknown fields are skipped.

    An event that the end of the stream cut off is not yielded, as the standard has it.

    Raises:
        ContractViolation: if one event is longer than 4 MiB.
    """
    event, size = "", 0
    data: list[str] = []
    async for line in read_lines(chunks, provider=provider):
        if not line:
            if data:
                yield ServerEvent(event or "message", "\n".join(data))
            event, data, size = "", [], 0
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event = value
        elif field == "data":
            data.append(value)
            size += len(value)
            if size > LINE_LIMIT_BYTES:
                raise ContractViolation(
                    f"{provider} sent an event of more than {LINE_LIMIT_BYTES:,} bytes in its stream.",
                    provider=provider,
                )


def read_json(text: str | bytes, *, provider: str, redactor: Redactor) -> dict[str, Any]:
    """Return the JSON object written in `text`; an error shows its beginning, without secrets.

    Raises:
        ContractViolation: if it is not one.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractViolation(
            f"{provider} answered with something that is not JSON: {_shown(text, redactor)}",
            hint="Check the provider's address: another kind of server may answer there.",
            provider=provider,
        ) from error
    if not isinstance(value, dict):
        raise ContractViolation(
            f"{provider} answered with JSON that is not an object: {_shown(text, redactor)}",
            provider=provider,
        )
    return value


def _shown(text: str | bytes, redactor: Redactor) -> str:
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    plain = redactor.text(" ".join(plain[:2000].split()))
    return repr(plain if len(plain) <= 120 else plain[:120] + "…")
