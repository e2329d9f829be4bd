"""The gateway's section of the settings."""

from dataclasses import dataclass

__all__ = ["GatewaySettings"]


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Bounds of the `/v1` door.

    Attributes:
        max_body_bytes: the largest request.
        body_timeout_s: how long a request's body may take to arrive.
        stalled_client_s: how long one write may wait for a client that does not read.
    """

    max_body_bytes: int = 32_000_000
    body_timeout_s: float = 60.0
    stalled_client_s: float = 60.0
