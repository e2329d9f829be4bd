"""Tool names on the wire. Vendors allow letters, digits, ``_`` and ``-`` only; ours have dots (``files.read``)."""

import re
from collections.abc import Iterable

from mosaic.providers.ai import ModelRequest

__all__ = ["ToolNames"]

_NOT_ALLOWED = re.compile(r"[^a-zA-Z0-9_-]")


class ToolNames:
    """One request's names, there and back.

    The mapping depends on the request's tools and history alone, so the same conversation always gives the
    same names, and two of our names never share one on the wire.
    """

    def __init__(self, request: ModelRequest, *, limit: int = 64) -> None:
        self._limit = limit
        self._wire: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        for name in _names(request):
            self.wire(name)

    def wire(self, name: str) -> str:
        """Return the vendor's form of our `name`."""
        known = self._wire.get(name)
        if known is not None:
            return known
        plain = _NOT_ALLOWED.sub("_", name)[: self._limit] or "tool"
        wire, number = plain, 2
        while wire in self._ours:
            suffix = f"_{number}"
            wire, number = plain[: self._limit - len(suffix)] + suffix, number + 1
        self._wire[name], self._ours[wire] = wire, name
        return wire

    def ours(self, wire: str) -> str:
        """Return our name for the vendor's; one that we never gave out is returned as it is."""
        return self._ours.get(wire, wire)


def _names(request: ModelRequest) -> Iterable[str]:
    yield from (tool.name for tool in request.tools)
    for message in request.messages:
        yield from (call.name for call in message.tool_calls)
    if request.tool_choice not in ("auto", "required", "none"):
        yield request.tool_choice
