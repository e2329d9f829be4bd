"""How long each phase of a call may take, and how much of anything an upstream may send."""

from dataclasses import dataclass

__all__ = ["UpstreamLimits", "UpstreamTimeouts"]


@dataclass(frozen=True, slots=True)
class UpstreamTimeouts:
    """Seconds that each phase of one call may take.

    Attributes:
        connect_s: waiting for a free connection, or opening one, TLS included.
        write_s: without any progress in sending the request.
        first_byte_s: from the request's last byte to the head of the answer.
        idle_s: between two pieces of the answer's body, while we are reading.
        total_s: from the call to the last byte.
    """

    connect_s: float = 10.0
    write_s: float = 30.0
    first_byte_s: float = 300.0
    idle_s: float = 120.0
    total_s: float = 900.0


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Bounds on what one pool holds and on what an upstream may send.

    Attributes:
        connections: open at once to one origin on one event loop.
        waiting: calls that may wait for a connection of one origin.
        keep_alive_s: how long an unused connection is kept; less when the upstream says so.
        trusted_s: a connection unused for no longer than this is taken without a look at its socket: the look costs a
            system call in which another thread may run, and the event loop sees a close within that time anyway.
        head_bytes: of an answer's head, of its trailers, and of any run of bytes that carries no body.
        body_bytes: that `UpstreamResponse.read` returns unless it is told otherwise.
        buffer_bytes: of a body that are held before its reader takes them; above it nothing more is read from the
            network. One more read, at most 256 KiB, may come on top.
    """

    connections: int = 1024
    waiting: int = 10_000
    keep_alive_s: float = 30.0
    trusted_s: float = 0.25
    head_bytes: int = 64 * 1024
    body_bytes: int = 32 * 1024 * 1024
    buffer_bytes: int = 256 * 1024
