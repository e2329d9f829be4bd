"""The agents elsewhere that definitions may name, and how to speak with them."""

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mosaic.core.errors import NotFound, Unsupported
from mosaic.tools.a2a.peer import A2aPeer

if TYPE_CHECKING:
    from mosaic.tools.a2a.client import A2aClient

__all__ = ["A2aPeers"]

_CLIENT = "mosaic.tools.a2a.client"


class A2aPeers:
    """The agents that definitions may name, and what is known of them.

    Args:
        known: names of the settings.
        configured: returns one of them with its secrets, as they are now.
    """

    def __init__(
        self,
        known: Collection[str] = (),
        configured: Callable[[str], A2aPeer] | None = None,
    ) -> None:
        self._known = frozenset(known)
        self._configured = configured
        self._cards: dict[str, Any] = {}

    def find(self, name: str) -> A2aPeer:
        """Return an agent by its name or address.

        Raises:
            NotFound: if the settings do not know the name, or a secret of it is not set.
        """
        if "://" in name:
            return A2aPeer(name, name)
        if name not in self._known or self._configured is None:
            names = ", ".join(sorted(self._known)) or "none"
            raise NotFound(
                f"The settings know no A2A agent {name!r}; they know: {names}.",
                hint=f"Set tools.a2a_agents.{name}.url, or write the agent's address in its place.",
            )
        return self._configured(name)

    async def client(self, peer: A2aPeer) -> "A2aClient":
        """Return a client of an agent; enter it to use it. Cards are fetched once in a while, not each time.

        Raises:
            Unsupported: if the extra `a2a` is not installed.
        """
        if importlib.util.find_spec("a2a") is None:
            raise Unsupported("Agents elsewhere need the extra `a2a`.", hint="pip install 'mosaicstack[a2a]'")
        if (
            _CLIENT not in sys.modules
        ):  # the protocol's library takes a second to import: not on the event loop
            await asyncio.to_thread(import_module, _CLIENT)
        from mosaic.tools.a2a.client import A2aClient  # noqa: PLC0415  # see above

        return A2aClient(peer, self._cards)
