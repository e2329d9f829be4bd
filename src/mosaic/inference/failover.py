"""Which errors of one target say nothing against asking another, and what a client is told of them."""

from mosaic.core.errors import MosaicError, Unavailable

__all__ = ["fails_over", "for_client"]

# The call was certainly not answered and, but for a key or a name, would have been right.
_NOT_ITS_FAULT = frozenset(
    {"unauthenticated", "permission_denied", "not_found", "contract_violation", "timed_out"}
)
_OUR_KEY = frozenset({"unauthenticated", "permission_denied"})


def fails_over(error: MosaicError) -> bool:
    """Say whether another target may be asked after `error`.

    A model call changes nothing but the bill, so one whose answer was lost may be asked elsewhere; what it may have
    cost stays counted.
    """
    return error.failover_safe or error.code in _NOT_ITS_FAULT


def for_client(error: MosaicError) -> MosaicError:
    """Return the error as a client may see it: that a provider refused our own key is not the client's mistake."""
    provider = error.data.get("provider")
    if provider is None or error.code not in _OUR_KEY:
        return error
    return Unavailable(
        f"{provider} refused the key that this gateway has for it.",
        hint="Its operator finds the reason in the log and with `mosaic providers check`.",
        provider=provider,
    )
