"""The targets that a router knows, with what the operator says of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

from mosaic.core.values import JsonValue
from mosaic.routing.schemas import Target
from mosaic.routing.settings import Pick

__all__ = ["Resolve", "Targets"]

Resolve = Callable[[str, str | None], Target | None]
"""Gives the target of a provider instance and a model that nobody listed; None when there is no such instance."""

_FIELDS = frozenset(field.name for field in fields(Target))
_SETS = frozenset({"residency", "compliance", "capabilities"})


def _nobody(provider: str, model: str | None) -> Target | None:  # noqa: ARG001  # the shape of `Resolve`
    return None


class Targets:
    """Targets by id, immutable but for those that `resolve` adds when they are asked for."""

    def __init__(
        self,
        known: Iterable[Target],
        *,
        resolve: Resolve = _nobody,
        facts: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Keep the targets.

        Args:
            known: what patterns and bare model names can find.
            resolve: asked for every other ``<provider>:<model>``.
            facts: by id or pattern, fields of `Target` that win over what the target says itself.
        """
        self._facts = dict(sorted((facts or {}).items(), key=_exactness))
        self._resolve = resolve
        self._known = {target.id: self._told(target) for target in known}
        self._resolved: dict[str, Target] = {}
        for identifier, told in self._facts.items():
            if not _is_pattern(identifier) and identifier not in self._known:
                self._declare(identifier, told)
        self._by_model: dict[tuple[str, str], tuple[Target, ...]] = {}
        for target in self._known.values():
            if target.model is not None:
                named = (target.kind, target.model)
                self._by_model[named] = (*self._by_model.get(named, ()), target)

    def _declare(self, identifier: str, told: Mapping[str, Any]) -> None:
        """Know a target that only the operator's facts name: from `resolve`, or from its `kind` when it states one."""
        provider, _, model = identifier.partition(":")
        made = self._resolve(provider, model or None)
        if made is None and "kind" in told:
            made = Target(identifier, told["kind"], provider, model or None)
        if made is not None:
            self._known[identifier] = self._told(made)

    def with_facts(self, facts: Mapping[str, Mapping[str, Any]]) -> "Targets":
        """Return the same targets, with other facts on top of what is known."""
        return Targets(self._known.values(), resolve=self._resolve, facts=facts)

    def __iter__(self) -> Iterator[Target]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, target_id: str) -> Target | None:
        """Return a target by its id, known or resolved; None when there is none."""
        found = self._known.get(target_id) or self._resolved.get(target_id)
        if found is not None:
            return found
        provider, _, model = target_id.partition(":")
        made = self._resolve(provider, model or None) if provider else None
        if made is None:
            return None
        made = self._told(made)
        if len(self._resolved) < 10_000:  # a caller may invent names for as long as it likes
            self._resolved[target_id] = made
        return made

    def of_model(self, kind: str, model: str) -> tuple[Target, ...]:
        """Return every known target that offers a model of this name."""
        return self._by_model.get((kind, model), ())

    def picked(self, picks: Iterable[Pick], kind: str) -> tuple[Target, ...]:
        """Return the targets that the picks mean, each once, in their order."""
        found: dict[str, Target] = {}
        for pick in picks:
            for target in self._of(pick, kind):
                if _fits(target, pick.where):
                    chosen = target if pick.weight is None else replace(target, weight=pick.weight)
                    found.setdefault(target.id, chosen)
        return tuple(found.values())

    def _of(self, pick: Pick, kind: str) -> list[Target]:
        if not _is_pattern(pick.target):
            exact = self._known.get(pick.target)
            if exact is None and ":" not in pick.target:
                same = [target for target in self._known.values() if target.provider == pick.target]
                if same:
                    return [target for target in same if target.kind == kind]
            exact = exact or self.get(pick.target)
            return [exact] if exact is not None and exact.kind == kind else []
        return [
            target
            for target in self._known.values()
            if target.kind == kind and fnmatchcase(target.id, pick.target)
        ]

    def _told(self, target: Target) -> Target:
        for pattern, facts in self._facts.items():
            if fnmatchcase(target.id, pattern):
                target = _with(target, facts)
        return target


def _with(target: Target, facts: Mapping[str, Any]) -> Target:
    changes: dict[str, Any] = {
        name: frozenset(value) if name in _SETS else value for name, value in facts.items() if name in _FIELDS
    }
    if "attributes" in changes:
        changes["attributes"] = {**target.attributes, **changes["attributes"]}
    if "capabilities" in changes:
        changes["capabilities"] |= target.capabilities
    return replace(target, **changes)


def _exactness(fact: tuple[str, Any]) -> tuple[bool, int]:
    return not _is_pattern(fact[0]), len(fact[0])


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _fits(target: Target, where: Mapping[str, JsonValue]) -> bool:
    return all(_value(target, name) in _admitted(value) for name, value in where.items())


def _admitted(value: JsonValue) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _value(target: Target, name: str) -> JsonValue:
    if name in ("local", "region", "provider", "model"):
        return getattr(target, name)  # type: ignore[no-any-return]  # a JSON scalar
    return target.attributes.get(name)
