"""Requests to addresses that others gave: only where they may go, signed, bounded, never redirected."""

from mosaic.outbound.guard import GuardedTransport, is_public
from mosaic.outbound.posting import RETRY_S, Answer, Poster, pause_s
from mosaic.outbound.signatures import MOST_TOLERANCE_S, key_of, secret_of, sign, verify

__all__ = [
    "MOST_TOLERANCE_S",
    "RETRY_S",
    "Answer",
    "GuardedTransport",
    "Poster",
    "is_public",
    "key_of",
    "pause_s",
    "secret_of",
    "sign",
    "verify",
]
