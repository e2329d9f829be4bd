"""Which errors of one target say nothing against asking another."""

from mosaic.core.errors import MosaicError

__all__ = ["fails_over"]

# The call was certainly not answered and, but for a key or a name, would have been right.
_NOT_ITS_FAULT = frozenset(
    {"unauthenticated", "permission_denied", "not_found", "contract_violation", "timed_out"}
)


def fails_over(error: MosaicError) -> bool:
    """Say whether another target may be asked after `error`.

    A model call changes nothing but the bill, so one whose answer was lost may be asked elsewhere; what it may have
    cost stays counted.
    """
    return error.failover_safe or error.code in _NOT_ITS_FAULT
