"""What a server offers, between asking it and approving it."""

import builtins
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from mosaic.core.context import Context
from mosaic.tools.interfaces import Tool
from mosaic.tools.schemas import ToolSpec

__all__ = ["Listed", "model_name"]


class Listed(ABC):
    """The list of one server, as it came."""

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The server's own names of its tools."""

    @abstractmethod
    async def approved(
        self, ctx: Context, taken: Mapping[str, str]
    ) -> tuple[builtins.list[Tool], dict[str, str]]:
        """Compare the list with what is approved.

        Args:
            ctx: for whom.
            taken: names of tools that are there already, by the name that models use.

        Returns:
            The tools that may be called, and those that may not, by name, with the reason.
        """


def model_name(name: str) -> str:
    """Return the name that models use for a tool."""
    return ToolSpec(name, "", {}).model_name
