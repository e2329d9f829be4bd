"""Why a request goes where it goes, in sentences and in JSON."""

from collections.abc import Iterable, Sequence

from mosaic.core.errors import MosaicError
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.routing.constraints import requested
from mosaic.routing.plans import Plan
from mosaic.routing.rules import Matched
from mosaic.routing.schemas import Decision, Ranked, RouteRequest
from mosaic.routing.settings import NO_REQUIREMENT, Require, Rule, Scope

__all__ = ["explanation"]

_STRATEGIES = {
    "adaptive": "the shortest expected wait first",
    "cheapest": "the lowest estimated cost first",
    "direct": "it is the only one",
    "fastest": "the lowest latency first",
    "health": "the healthiest first",
    "least-connections": "the fewest open requests first",
    "nearest": "the nearest region first",
    "ordered": "in the order of the list",
    "overflow": "in the order of the list, whoever is full last",
    "power-of-two": "the less loaded of two drawn by chance first",
    "round-robin": "one after the other",
    "score": "the best sum of cost, latency, quality and locality first",
    "weighted": "each as often as its weight says",
}


def explanation(
    request: RouteRequest,
    matched: Matched,
    plan: Plan | None,
    decision: Decision | None,
    error: MosaicError | None,
    *,
    looked_at: Sequence[tuple[Rule, str]],
    scopes: Sequence[Scope],
) -> JsonObject:
    """Return everything that led to a decision, or to its refusal."""
    required = list(_required(request, matched, plan, scopes))
    found_by = _found_by(request, matched, decision)
    shown: JsonObject = {
        "decision": decision.to_json() if decision else None,
        "error": error.to_json() if error else None,
        "found_by": found_by,
        "required": [{"by": by, "what": what} for by, what in required],
        "rules": [
            {"name": rule.name, "priority": rule.priority, "came_to": came_to, "reason": rule.reason}
            for rule, came_to in looked_at
        ],
    }
    shown["summary"] = list(_summary(decision, error, found_by, required, looked_at))
    return shown


def _summary(
    decision: Decision | None,
    error: MosaicError | None,
    found_by: str,
    required: Sequence[tuple[str, str]],
    looked_at: Sequence[tuple[Rule, str]],
) -> Iterable[str]:
    if decision is None:
        yield f"Nobody takes this request. {error.message if error else ''}"
    else:
        yield f"{decision.target.id} takes this request."
        yield f"Route: {decision.route or 'none'}, {found_by}."
    for rule, came_to in looked_at:
        reason = f" ({rule.reason})" if rule.reason else ""
        yield f"Rule {rule.name}: {came_to}{reason}."
    for by, what in required:
        yield f"Required: {what} ({by})."
    if decision is not None:
        yield from _order(decision)
        for entry in decision.rejected:
            yield f"Not {entry.target.id}: {entry.reason}."
        yield from _extras(decision)
    elif error is not None and error.hint:
        yield f"Next: {error.hint}"


def _order(decision: Decision) -> Iterable[str]:
    if decision.window:
        yield f"Time: the window {decision.window} is open."
    if decision.profile:
        yield f"Season: {decision.profile}."
    meaning = _STRATEGIES.get(decision.strategy, "by a strategy of this installation")
    yield f"Order: {decision.strategy}, {meaning}."
    for place, entry in enumerate(decision.candidates, 1):
        yield f"  {place}. {entry.target.id}{_figures(entry)}"


def _figures(entry: Ranked) -> str:
    said = [_figure(name, value) for name, value in entry.parts.items() if name not in ("place", "turn")]
    return f"  {', '.join(said)}" if said else ""


def _figure(name: str, value: float) -> str:
    if name == "cost_nanos":
        return "no known price" if value == float("inf") else f"at most {Money(int(value))}"
    if name.endswith("_s"):
        if value >= 1000 or value <= 0.00001:
            return f"{name[:-2]} unknown"
        return f"{name[:-2]} {value * 1000:.0f} ms"
    if name == "failing":
        return f"health {1 - value:.1f}"
    return f"{name.replace('_', ' ')} {value:.3g}"


def _extras(decision: Decision) -> Iterable[str]:
    if decision.canary:
        yield "Canary: this request belongs to the share that tries the canary first."
    if decision.sticky:
        yield "Sticky: the session stays where it was."
    if decision.shadow:
        yield f"Shadow: a copy goes to {', '.join(target.id for target in decision.shadow)}; nobody sees its answer."
    if decision.learned:
        yield f"Learned: the model prefers {decision.learned}."
    policy = decision.policy.to_json()
    policy = {name: value for name, value in policy.items() if value or name == "hedge_after_s"}
    if policy:
        yield f"Sent with: {', '.join(f'{name} {value:g}' for name, value in policy.items())}."


def _found_by(request: RouteRequest, matched: Matched, decision: Decision | None) -> str:
    if matched.place is not None:
        return f"because rule {matched.place.name} says so"
    if decision is None:
        return ""
    if not decision.route:
        return f"because the request names {request.name} itself"
    if decision.route == request.name:
        return "because the request names it"
    return (
        f"the default for names that are no route, such as {request.name!r}"
        if request.name
        else "the default"
    )


def _required(
    request: RouteRequest, matched: Matched, plan: Plan | None, scopes: Sequence[Scope]
) -> Iterable[tuple[str, str]]:
    sources: list[tuple[str, Require]] = [("the request", requested(request))]
    if plan is not None:
        sources.append((f"route {plan.route.name}", plan.route.require))
    names = (f"tenant {request.tenant}", f"project {request.project}")
    sources += [(name, scope.require) for name, scope in zip(names, scopes, strict=False)]
    sources += [(f"rule {rule.name}", rule.require) for rule in matched.requiring]
    for by, require in sources:
        if require != NO_REQUIREMENT:
            yield from ((by, phrase) for phrase in _phrases(require))
    if request.budget_left_nanos is not None:
        yield "the budget", f"at most {Money(max(request.budget_left_nanos, 0))}"


def _phrases(require: Require) -> Iterable[str]:
    if require.privacy == "strict":
        yield "strict privacy, local targets only"
    for names, phrase in (
        (require.residency, "data stays in"),
        (require.compliance, "complies with"),
        (require.capabilities, "can do"),
        (require.regions, "runs in"),
    ):
        if names:
            yield f"{phrase} {', '.join(sorted(names))}"
    if require.max_latency_s is not None:
        yield f"at most {require.max_latency_s * 1000:.0f} ms away"
    if require.max_cost_nanos is not None:
        yield f"at most {Money(require.max_cost_nanos)}"
    if require.min_quality:
        yield f"quality at least {require.min_quality:g}"
    for name, values in require.attributes:
        yield f"{name} is {' or '.join(str(value) for value in values)}"
