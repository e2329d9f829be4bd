"""Usage, ids and endings of answers that pass through untranslated.

A streamed answer is searched as bytes and only the events that matter are read, two or three of a stream. What the
model writes cannot pretend to be one of them: it stands in JSON texts, where quotes are escaped, and an event that
a search finds is still read as a whole before anything in it counts.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from mosaic.gateway.wires.schemas import Scanned

__all__ = ["BodyScanner", "EventScanner", "read_object"]

LINE_LIMIT_BYTES = 8 * 1024 * 1024
BODY_LIMIT_BYTES = 64 * 1024 * 1024
_DATA = re.compile(rb"^data:[ ]?(\{[^\r\n]*)", re.MULTILINE)


def read_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `data`; None when it is not one."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


class BodyScanner:
    """Watches a whole body: keeps it until its end, then reads its top members.

    Args:
        read: notes what an object says in the result.
        limit_bytes: a longer body passes without being read.
    """

    __slots__ = ("_chunks", "_limit", "_read", "_scanned")

    def __init__(
        self, read: Callable[[dict[str, Any], Scanned], object], *, limit_bytes: int = BODY_LIMIT_BYTES
    ) -> None:
        self._read = read
        self._limit = limit_bytes
        self._chunks: list[bytes] = []
        self._scanned: Scanned = Scanned()

    def feed(self, chunk: bytes) -> bytes:
        """Take a piece of the body; return it."""
        self._scanned.n_bytes += len(chunk)
        if self._scanned.n_bytes <= self._limit:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()
        return chunk

    def rest(self) -> bytes:
        """Return nothing: a body is never held back."""
        return b""

    def result(self) -> Scanned:
        """Return what the body said; nothing when it is not whole."""
        if self._chunks:
            found = read_object(b"".join(self._chunks))
            self._chunks.clear()
            if found is not None:
                self._scanned.complete = True
                self._read(found, self._scanned)
        return self._scanned


class EventScanner:
    """Watches a stream of server-sent events.

    Args:
        marks: finds the events worth reading, in lines that are whole.
        read: notes what an event's object says in the result; returns whether the event is to be taken out.
        ending: what stands in the stream when it came to its end, for a vendor that marks it outside JSON.
        strip: pass only whole lines on, without the events that `read` says are to be taken out.
    """

    __slots__ = ("_ending", "_line", "_marks", "_read", "_scanned", "_strip")

    def __init__(
        self,
        marks: re.Pattern[bytes],
        read: Callable[[dict[str, Any], Scanned], bool],
        *,
        ending: bytes = b"",
        strip: bool = False,
    ) -> None:
        self._marks = marks
        self._read = read
        self._ending = ending
        self._strip = strip
        self._line = b""
        self._scanned: Scanned = Scanned()

    def feed(self, chunk: bytes) -> bytes:
        """Take a piece of the stream; return it, or what is whole of it when events may be taken out."""
        scanned = self._scanned
        scanned.n_bytes += len(chunk)
        whole = chunk if chunk.endswith(b"\n\n") and not self._line else self._lines(chunk)
        passed = self._look(whole) if whole else whole
        return passed if self._strip else chunk

    def rest(self) -> bytes:
        """Return the beginning of an event that never ended."""
        rest, self._line = self._line, b""
        return rest if self._strip else b""

    def result(self) -> Scanned:
        """Return what the stream said so far."""
        return self._scanned

    def _lines(self, chunk: bytes) -> bytes:
        """Return the lines that are whole now; keep the rest."""
        data = self._line + chunk if self._line else chunk
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > LINE_LIMIT_BYTES:
            cut = len(data)  # nobody's usage is in a line like this: let it pass unread
        self._line = data[cut:]
        return data[:cut]

    def _look(self, whole: bytes) -> bytes:
        scanned = self._scanned
        scanned.events += whole.count(b"data:")
        if self._ending and self._ending in whole:
            scanned.complete = True
        if scanned.response_id is None:
            first = _DATA.search(whole)
            if first is not None and (found := read_object(first[1])) is not None:
                self._read(found, scanned)
        taken: list[tuple[int, int]] = []
        at = 0
        while (mark := self._marks.search(whole, at)) is not None:
            start = whole.rfind(b"\n", 0, mark.start()) + 1
            end = whole.find(b"\n", mark.end())
            end = len(whole) if end < 0 else end
            at = end
            line = whole[start:end]
            found = read_object(line[5:].strip()) if line.startswith(b"data:") else None
            if found is not None and self._read(found, scanned):
                taken.append((start, end))
        return _without(whole, taken) if self._strip and taken else whole


def _without(whole: bytes, taken: list[tuple[int, int]]) -> bytes:
    """Return `whole` without the lines at `taken` and the empty line after each."""
    kept, at = [], 0
    for start, end in taken:
        kept.append(whole[at:start])
        at = end
        for _ in range(2):
            if whole[at : at + 2] == b"\r\n":
                at += 2
            elif whole[at : at + 1] == b"\n":
                at += 1
    kept.append(whole[at:])
    return b"".join(kept)
