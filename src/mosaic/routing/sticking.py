"""Sticky targets: requests of one session stay where the first one went."""

import math
from collections.abc import Callable, Sequence

from mosaic.routing.field import Field
from mosaic.routing.schemas import Ranked, RouteRequest
from mosaic.routing.settings import Route
from mosaic.routing.shares import number_of, rendezvous

__all__ = ["StickyTargets", "shared_by"]

_MEMORY = 100_000

_FIELDS = {
    "request": "request_id",
    "session": "session",
    "key": "key_id",
    "agent": "agent",
    "tenant": "tenant",
    "project": "project",
}


def shared_by(request: RouteRequest, field: str) -> str:
    """Return what a request shares with others in a field; its own id when it says nothing there."""
    value = getattr(request, _FIELDS[field])
    if not value:
        return request.request_id
    return f"{request.tenant}\0{value}"


class StickyTargets:
    """Where sessions are kept, for as long as they go on and their target may still take them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._learns = True

    def looking(self) -> "StickyTargets":
        """Return the same sessions, to look at: applying them changes nothing."""
        view = StickyTargets(self._clock)
        view._kept = self._kept
        view._learns = False
        return view

    def put(self, route: str, request: RouteRequest, field: str, target: str) -> None:
        """Keep a session at a target, as if its first request had gone there."""
        value = getattr(request, _FIELDS[field])
        if value:
            self._kept[route, request.tenant, str(value)] = (target, math.inf)

    def apply(self, route: Route, field: Field, ranked: list[Ranked]) -> tuple[list[Ranked], bool]:
        """Return the candidates with the session's target first, and whether an earlier request had put it there."""
        sticky = route.sticky
        if sticky is None:
            return ranked, False
        value = getattr(field.request, _FIELDS[sticky.by])
        if not value:
            return ranked, False
        if sticky.how == "hash":
            return _by_hash(field, f"{route.name}\0{field.request.tenant}\0{value}"), True
        key = (route.name, field.request.tenant, str(value))
        now = self._clock()
        kept = self._kept.get(key)
        before = kept[0] if kept is not None and kept[1] > now else None
        first = _first(before, field, ranked)
        target = before if first is not None and before is not None else ranked[0].target.id
        if self._learns:
            self._remember(key, target, now + sticky.ttl_s)
        if first is None:
            return ranked, False
        return [first, *(entry for entry in ranked if entry.target.id != target)], True

    def _remember(self, key: tuple[str, str, str], target: str, until: float) -> None:
        self._kept.pop(key, None)  # so that the longest silent stand first
        while len(self._kept) >= _MEMORY:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (target, until)


def _first(before: str | None, field: Field, ranked: Sequence[Ranked]) -> Ranked | None:
    """Return the entry of the target that a session was at; None when it may not take this request."""
    if before is None:
        return None
    found = next((entry for entry in ranked if entry.target.id == before), None)
    if found is not None:
        return found
    at = field.pool.position.get(before)
    return field.ranked(at, 0.0, {"sticky": 1.0}) if at is not None and at in field.positions else None


def _by_hash(field: Field, key: str) -> list[Ranked]:
    pool = field.pool
    hashes = [pool.hashes[at] for at in field.positions]
    weights = [max(pool.targets[at].weight, 1e-9) for at in field.positions]
    order = rendezvous(number_of(key), hashes, weights)[: field.limit]
    return [
        field.ranked(field.positions[at], -place, {"sticky": float(place == 0)})
        for place, at in enumerate(order)
    ]
