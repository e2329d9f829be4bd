"""Passes a server's answer on: as it is where nothing can hide in it, cleaned otherwise."""

from collections.abc import AsyncIterator, Callable

import msgspec

from mosaic.core.errors import ContractViolation
from mosaic.tools.hygiene import clean_value

__all__ = ["cleaned", "events"]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_DATA = b"data:"


def cleaned(body: bytes, masked: Callable[[str], str]) -> bytes:
    r"""Return JSON without anything hidden in its texts, secrets masked; plain ASCII without escapes costs a look.

    Raises:
        ContractViolation: if it is no JSON.
    """
    if (
        body.isascii()
        and b"\\u" not in body
        and b"\\b" not in body
        and b"\\f" not in body
        and b"\x7f" not in body
    ):
        text = body.decode("ascii")
        shown = masked(text)
        return body if shown is text or shown == text else shown.encode()
    try:
        value = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ContractViolation("The MCP server answered with something that is no JSON.") from error
    return masked(_encode(clean_value(value)).decode()).encode()


async def events(
    chunks: AsyncIterator[bytes], masked: Callable[[str], str], *, limit_bytes: int
) -> AsyncIterator[bytes]:
    """Yield whole events of a stream, their data cleaned.

    Raises:
        ContractViolation: if an event is longer than `limit_bytes`, or its data is no JSON.
    """
    held = b""
    async for chunk in chunks:
        held += chunk
        end = max(_after(held, b"\n\n"), _after(held, b"\r\n\r\n"))
        if end:
            whole, held = held[:end], held[end:]
            yield _cleaned_events(whole, masked)
        if len(held) > limit_bytes:
            raise ContractViolation(f"The MCP server sent an event of more than {limit_bytes} bytes.")
    if held.strip():
        yield _cleaned_events(held, masked)


def _after(text: bytes, mark: bytes) -> int:
    """Return the place behind the last `mark`; 0 where there is none."""
    found = text.rfind(mark)
    return found + len(mark) if found >= 0 else 0


def _cleaned_events(whole: bytes, masked: Callable[[str], str]) -> bytes:
    lines = []
    for line in whole.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(_DATA):
            data = line[len(_DATA) :].lstrip(b" ")
            lines.append(b"data: " + (cleaned(data, masked) if data else b""))
        else:
            lines.append(line)
    return b"\n".join(lines)
