"""Keeps what was asked and answered, for operators who must look into it: off unless the settings say otherwise.

Kept is a bounded part of the body, with secrets masked, as blobs; the record of the call names their digests. Headers,
and so keys, are never part of it.
"""

import asyncio
import json
from typing import Literal

from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue, content_hash
from mosaic.observability import get_logger
from mosaic.storage import BlobStore

__all__ = ["Captures"]

_log = get_logger(__name__)
_GOOD = frozenset({"ok", "cancelled"})
_AT_ONCE = 256
# Beyond the bound so much is looked at, so that a secret which crosses it is seen whole.
_MARGIN_BYTES = 8_192
# An event's frame is much larger than the text in it.
_FRAMES = 8
_PARSED_BYTES = 4_000_000
_PIECES = frozenset({"logprobs", "obfuscation"})


class Captures:
    """Requests and answers of calls from outside, kept as blobs behind the calls' backs.

    Args:
        blobs: where they are kept.
        redactor: knows secrets, and what they look like.
        mode: `errors` keeps calls that failed, `all` every call.
        max_bytes: kept of a request, and of an answer.
    """

    def __init__(
        self, blobs: BlobStore, redactor: Redactor, mode: Literal["errors", "all"], *, max_bytes: int
    ) -> None:
        self._blobs = blobs
        self._redactor = redactor
        self._mode = mode
        self._max_bytes = max_bytes
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, heard: bytearray, data: bytes) -> None:
        """Add a piece of an answer to what was heard of it, within bounds."""
        room = self._max_bytes * _FRAMES + _MARGIN_BYTES - len(heard)
        if room > 0:
            heard += data[:room]

    def keep(self, request: bytes, answer: bytes, outcome: str, *, stream: bool) -> JsonObject | None:
        """Keep a call that has ended; return the digests of its request and answer, None when it is not to be kept.

        Args:
            request: the body, as the client sent it.
            answer: what was heard of the answer; may be empty.
            outcome: how the call ended.
            stream: whether a stream was asked for.
        """
        if self._mode == "errors" and outcome in _GOOD:
            return None
        if len(self._tasks) >= _AT_ONCE:
            return {"dropped": "too many captures are being written"}
        kept: list[bytes] = [self._masked(request)]
        if answer:
            streamed = stream and not answer.lstrip().startswith(b"{")
            kept.append(self._spoken(answer) if streamed else self._masked(answer))
        task = asyncio.get_running_loop().create_task(self._write(kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        digests = [content_hash(data) for data in kept]
        return {"request": digests[0], "answer": digests[1] if answer else None}

    async def close(self) -> None:
        """Finish writing."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, kept: list[bytes]) -> None:
        for data in kept:
            try:
                await self._blobs.put(data)
            except Exception as error:  # noqa: BLE001  # nobody waits for it; a full disk must not end calls
                _log.warning("a capture could not be kept: %s", type(error).__name__)

    def _masked(self, data: bytes) -> bytes:
        try:
            # As JSON, so that escapes hide no secret, and fields that are named for one are masked as well.
            value = json.loads(data) if len(data) <= _PARSED_BYTES else None
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict | list):
            masked = json.dumps(self._redactor.value(_whole(value)), ensure_ascii=False)
        elif b'"logprobs"' in data:
            masked = "[not kept: it cannot be read whole, and a secret could hide in its pieces]"
        else:
            masked = self._redactor.text(data[: self._max_bytes + _MARGIN_BYTES].decode("utf-8", "replace"))
        return masked.encode("utf-8", "replace")[: self._max_bytes]

    def _spoken(self, events: bytes) -> bytes:
        """Return what a stream said, its pieces joined: a secret that came in pieces is masked like any other."""
        texts: dict[str, list[str]] = {}
        facts: dict[str, dict[str, None]] = {}
        for line in events.split(b"\n"):
            if line.startswith(b"data:"):
                try:
                    _gather(_whole(json.loads(line[5:])), "", texts, facts)
                except (ValueError, RecursionError):
                    continue
        joined: JsonObject = {path: "".join(pieces) for path, pieces in (*facts.items(), *texts.items())}
        return json.dumps(self._redactor.value(joined), ensure_ascii=False).encode("utf-8", "replace")[
            : self._max_bytes
        ]


def _gather(
    value: JsonValue, path: str, texts: dict[str, list[str]], facts: dict[str, dict[str, None]]
) -> None:
    """Gather the strings of one event: pieces of text, under `delta`, as they came; all others once."""
    if isinstance(value, str):
        if "delta" in path:
            texts.setdefault(path, []).append(value)
        else:
            facts.setdefault(path, {})[value] = None
    elif isinstance(value, dict):
        for name, item in value.items():
            _gather(item, f"{path}.{name}" if path else name, texts, facts)
    elif isinstance(value, list):
        for item in value:
            _gather(item, path, texts, facts)


def _whole(value: JsonValue) -> JsonValue:
    """Return `value` without what says the same text again in pieces, in which no secret would be seen."""
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items() if name not in _PIECES}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
