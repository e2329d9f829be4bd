"""Who looks at what now: what every way of keeping it must honour."""

from collections.abc import Collection
from typing import Protocol

from mosaic.collaboration.schemas import Subject, Viewer
from mosaic.core.context import Context

__all__ = ["Presences", "presence_topic"]


def presence_topic(tenant: str) -> str:
    """Return the bus topic that wakes whoever shows who looks at what in a tenant."""
    return f"presence:{tenant}"


class Presences(Protocol):
    """Who looks at what. Nothing here is durable: a node that dies is forgotten, its viewers come back by themselves.

    After each change the bus publishes `presence_topic`; subscribe first, then read.
    """

    async def look(self, ctx: Context, viewer: str, subject: Subject) -> None:
        """Say that a viewer looks at `subject` now, and at nothing else any more. Idempotent."""

    async def leave(self, ctx: Context, viewer: str) -> None:
        """Say that a viewer is gone. Idempotent; nobody by that name is nothing to be done."""

    async def keep(self, ctx: Context) -> None:
        """Say that this node and its viewers still live; call it at least every 20 s. Wakes nobody."""

    async def viewers(self, ctx: Context, ids: Collection[str]) -> list[Viewer]:
        """Return who looks at the things of these ids or at something inside them, the longest first."""
