"""What goes wrong on the way to an upstream, as errors of the core tree."""

from typing import Final

from mosaic.core.errors import ContractViolation, TimedOut, Unavailable

__all__ = ["broke_off", "exhausted", "misbehaved", "out_of_time", "too_large", "unreachable"]

_WAITED_FOR: Final = {
    "connect": "no connection in time",
    "write": "it does not take the request",
    "first_byte": "no answer in time",
    "idle": "the answer stopped coming",
    "total": "the whole answer did not come in time",
}


def unreachable(provider: str, origin: str, error: BaseException) -> Unavailable:
    """Return the error for an origin that nobody answers at; nothing was sent."""
    reason = str(error) or type(error).__name__
    return Unavailable(f"{provider} cannot be reached at {origin}: {reason}.", provider=provider, sent=False)


def exhausted(provider: str, origin: str, waiting: int) -> Unavailable:
    """Return the error for a queue that is full; nothing was sent."""
    return Unavailable(
        f"{waiting:,} calls already wait for a connection to {provider} at {origin}.",
        hint="Send less at once, or allow more connections.",
        provider=provider,
        sent=False,
    )


def out_of_time(provider: str, origin: str, *, phase: str, sent: bool) -> TimedOut:
    """Return the error for a phase that took too long."""
    state = "the request was sent" if sent else "the request was not sent"
    return TimedOut(
        f"{provider} at {origin}: {_WAITED_FOR[phase]}; {state}.",
        hint="Raise the timeout if the model needs longer.",
        provider=provider,
        phase=phase,
        sent=sent,
    )


def broke_off(provider: str, origin: str, error: BaseException | None, *, reused: bool) -> Unavailable:
    """Return the error for a connection lost after the request went out.

    Args:
        provider: who was called.
        origin: where.
        error: what the transport says; None for an orderly end.
        reused: the connection had served an earlier call, so the upstream may have closed it before it saw this one.
    """
    reason = f": {str(error) or type(error).__name__}" if error else " before the answer was whole"
    return Unavailable(
        f"The connection to {provider} at {origin} broke off{reason}.",
        provider=provider,
        sent=True,
        reused=reused,
    )


def misbehaved(provider: str, origin: str, what: str) -> ContractViolation:
    """Return the error for bytes that are no proper HTTP answer."""
    return ContractViolation(
        f"{provider} at {origin} {what}.",
        hint="Check the provider's address: another kind of server may answer there.",
        provider=provider,
        sent=True,
    )


def too_large(provider: str, limit_bytes: int) -> ContractViolation:
    """Return the error for a body above its bound."""
    return ContractViolation(
        f"{provider} sent more than {limit_bytes:,} bytes in one answer.", provider=provider, sent=True
    )
