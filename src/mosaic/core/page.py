"""One page of a listing."""

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Page"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items in order, and the cursor that continues after the last one; None at the end."""

    items: tuple[T, ...]
    next_cursor: str | None = None
