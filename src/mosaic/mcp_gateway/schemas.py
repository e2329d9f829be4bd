"""The values of the MCP gateway."""

from dataclasses import dataclass
from typing import Protocol

from mosaic.core.context import Context

__all__ = ["GatewayCaller", "McpGatewaySettings"]


class GatewayCaller(Protocol):
    """Someone who may call.

    Attributes:
        ctx: the tenant, the project and the actor of its calls.
        principal: tells this credential's holder from every other; a session belongs to it.
    """

    @property
    def ctx(self) -> Context: ...  # noqa: D102  # the class says
    @property
    def principal(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class McpGatewaySettings:
    """Bounds of the gateway.

    Attributes:
        max_body_bytes: the largest request.
        body_timeout_s: how long a request may take to arrive.
        max_answer_bytes: the largest answer, or event of a stream.
        wait_s: how long a call that a person must approve keeps its client waiting.
        listed_s: how long a server's list is trusted when nobody says that it changed.
    """

    max_body_bytes: int = 8_000_000
    body_timeout_s: float = 60.0
    max_answer_bytes: int = 8_000_000
    wait_s: float = 50.0
    listed_s: float = 5.0
