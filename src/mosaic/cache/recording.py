"""Takes down a stream while it passes, to be kept when it ended well."""

from typing import Any

from mosaic.cache.schemas import CachedAnswer

__all__ = ["StreamRecorder"]


class StreamRecorder:
    """The events of one stream, at most `max_bytes` of them; a longer stream is let go and not kept."""

    __slots__ = ("_events", "_left_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._left_bytes = max_bytes
        self._events: list[bytes] | None = []

    @property
    def recording(self) -> bool:
        """Say whether the stream still fits."""
        return self._events is not None

    def feed(self, event: bytes) -> None:
        """Take down the next bytes as they go to the client: one event, or any piece."""
        events = self._events
        if events is None:
            return
        self._left_bytes -= len(event) + 40
        if self._left_bytes < 0:
            self._events = None
            return
        events.append(event)

    def drop(self) -> None:
        """Keep nothing: the stream broke, or said that something failed."""
        self._events = None

    def finish(
        self, *, status: int, headers: tuple[tuple[bytes, bytes], ...], meta: dict[str, Any]
    ) -> CachedAnswer | None:
        """Return the answer to keep, or None when there is none."""
        events, self._events = self._events, None
        if not events:
            return None
        return CachedAnswer(status, headers, b"", tuple(events), meta)
