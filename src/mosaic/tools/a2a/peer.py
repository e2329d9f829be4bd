"""Where another agent is, and how to show it who we are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["A2aPeer"]


@dataclass(frozen=True, slots=True)
class A2aPeer:
    """One agent elsewhere.

    Attributes:
        name: of the settings, or the address itself.
        url: below which its card is, or the card itself (``....json``).
        headers: sent with each request; never shown.
    """

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
