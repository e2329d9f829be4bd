"""What the MCP server asks of others: who calls, and what there is for them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from mosaic.core.context import Context
from mosaic.mcp.schemas import Caller
from mosaic.tools import Policy, Toolbox

if TYPE_CHECKING:
    # The SDK takes half a second to import: it is loaded with the first request, not with the server.
    import mcp.types as mcp_types
    from mcp.server.subscriptions import SubscriptionBus

    from mosaic.mcp.exchange import Exchange

    CallAnswer: TypeAlias = mcp_types.CallToolResult | mcp_types.InputRequiredResult | dict[str, Any]
    ReadAnswer: TypeAlias = mcp_types.ReadResourceResult | mcp_types.InputRequiredResult
    PromptAnswer: TypeAlias = mcp_types.GetPromptResult | mcp_types.InputRequiredResult

__all__ = ["Identify", "Offer", "OutsideTools"]

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Identify(Protocol):
    """Finds who calls by what a request shows."""

    async def __call__(self, headers: Headers) -> Caller:
        """Return the caller.

        Raises:
            Unauthenticated: if nothing is shown, or nothing that is good.
            PermissionDenied: if it is good, but not for this.
        """
        ...


class OutsideTools(Protocol):
    """What can be called from outside any run."""

    async def toolbox(self, ctx: Context, *, view: str | None = None) -> Toolbox:
        """Return the tools that may be called for `ctx` now; they need no closing.

        Raises:
            NotFound: if there is no such view.
            PermissionDenied: if it is not for this actor.
        """
        ...

    async def policy(self, ctx: Context) -> Policy:
        """Return what runs, asks, or is refused for `ctx` now."""
        ...


class Offer(Protocol):
    """What a server has: tools, resources, prompts. Errors of the house's tree are told to the client."""

    def header_schema(self, name: str) -> Mapping[str, Any] | None:
        """Return the input schema of a tool some of whose arguments travel as HTTP headers too; None for any other."""
        ...

    async def tools(self, exchange: "Exchange") -> "list[mcp_types.Tool]":
        """Return every tool."""
        ...

    async def call(self, exchange: "Exchange", name: str, arguments: Mapping[str, Any]) -> "CallAnswer":
        """Call a tool.

        Raises:
            UnknownTool: if there is none of that name.
        """
        ...

    async def resources(self, exchange: "Exchange", cursor: str | None) -> "mcp_types.ListResourcesResult":
        """Return a page of resources, the newest first."""
        ...

    async def templates(self, exchange: "Exchange") -> "list[mcp_types.ResourceTemplate]":
        """Return the patterns of addresses that can be read besides."""
        ...

    async def read(self, exchange: "Exchange", uri: str) -> "ReadAnswer":
        """Return what is at an address.

        Raises:
            NotFound: if nothing is.
        """
        ...

    async def prompts(self, exchange: "Exchange") -> "list[mcp_types.Prompt]":
        """Return every prompt."""
        ...

    async def prompt(self, exchange: "Exchange", name: str, arguments: Mapping[str, str]) -> "PromptAnswer":
        """Return a prompt with its arguments filled in.

        Raises:
            NotFound: if there is none of that name.
            InvalidInput: if an argument is missing.
        """
        ...

    async def complete(self, exchange: "Exchange", what: str, argument: str, begun: str) -> list[str]:
        """Return how a value may go on.

        Args:
            exchange: the request.
            what: a prompt's name, or the pattern of an address.
            argument: which of its arguments.
            begun: what is written already.
        """
        ...

    async def task(self, exchange: "Exchange", task_id: str) -> dict[str, Any]:
        """Return where a task of this caller stands, as the tasks extension writes it.

        Raises:
            NotFound: if the caller has none of that id.
        """
        ...

    async def answer_task(self, exchange: "Exchange", task_id: str, responses: Mapping[str, Any]) -> None:
        """Take the client's answers to what a task asked; unknown ones are ignored.

        Raises:
            NotFound: if the caller has none of that id.
        """
        ...

    async def cancel_task(self, exchange: "Exchange", task_id: str) -> None:
        """Cancel a task.

        Raises:
            NotFound: if the caller has none of that id.
        """
        ...

    async def check_watched(self, exchange: "Exchange", uri: str) -> None:
        """Check that the caller may be told when a resource changes.

        Raises:
            NotFound: if there is none at that address.
        """
        ...

    def changes(self, exchange: "Exchange") -> "SubscriptionBus":
        """Return where the caller's tenant hears of changes; the same one each time."""
        ...
