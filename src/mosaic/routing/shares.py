"""Numbers from names, the same in every process: for shares of requests and for sticky targets."""

import math
from collections.abc import Sequence
from hashlib import blake2b

__all__ = ["in_share", "number_of", "rendezvous"]

_BITS = 64
_FULL = 1 << _BITS
_MASK = _FULL - 1


def number_of(text: str) -> int:
    """Return a number below 2**64 that stands for a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def in_share(share: float, *parts: str) -> bool:
    """Say whether the thing that `parts` name belongs to a share between 0 and 1; always the same answer."""
    if share <= 0.0:
        return False
    return share >= 1.0 or number_of("\0".join(parts)) < share * _FULL


def rendezvous(key: int, hashes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Return positions by weighted rendezvous hashing: when one goes, only its own keys move."""
    scores = [_score(key ^ other, weight) for other, weight in zip(hashes, weights, strict=True)]
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)


def _score(mixed: int, weight: float) -> float:
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
    mixed ^= mixed >> 31
    return weight / -math.log((mixed + 1) / (_FULL + 1))
