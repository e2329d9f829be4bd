"""Identifiers: a noun prefix and a time-ordered random body, such as ``run_06f2…``.

The body is 48 bits of milliseconds and 80 random bits in lower-case Crockford base 32 (26 characters), so ids
sort by creation time, carry no separator that a shell or URL must quote, and name their noun wherever they
appear.
"""

import secrets
import time

__all__ = ["id_prefix", "new_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a new identifier for the noun `prefix`, for example ``new_id("run")``."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    body = "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{body}"


def id_prefix(identifier: str) -> str:
    """Return the noun an identifier names; empty when it has none."""
    prefix, separator, _ = identifier.partition("_")
    return prefix if separator else ""
