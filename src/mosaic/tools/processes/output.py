"""Takes in output of any size with little memory: the head, the tail, and up to a bound the whole on disk."""

import re
import tempfile
from dataclasses import dataclass
from typing import IO

__all__ = ["Capture", "Captured", "OutputLimits", "captured_parts", "plain_text"]

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """How much of one output stream is kept.

    Attributes:
        head_bytes: of its beginning.
        tail_bytes: of its end.
        spool_bytes: of the whole, on disk, to be stored apart; 0 keeps none.
    """

    head_bytes: int = 16_000
    tail_bytes: int = 16_000
    spool_bytes: int = 4_000_000


@dataclass(frozen=True, slots=True)
class Captured:
    """What was kept of one stream.

    Attributes:
        text: safe to show: valid UTF-8, no terminal commands; says in the middle how much was left out.
        size_bytes: how much was printed.
        dropped_bytes: how much of that `text` leaves out.
        whole: the first bytes up to the spool's bound, when `text` is not all; None otherwise.
        raw: head and tail as they were printed.
    """

    text: str
    size_bytes: int
    dropped_bytes: int = 0
    whole: bytes | None = None
    raw: bytes = b""


class Capture:
    """Fed chunk by chunk; holds head, tail and one chunk in memory."""

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0
        self._spool: IO[bytes] | None = None
        self._spooled = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._size += len(chunk)
        room = self._limits.head_bytes - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        if self._spool is None and self._limits.spool_bytes:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115  # closed by finish
            self._keep(bytes(self._head))
        self._keep(chunk)
        self._tail += chunk
        if len(self._tail) > 2 * self._limits.tail_bytes + 65_536:
            del self._tail[: len(self._tail) - self._limits.tail_bytes]

    def finish(self) -> Captured:
        """Return what was kept."""
        del self._tail[: max(0, len(self._tail) - self._limits.tail_bytes)]
        dropped = self._size - len(self._head) - len(self._tail)
        whole = None
        if self._spool is not None:
            with self._spool as spool:
                if dropped:
                    spool.seek(0)
                    whole = spool.read()
        return Captured(self._text(dropped), self._size, dropped, whole, bytes(self._head + self._tail))

    def _keep(self, data: bytes) -> None:
        if self._spool is not None and self._spooled < self._limits.spool_bytes:
            self._spool.write(data[: self._limits.spool_bytes - self._spooled])
            self._spooled += len(data)

    def _text(self, dropped: int) -> str:
        return _shown(bytes(self._head), bytes(self._tail), self._size, dropped)


def captured_parts(size_bytes: int, first: bytes, last: bytes, limits: OutputLimits) -> Captured:
    """Return what was kept of a stream that somebody else has cut.

    Args:
        size_bytes: how much was printed.
        first: its beginning, at least as much as the limits keep of it.
        last: its end, likewise.
        limits: how much is kept.
    """
    if size_bytes <= limits.head_bytes + limits.tail_bytes:
        capture = Capture(limits)
        capture.feed((first if len(first) >= size_bytes else first + last)[:size_bytes])
        return capture.finish()
    head, tail = first[: limits.head_bytes], last[len(last) - limits.tail_bytes :]
    dropped = size_bytes - len(head) - len(tail)
    whole = first[: limits.spool_bytes] if limits.spool_bytes else None
    return Captured(_shown(head, tail, size_bytes, dropped), size_bytes, dropped, whole, head + tail)


def _shown(head: bytes, tail: bytes, size_bytes: int, dropped: int) -> str:
    if b"\0" in head[:8192]:
        return f"[{size_bytes} bytes of binary output]"
    if not dropped:
        return plain_text(head + tail)
    return f"{plain_text(head)}\n[... {dropped} bytes left out ...]\n{plain_text(tail)}"


def plain_text(data: bytes) -> str:
    """Return bytes as text that is safe to show and to store: no terminal commands, no control characters."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))
