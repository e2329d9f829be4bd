"""Whose seal a reasoning part carries, so that no vendor is sent another's.

Anthropic's own seals stand as they are, as do those of vendors with a similar API; the others' are written with the
vendor's id before a colon, which no base64 text holds.
"""

from mosaic.providers.parts import ReasoningPart

__all__ = ["is_foreign", "own_seal", "sealed"]


def sealed(vendor: str, seal: str) -> str:
    """Return `seal` marked as `vendor`'s."""
    return f"{vendor}:{seal}"


def own_seal(part: ReasoningPart, vendor: str) -> str | None:
    """Return the seal in the vendor's own form; None when the part has none, or another vendor's."""
    owner, colon, seal = (part.signature or "").partition(":")
    return seal if colon and owner == vendor else None


def is_foreign(part: ReasoningPart) -> bool:
    """Whether the part's seal is marked as some vendor's."""
    return ":" in (part.signature or "")
