"""Which errors of one target say nothing against asking another, and what a client is told of them."""

from mosaic.core.errors import MosaicError, OutcomeUnknown, Unavailable

__all__ = ["fails_over", "for_client", "is_our_affair", "may_have_acted", "unknown_outcome"]

# The call was certainly not answered and, but for a key or a name, would have been right.
_NOT_ITS_FAULT = frozenset(
    {"unauthenticated", "permission_denied", "not_found", "contract_violation", "timed_out"}
)
_REFUSALS = frozenset(
    {
        "budget_exceeded", "invalid_input", "limit_exceeded", "not_found", "permission_denied", "unauthenticated",
        "unsupported",
    }
)  # fmt: skip
_BUSY = frozenset({503, 529})
_OUR_KEY = frozenset({"unauthenticated", "permission_denied"})


def fails_over(error: MosaicError) -> bool:
    """Say whether another target may be asked after `error`.

    A model call changes nothing but the bill, so one whose answer was lost may be asked elsewhere; what it may have
    cost stays counted. For calls that change more see `may_have_acted`.
    """
    return error.failover_safe or error.code in _NOT_ITS_FAULT


def may_have_acted(error: MosaicError) -> bool:
    """Say whether a provider may have begun to do what it was asked before `error`: it did not refuse at once."""
    status = error.data.get("status")
    if status is None:
        return error.data.get("sent") is not False and error.code not in _REFUSALS
    return int(status) >= 500 and status not in _BUSY


def unknown_outcome(error: MosaicError) -> MosaicError:
    """Return the error for a call that may have changed something, and whose answer was lost."""
    return OutcomeUnknown(
        f"{error.message} What the request makes the provider do may have been done; it was not sent again.",
        hint="Look whether it happened before you send it again.",
        **error.data,
    )


def is_our_affair(error: MosaicError) -> bool:
    """Say whether a provider refused our own key, which is not the client's mistake."""
    return error.code in _OUR_KEY and "provider" in error.data


def for_client(error: MosaicError) -> MosaicError:
    """Return what a client is told of an error that is our affair."""
    provider = error.data["provider"]
    return Unavailable(
        f"{provider} refused the key that this gateway has for it.",
        hint="Its operator finds the reason in the log and with `mosaic providers check`.",
        provider=provider,
    )
