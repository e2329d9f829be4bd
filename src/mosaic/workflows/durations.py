"""Durations as people write them: ``90s``, ``2h``, ``1h30m``, ``1d``, ``250ms``."""

import re

__all__ = ["DURATION_PATTERN", "parse_duration"]

DURATION_PATTERN = r"^(?=.)(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?(\d+ms)?$"

_PARTS = re.compile(
    r"(?:(?P<d>\d+(?:\.\d+)?)d)?(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?"
    r"(?:(?P<s>\d+(?:\.\d+)?)s)?(?:(?P<ms>\d+)ms)?",
    re.ASCII,
)
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_MAX_LENGTH = 40
_MAX_S = 3_660 * 86_400.0


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for; units in falling order, each at most once.

    Raises:
        ValueError: if it is not a duration, or longer than ten years.
    """
    found = _PARTS.fullmatch(text) if 0 < len(text) <= _MAX_LENGTH else None
    if found is None:
        raise ValueError("not a duration; write it like 90s, 2h or 1h30m")
    seconds = sum(float(value) * _SECONDS[unit] for unit, value in found.groupdict().items() if value)
    if seconds > _MAX_S:
        raise ValueError("longer than ten years")
    return round(seconds, 3)
