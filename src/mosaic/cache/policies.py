"""Which policy holds for which route and provider."""

import fnmatch
from collections.abc import Mapping
from dataclasses import replace

from mosaic.cache.schemas import CachePolicy

__all__ = ["CachePolicies", "stricter"]

_MOST_REMEMBERED = 10_000


class CachePolicies:
    """Policies by route and by provider; names may hold ``*`` and ``?``.

    The route's policy counts, or else the default. A provider's policy can only make it stricter: a vendor whose
    answers may be kept an hour at most, or nowhere but in memory, is held to that on every route.

    Args:
        default: for routes not named; None keeps nothing for them.
        routes: by route; None keeps nothing. The first that fits counts, exact names before patterns.
        providers: by provider, likewise.
    """

    def __init__(
        self,
        default: CachePolicy | None = None,
        *,
        routes: Mapping[str, CachePolicy | None] | None = None,
        providers: Mapping[str, CachePolicy | None] | None = None,
    ) -> None:
        self._default = default
        self._routes = dict(routes or {})
        self._providers = dict(providers or {})
        self._decided: dict[tuple[str, str], CachePolicy | None] = {}

    def of(self, route: str, provider: str = "") -> CachePolicy | None:
        """Return the policy for answers of `provider` on `route`, or None when nothing is kept."""
        asked = (route, provider)
        try:
            return self._decided[asked]
        except KeyError:
            if len(self._decided) >= _MOST_REMEMBERED:  # routes may be named by clients
                self._decided.clear()
            return self._decided.setdefault(asked, self._decide(route, provider))

    def _decide(self, route: str, provider: str) -> CachePolicy | None:
        policy = _matching(self._routes, route, self._default)
        if policy is None or policy.ttl_s <= 0:
            return None
        limit = _matching(self._providers, provider, policy)
        if limit is None or limit.ttl_s <= 0:
            return None
        return policy if limit is policy else stricter(policy, limit)


def _matching(
    named: Mapping[str, CachePolicy | None], name: str, otherwise: CachePolicy | None
) -> CachePolicy | None:
    if name in named:
        return named[name]
    for pattern, policy in named.items():
        if fnmatch.fnmatchcase(name, pattern):
            return policy
    return otherwise


def stricter(policy: CachePolicy, limit: CachePolicy) -> CachePolicy:
    """Return a policy that keeps no more, no longer and in no more places than either."""
    if policy.tiers is None or limit.tiers is None:
        tiers = limit.tiers if policy.tiers is None else policy.tiers
    else:
        tiers = policy.tiers & limit.tiers
    similarity = None
    if policy.similarity is not None and limit.similarity is not None:
        similarity = max(policy.similarity, limit.similarity)
    return replace(
        policy,
        ttl_s=min(policy.ttl_s, limit.ttl_s),
        stale_s=min(policy.stale_s, limit.stale_s),
        max_bytes=min(policy.max_bytes, limit.max_bytes),
        tiers=tiers,
        tags=tuple(dict.fromkeys((*policy.tags, *limit.tags))),
        similarity=similarity,
    )
