"""Hard constraints: who may not take a request, whatever the strategy would like. All of them hold together."""

from collections.abc import Callable, Iterable, Mapping

from mosaic.core.money import Money
from mosaic.routing.schemas import ASSUMED_CONTEXT_TOKENS, Rejected, RouteRequest, Target
from mosaic.routing.settings import Require

__all__ = ["CONSTRAINTS", "Distances", "admitted", "requested", "too_dear", "too_long"]

Distances = Mapping[tuple[str, str], float]

CONSTRAINTS = (
    "privacy",
    "residency",
    "compliance",
    "capability",
    "region",
    "latency",
    "quality",
    "attribute",
    "context",
    "budget",
    "resting",
)
"""Every constraint, in the order in which they are looked at."""

_Reason = str | None


def requested(request: RouteRequest) -> Require:
    """Return what a request itself requires."""
    return Require(
        privacy=request.privacy,
        residency=request.residency or None,
        compliance=request.compliance,
        capabilities=request.needs,
    )


def admitted(
    targets: Iterable[Target], require: Require, *, region: str | None, distances: Distances
) -> tuple[list[Target], list[Rejected]]:
    """Return who may take requests with these requirements, and who may not and why.

    Only what does not change from one request to the next is looked at here.
    """
    able: list[Target] = []
    rejected: list[Rejected] = []
    for target in targets:
        found = _first_broken(target, require, region, distances)
        if found is None:
            able.append(target)
        else:
            rejected.append(Rejected(target, *found))
    return able, rejected


def _first_broken(
    target: Target, require: Require, region: str | None, distances: Distances
) -> tuple[str, str] | None:
    for name, check in _CHECKS:
        reason = check(target, require)
        if reason:
            return name, reason
    reason = _far(target, require, region, distances)
    return ("latency", reason) if reason else None


def _privacy(target: Target, require: Require) -> _Reason:
    if require.privacy == "strict" and not target.local:
        return "strict privacy keeps the request on local targets, and this one is not local"
    return None


def _residency(target: Target, require: Require) -> _Reason:
    allowed = require.residency
    if allowed is None or (target.residency and target.residency <= allowed):
        return None
    if not allowed:
        return "the requirements name regions that have nothing in common"
    kept = (
        f"it keeps data in {_listed(target.residency)}"
        if target.residency
        else "nobody stated where it keeps data"
    )
    return f"data must stay in {_listed(allowed)}, and {kept}"


def _compliance(target: Target, require: Require) -> _Reason:
    missing = require.compliance - target.compliance
    return f"it is not known to comply with {_listed(missing)}" if missing else None


def _capability(target: Target, require: Require) -> _Reason:
    missing = require.capabilities - target.capabilities
    return f"it lacks {_listed(missing)}" if missing else None


def _region(target: Target, require: Require) -> _Reason:
    if require.regions is None or target.region in require.regions:
        return None
    return f"it runs in {target.region or 'an unknown region'}, not in {_listed(require.regions) or 'any region'}"


def _quality(target: Target, require: Require) -> _Reason:
    if target.quality >= require.min_quality:
        return None
    return f"its quality {target.quality:g} is below {require.min_quality:g}"


def _attribute(target: Target, require: Require) -> _Reason:
    for name, values in require.attributes:
        if target.attributes.get(name) not in values:
            wanted = " or ".join(str(value) for value in values)
            return f"its {name} is {target.attributes.get(name, 'not stated')}, not {wanted}"
    return None


_CHECKS: tuple[tuple[str, Callable[[Target, Require], _Reason]], ...] = (
    ("privacy", _privacy),
    ("residency", _residency),
    ("compliance", _compliance),
    ("capability", _capability),
    ("region", _region),
    ("quality", _quality),
    ("attribute", _attribute),
)


def _far(target: Target, require: Require, region: str | None, distances: Distances) -> _Reason:
    if require.max_latency_s is None:
        return None
    known = distances.get((region or "", target.region or ""), target.latency_s)
    if known is None:
        return "nobody knows its latency from here"
    if known > require.max_latency_s:
        return f"it takes {known * 1000:.0f} ms, more than {require.max_latency_s * 1000:.0f} ms"
    return None


def too_long(target: Target, tokens: int) -> Rejected:
    """Return why a target cannot hold a request of this size."""
    stated = target.context_tokens
    holds = (
        f"it holds {stated:,}"
        if stated is not None
        else f"nobody stated more than {ASSUMED_CONTEXT_TOKENS:,}"
    )
    return Rejected(target, "context", f"the request may need {tokens:,} tokens, and {holds}")


def too_dear(target: Target, cost: int | None, limit: int) -> Rejected:
    """Return why a target costs too much."""
    if cost is None:
        return Rejected(target, "budget", "nobody knows its price, and the request has a limit on its cost")
    return Rejected(
        target, "budget", f"it may cost {Money(cost)}, and {Money(max(limit, 0))} is left for this request"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
