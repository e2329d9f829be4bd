"""How often the cache had the answer, by tenant, route and wire."""

from collections.abc import Iterator

from mosaic.cache.schemas import Source

__all__ = ["HitCounts", "Tally"]

_MOST_SCOPES = 10_000  # a bound on memory; who comes later is counted together
_OTHERS = "~others/~others/~others"


class Tally:
    """The look-ups of one route. `fetched` are the misses; every other source is a hit."""

    __slots__ = ("fetched", "joined", "memory", "objects", "redis", "saved_bytes", "similar", "stale")

    def __init__(self) -> None:
        self.memory = 0
        self.redis = 0
        self.objects = 0
        self.joined = 0
        self.similar = 0
        self.stale = 0
        self.fetched = 0
        self.saved_bytes = 0

    @property
    def hits(self) -> int:
        """Look-ups that cost no call to a model."""
        return self.memory + self.redis + self.objects + self.joined + self.similar

    @property
    def lookups(self) -> int:
        """All look-ups."""
        return self.hits + self.fetched

    @property
    def hit_rate(self) -> float:
        """The share of hits, from 0 to 1; 0 before the first look-up."""
        return self.hits / self.lookups if self.lookups else 0.0

    def add(self, other: "Tally") -> None:
        """Add the figures of `other`."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_json(self) -> dict[str, float]:
        """Return every figure by its name."""
        counted = {name: getattr(self, name) for name in self.__slots__}
        return {**counted, "hits": self.hits, "lookups": self.lookups, "hit_rate": round(self.hit_rate, 4)}


class HitCounts:
    """A tally for each tenant, route and wire, found by what their keys begin with."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}

    def of(self, key: str) -> Tally:
        """Return the tally that a key counts for."""
        scope = key.rpartition("/")[0]
        tally = self._tallies.get(scope)
        return self._new(scope) if tally is None else tally

    def hit(self, key: str, source: Source, *, size_bytes: int, stale: bool = False) -> None:
        """Count an answer that was had without a call."""
        tally = self.of(key)
        setattr(tally, source, getattr(tally, source) + 1)
        tally.saved_bytes += size_bytes
        tally.stale += stale

    def by_route(self, tenant: str | None = None) -> dict[str, Tally]:
        """Return the sums by route, over all wires; of one tenant (in the spelling of keys) or of all."""
        sums: dict[str, Tally] = {}
        for (who, route, _), tally in self.scopes():
            if tenant in (None, who):
                sums.setdefault(route, Tally()).add(tally)
        return sums

    def scopes(self) -> Iterator[tuple[tuple[str, str, str], Tally]]:
        """Yield ``(tenant, route, wire)`` and its tally."""
        for scope, tally in self._tallies.items():
            tenant, _, rest = scope.partition("/")
            route, _, wire = rest.partition("/")
            yield (tenant, route, wire), tally

    def _new(self, scope: str) -> Tally:
        if len(self._tallies) >= _MOST_SCOPES:
            scope = _OTHERS
        return self._tallies.setdefault(scope, Tally())
