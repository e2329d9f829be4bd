"""Rules, compiled: which of them hold for a request."""

from collections.abc import Sequence
from dataclasses import dataclass

from mosaic.routing.conditions import Condition, compile_condition
from mosaic.routing.patterns import PatternIndex, bits_of
from mosaic.routing.schemas import RouteRequest
from mosaic.routing.settings import NO_REQUIREMENT, Require, Rule

__all__ = ["Matched", "RuleBook"]

REQUEST_FIELDS = {
    "agent": "agent",
    "kind": "kind",
    "key": "key_id",
    "model": "name",
    "operation": "operation",
    "privacy": "privacy",
    "project": "project",
    "region": "region",
    "tenant": "tenant",
}
"""What a rule may match, and the field of the request that it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """The rules that hold for a request.

    Attributes:
        place: the first that says where the request goes; None when no rule does.
        order: the first that says how candidates are ordered.
        requiring: every one that requires something.
        names: of all of these, highest priority first.
        require: what they require together.
        number: the same for every set of rules that comes to the same requirements.
    """

    place: Rule | None = None
    order: Rule | None = None
    requiring: tuple[Rule, ...] = ()
    names: tuple[str, ...] = ()
    require: Require = NO_REQUIREMENT
    number: int = 0


_NOTHING = Matched()


class RuleBook:
    """Rules by priority, indexed by what they match. A rule is a bit; a lower bit is a higher priority."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: -rule.priority))
        self._conditions: list[Condition | None] = [
            compile_condition(rule.when) if rule.when else None for rule in self.rules
        ]
        self._fields: dict[str, PatternIndex] = {}
        self._attributes: dict[str, PatternIndex] = {}
        self._conditional = 0
        for place, rule in enumerate(self.rules):
            self._enter(place, rule)
        for index in (*self._fields.values(), *self._attributes.values()):
            index.finish()
        self._everyone = (1 << len(self.rules)) - 1
        self._by_field = tuple((REQUEST_FIELDS[name], index) for name, index in self._fields.items())
        self._by_attribute = tuple(self._attributes.items())
        self._known: dict[int, Matched] = {0: _NOTHING}
        self._requirements: dict[Require, int] = {NO_REQUIREMENT: 0}

    def _enter(self, place: int, rule: Rule) -> None:
        bit = 1 << place
        for name, patterns in rule.match.fields.items():
            self._index(self._fields, name).add(place, patterns)
        for name, values in rule.match.attributes.items():
            self._index(self._attributes, name).add(place, values)
        self._conditional |= bit if rule.when else 0
        condition = self._conditions[place]
        for path, value in condition.exact if condition else ():
            self._enter_exact(place, rule, path, value)

    def _enter_exact(self, place: int, rule: Rule, path: str, value: str) -> None:
        name, _, attribute = path.partition(".")
        literal = not any(sign in value for sign in "*?[/")
        if name == "attributes" and attribute and attribute not in rule.match.attributes and literal:
            self._index(self._attributes, attribute).add(place, (value,))
        elif name in REQUEST_FIELDS and not attribute and name not in rule.match.fields and literal and value:
            self._index(self._fields, name).add(place, (value,))

    def _index(self, known: dict[str, PatternIndex], name: str) -> PatternIndex:
        found = known.get(name)
        if found is None:
            found = known[name] = PatternIndex(len(self.rules))
        return found

    def matching(self, request: RouteRequest) -> Matched:
        """Return the rules that hold for a request."""
        bits = self._everyone
        for field, index in self._by_field:
            bits &= index.mask(getattr(request, field))
        attributes = request.attributes
        for name, index in self._by_attribute:
            bits &= index.mask(attributes.get(name))
        if bits & self._conditional:
            bits = self._holding(bits, request)
        found = self._known.get(bits)
        if found is None:
            found = self._matched(bits)
            if len(self._known) < 10_000:
                self._known[bits] = found
        return found

    def _holding(self, bits: int, request: RouteRequest) -> int:
        for place in bits_of(bits & self._conditional):
            condition = self._conditions[place]
            if condition is not None and not condition.holds(request):
                bits &= ~(1 << place)
        return bits

    def _matched(self, bits: int) -> Matched:
        rules = [self.rules[place] for place in bits_of(bits)]
        place = next((rule for rule in rules if rule.route or rule.targets), None)
        order = next((rule for rule in rules if rule.strategy or rule.prefer), None)
        if place is not None and (place.strategy or place.prefer):
            order = place
        requiring = tuple(rule for rule in rules if rule.require != NO_REQUIREMENT)
        require = NO_REQUIREMENT
        for rule in requiring:
            require = require.together(rule.require)
        number = self._requirements.setdefault(require, len(self._requirements))
        counted = {id(rule) for rule in (place, order, *requiring) if rule is not None}
        names = tuple(rule.name for rule in rules if id(rule) in counted)
        return Matched(place, order, requiring, names, require, number)

    def looked_at(self, request: RouteRequest) -> list[tuple[Rule, str]]:
        """Return each rule that holds or nearly does, with what it came to, for an explanation."""
        holding = self.matching(request)
        told: list[tuple[Rule, str]] = []
        for rule, condition in zip(self.rules, self._conditions, strict=True):
            if rule.name in holding.names:
                told.append((rule, "holds"))
            elif condition is not None and (failure := condition.failure(request)) is not None:
                told.append((rule, f"its condition cannot be evaluated: {failure}"))
        return told
