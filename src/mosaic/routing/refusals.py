"""Why a request goes nowhere, in words: the errors of routing."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from mosaic.core.errors import (
    BudgetExceeded,
    InvalidInput,
    MosaicError,
    NotFound,
    PolicyDenied,
    Problem,
    Unavailable,
    Unsupported,
)
from mosaic.routing.schemas import Rejected, RouteRequest
from mosaic.routing.settings import RoutingSettings
from mosaic.routing.targets import Targets

__all__ = ["refused", "unknown_name", "unknown_strategies"]

# Whoever set these did not want the request to leave under other conditions.
_POLICY = frozenset({"privacy", "residency", "compliance", "region", "attribute"})
_SHOWN = 5


def refused(request: RouteRequest, route: str, rejected: Sequence[Rejected]) -> MosaicError:
    """Return the error for a request that no target may take."""
    where = f"route {route!r}" if route else f"{request.name!r}"
    if not rejected:
        return Unavailable(
            f"No target is configured for {where}.",
            hint="`mosaic routes check` says what each route leads to; configure a provider that it names.",
        )
    by = Counter(entry.constraint for entry in rejected)
    said = "; ".join(f"{entry.target.id}: {entry.reason}" for entry in rejected[:_SHOWN])
    more = f"; and {len(rejected) - _SHOWN} more" if len(rejected) > _SHOWN else ""
    message = f"No target of {where} may take this request. {said}{more}."
    data = {"route": route, "rejected": [entry.to_json() for entry in rejected]}
    if by["resting"]:
        return Unavailable(message, hint="Try again in a moment, or add a fallback to the route.", **data)
    if by["budget"]:
        return BudgetExceeded(
            message, hint="Raise the limit, ask for fewer tokens, or add a cheaper target.", **data
        )
    if _POLICY & by.keys():
        hint = "Add a target that fulfils what is required, or state what a target fulfils under `targets:`."
        return PolicyDenied(message, hint=hint, **data)
    return Unsupported(message, hint="`mosaic routes explain` shows what is required and by whom.", **data)


def unknown_name(request: RouteRequest, settings: RoutingSettings, targets: Targets) -> NotFound:
    """Return the error for a name that is no route and no target."""
    routes = [name for name, route in settings.routes.items() if route.kind == request.kind]
    if not request.name:
        return NotFound(
            f"Nothing says where {request.kind} requests go.",
            hint=f"Name a route ({', '.join(routes) or 'there is none yet'}), or set `default` in the routes.",
        )
    from difflib import get_close_matches  # noqa: PLC0415  # only needed for an error

    known = [*routes, *(target.id for target in targets if target.kind == request.kind)]
    models: dict[str, str] = {
        target.model: target.id for target in targets if target.model and target.kind == request.kind
    }
    near = get_close_matches(request.name, [*known, *models], n=3, cutoff=0.5)
    hint = f"Did you mean {_either(models.get(name, name) for name in near)}?" if near else None
    hint = hint or f"Known: {', '.join(sorted(known)[:20]) or 'nothing; configure a provider'}."
    return NotFound(f"There is no route or model {request.name!r}.", hint=hint, near=near)


def unknown_strategies(settings: RoutingSettings, known: Collection[str]) -> InvalidInput | None:
    """Return the error for strategies that nobody knows."""
    named = {"default_strategy": settings.default_strategy}
    for name, route in settings.routes.items():
        named[f"routes.{name}.strategy"] = route.strategy or settings.default_strategy
    for rule in settings.rules:
        named[f"rules.{rule.name}.strategy"] = rule.strategy or settings.default_strategy
    problems = [
        Problem(f"there is no strategy `{strategy}`", path, suggestion=f"known: {', '.join(sorted(known))}")
        for path, strategy in named.items()
        if strategy not in known
    ]
    return (
        InvalidInput("The routes name a strategy that there is not.", problems=problems) if problems else None
    )


def _either(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))
