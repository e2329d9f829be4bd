"""Versions of plugins: numbers with dots, and the ranges and pins that choose among them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from zlib import crc32

from mosaic.core.errors import InvalidInput

__all__ = ["Share", "VersionRange", "checked_weights", "newest", "version_key"]

_VERSION = re.compile(r"\d+(\.\d+){0,3}")
_CLAUSE = re.compile(r"(==|!=|>=|<=|>|<)?\s*(\d+(?:\.\d+){0,3})(\.\*)?")


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: ``1.10`` is newer than ``1.9``, and ``1`` is ``1.0``.

    Raises:
        InvalidInput: if it is not one to four numbers with dots between them.
    """
    if not _VERSION.fullmatch(version):
        raise InvalidInput(f"{version!r} is not a version.", hint="Write numbers with dots: 1, 1.2 or 1.2.3.")
    return tuple(int(part) for part in (version + ".0.0.0").split(".")[:4])


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Which versions fit.

    ``*`` is every one, ``1.2`` every 1.2 and 1.2.x, ``>=1.2,<2`` all between; ``==``, ``!=``, ``>`` and ``<=`` as usual.
    """

    text: str
    clauses: tuple[tuple[str, tuple[int, ...], int], ...]

    @classmethod
    def parse(cls, text: str) -> "VersionRange":
        """Read a range.

        Raises:
            InvalidInput: if it is not one.
        """
        clauses = []
        for part in text.split(","):
            if part.strip() == "*":
                continue
            found = _CLAUSE.fullmatch(part.strip())
            if found is None:
                raise InvalidInput(
                    f"{text!r} is not a range of versions.", hint="Write 1.2, or >=1.2,<2, or * for all."
                )
            sign, version, star = found.groups()
            clauses.append((sign or "in", version_key(version), version.count(".") + 1))
            if star and sign not in (None, "=="):
                raise InvalidInput(
                    f"{text!r} is not a range of versions.", hint="`.*` goes with no sign but ==."
                )
            if star:
                clauses[-1] = ("in", *clauses[-1][1:])
        return cls(text, tuple(clauses))

    def __contains__(self, version: object) -> bool:
        key = version_key(str(version))
        return all(_fits(key, *clause) for clause in self.clauses)


def _fits(key: tuple[int, ...], sign: str, bound: tuple[int, ...], length: int) -> bool:
    if sign == "in":
        return key[:length] == bound[:length]
    return {
        "==": key == bound,
        "!=": key != bound,
        ">=": key >= bound,
        "<=": key <= bound,
        ">": key > bound,
        "<": key < bound,
    }[sign]


def newest(versions: Iterable[str], wanted: str = "*") -> str | None:
    """Return the newest version that fits `wanted`; None when none does.

    Raises:
        InvalidInput: if `wanted` is not a range.
    """
    within = VersionRange.parse(wanted)
    return max((version for version in versions if version in within), key=version_key, default=None)


@dataclass(frozen=True, slots=True)
class Share:
    """Divides requests among versions by weight. The same request id always gets the same version.

    Attributes:
        bounds: for each choice, the sum of the weights up to and with its own.
    """

    bounds: tuple[int, ...]
    seed: str

    @classmethod
    def of(cls, weights: Iterable[int], *, seed: str) -> "Share":
        """Return the share of these weights; `seed` keeps the shares of different instances independent."""
        bounds, total = [], 0
        for weight in weights:
            total += weight
            bounds.append(total)
        return cls(tuple(bounds), seed)

    def choose(self, request_id: str) -> int:
        """Return the index of the choice for a request."""
        point = crc32(f"{self.seed}\n{request_id}".encode()) % self.bounds[-1]
        return next(index for index, bound in enumerate(self.bounds) if point < bound)


def checked_weights(weights: Mapping[str, int], *, name: str) -> dict[str, int]:
    """Return version pins with their weights, heaviest first.

    Raises:
        InvalidInput: if there is none above zero, or a pin is no range.
    """
    for pin in weights:
        VersionRange.parse(pin)
    kept = {pin: weight for pin, weight in weights.items() if weight > 0}
    if not kept:
        raise InvalidInput(f"The provider {name!r} has `versions` without a weight above 0.")
    return dict(sorted(kept.items(), key=lambda item: -item[1]))
