"""What must hold after the storm."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from chaos.books import Call, Records, Sending
from chaos.fleet import Fleet
from chaos.site import ROUTES, Plan, Site

__all__ = ["Findings", "check_aborts", "check_budgets", "check_failover", "check_ledger", "check_repeats"]

_LEAST_SUCCESS = 0.995
_CANCELLED_WITHIN_S = 1.0
_EDGE_S = 0.02
_SHOWN = 5


@dataclass
class Findings:
    """Figures to print, and what is wrong."""

    figures: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def show(self, name: str, value: object) -> None:
        self.figures[name] = str(value)

    def wrong(self, what: str, examples: Sequence[object] = ()) -> None:
        shown = "".join(f"\n    {example}" for example in examples[:_SHOWN])
        self.problems.append(what + shown)


def check_failover(calls: Sequence[Call], fleet: Fleet, found: Findings) -> None:
    """Calls that could be answered were; streams that broke off after they began said so."""
    kept = [call for call in calls if call.end != "left"]
    begun = [call for call in kept if call.status == 200 and call.end in ("broken", "lost")]
    safe = [call for call in kept if call.status != 200 or call.end == "whole"]
    failed = [call for call in safe if call.end != "whole" and _answerable(call, fleet)]
    answered = sum(1 for call in safe if call.end == "whole")
    share = answered / max(answered + len(failed), 1)
    found.show("calls that a target could answer", answered + len(failed))
    found.show("answered of these", f"{share:.4%}")
    found.show(
        "calls while no target of their route was well all the time", len(safe) - answered - len(failed)
    )
    found.show(
        "streams that broke off after they began, with an error event", sum(c.end == "broken" for c in begun)
    )
    if share < _LEAST_SUCCESS:
        said = Counter((call.route, call.status, call.said[-160:]) for call in failed)
        found.wrong(f"only {share:.3%} of the answerable calls were answered", said.most_common(_SHOWN))
    if silent := [call for call in begun if call.end == "lost"]:
        found.wrong(f"{len(silent)} streams broke off without a word", silent)
    if lost := [call for call in safe if call.end == "lost"]:
        found.wrong(f"{len(lost)} calls got no answer at all", lost)


def _answerable(call: Call, fleet: Fleet) -> bool:
    return any(
        fleet.members[name].was_well(call.began - _EDGE_S, call.ended + _EDGE_S)
        for name in ROUTES.get(call.route, ())
    )


def check_repeats(
    site: Site, calls: Sequence[Call], records: Records, found: Findings, *, attempts: int
) -> None:
    """What was delivered is not asked again, and what was answered whole is not either."""
    late, twice, many, sent = [], [], [], 0
    for call in calls:
        sendings = records.by_id.get(call.name, ())
        sent += len(sendings)
        if len(sendings) > attempts:
            many.append(call)
        if call.first and call.status == 200 and any(s.at > call.first for s in sendings):
            late.append(call)
        if call.route != "hedged" and _asked_again(sendings):
            twice.append((call, sendings))
    found.show("requests at the endpoints for each call", f"{sent / max(len(calls), 1):.3f}")
    if late:
        found.wrong(f"{len(late)} calls were sent again after their answer had begun", late)
    if twice:
        given_up = _given_up(site)
        twice = [
            (call, sendings)
            for call, sendings in twice
            if not given_up.get(call.request_id, set()) & {s.provider for s in sendings}
        ]
    if twice:
        found.wrong(f"{len(twice)} calls were sent again although they had been answered whole", twice)
    if many:
        found.wrong(f"{len(many)} calls were sent more than {attempts} times", many)


def _given_up(site: Site) -> dict[str, set[str]]:
    """Which providers the gateway had stopped waiting for, by its request ids."""
    found: dict[str, set[str]] = {}
    for (data,) in site.rows("SELECT data FROM event WHERE type IN ('model.called', 'model.failed')"):
        told = data if isinstance(data, dict) else json.loads(data)
        late = {
            tried["target"].partition(":")[0]
            for tried in told["attempts"]
            if tried.get("error") == "timed_out"
        }
        if late:
            found[told["call"]] = late
    return found


def _asked_again(sendings: Sequence[Sending]) -> bool:
    for number, sending in enumerate(sendings[:-1]):
        if sending.answered and any(other.at > sending.answered for other in sendings[number + 1 :]):
            return True
    return False


def check_aborts(calls: Sequence[Call], records: Records, found: Findings) -> None:
    """A client that leaves ends the upstream call within a second."""
    waits, endless = [], []
    for call in calls:
        if call.end != "left":
            continue
        for sending in records.by_id.get(call.name, ()):
            if sending.left:
                waits.append(sending.left - call.ended)
            elif not sending.over:
                endless.append(call)
    late = sorted(wait for wait in waits if wait > _CANCELLED_WITHIN_S)
    found.show("streams left by their clients", sum(call.end == "left" for call in calls))
    found.show("the longest until the upstream call was cancelled, s", f"{max(waits, default=0):.2f}")
    if len(late) > len(waits) // 100:
        found.wrong(
            f"{len(late)} of {len(waits)} upstream calls outlived their client by more than a second",
            late[-5:],
        )
    if endless:
        found.wrong(f"{len(endless)} upstream calls of clients that left never ended", endless)


def check_budgets(site: Site, plan: Plan, records: Records, found: Findings) -> None:
    """No budget is passed by what the endpoints billed; what the gateway counts is no less."""
    limits = {name: (budget_id, nanos) for budget_id, (name, nanos) in plan.limits.items()}
    rows = {
        str(row[0]): row[1:]
        for row in site.rows(
            "SELECT limit_id, spent_nanos, leased_nanos, unconfirmed_nanos FROM spend_period"
        )
    }
    for name in sorted(name for name in limits if name == "capped" or name.startswith("c")):
        budget_id, nanos = limits[name]
        billed = records.billed("cap-" if name == "capped" else f"cap-{name}-")
        spent, leased, unconfirmed = map(int, rows.get(budget_id, (0, 0, 0)))
        found.show(
            f"budget {name}: limit, billed, counted (of it perhaps billed), $",
            f"{nanos / 1e9:.4f} {billed / 1e9:.6f} {spent / 1e9:.6f} ({unconfirmed / 1e9:.6f})",
        )
        if billed > nanos:
            found.wrong(f"the budget {name} of {nanos} nanos was passed by {billed - nanos}: billed {billed}")
        if spent > nanos:
            found.wrong(f"the budget {name} of {nanos} nanos counts {spent} as spent")
        if spent < billed:
            found.wrong(f"the budget {name} counts {spent} nanos, and {billed} were billed")
        if leased:
            found.wrong(f"the budget {name} still has {leased} nanos leased")


def check_ledger(site: Site, calls: Sequence[Call], records: Records, found: Findings) -> None:
    """Every call is in the ledger once, and what was answered costs to the nano what the endpoint counted."""
    query = "SELECT call_key, provider, nanos, estimated FROM model_call"
    rows = {
        str(key): (str(provider), nanos, estimated) for key, provider, nanos, estimated in site.rows(query)
    }
    known = [(call, rows.get(call.request_id)) for call in calls if call.request_id]
    # What routing refuses was never a call.
    missing = [call for call, row in known if row is None and call.name in records.by_id]
    answered = [(call, row) for call, row in known if row is not None and call.end == "whole"]
    guessed = [(call, row) for call, row in answered if row[2]]
    differs = [
        (call, row)
        for call, row in answered
        if not row[2] and int(row[1]) not in _counted(records.by_id.get(call.name, ()), row[0])
    ]
    found.show("ledger rows", len(rows))
    found.show("answers whose cost was compared with the endpoint's count", len(answered))
    if missing:
        found.wrong(f"{len(missing)} calls are not in the ledger", missing)
    if differs:
        found.wrong(f"{len(differs)} answers cost something else than their endpoint counted", differs)
    if guessed:
        found.wrong(f"{len(guessed)} whole answers were estimated", guessed)


def _counted(sendings: Sequence[Sending], provider: str) -> set[int]:
    """What an endpoint counted for a call that it answered."""
    return {sending.nanos for sending in sendings if sending.provider == provider and sending.answered}
