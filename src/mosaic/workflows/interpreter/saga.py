"""Compensation: what was finished is undone in reverse order when the whole cannot succeed.

A finished step with `compensate` leaves an `Undo`: where it is, when it finished, and those variables of its scope
that its compensation uses. Undos travel with the recorded results of the steps around them, so a step that is
skipped on recovery still brings the undos of everything inside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass

from mosaic.core.values import JsonObject, JsonValue
from mosaic.workflows.steps import Step

__all__ = ["Undo", "UndoLog", "variables_of"]


@dataclass(frozen=True, slots=True)
class Undo:
    """A finished step that can be undone.

    Attributes:
        path: the step's path.
        step: its path in the definition, by which its compensation is found.
        at: when it finished: nanoseconds since the epoch, recorded.
        scope: the variables its compensation uses, as the step left them.
    """

    path: str
    step: str
    at: int
    scope: JsonObject

    def to_json(self) -> JsonObject:
        """Return the undo as it is recorded."""
        return {"path": self.path, "step": self.step, "at": self.at, "scope": self.scope}

    @classmethod
    def from_json(cls, shown: JsonObject) -> "Undo":
        """Return the undo that `to_json` wrote."""
        return cls(str(shown["path"]), str(shown["step"]), int(shown["at"]), dict(shown["scope"]))


class UndoLog:
    """The undos of one `try` block or of the whole run; a step's own log passes on to the one around it."""

    def __init__(self, parent: "UndoLog | None" = None) -> None:
        self._parent = parent
        self._undos: dict[str, Undo] = {}

    def add(self, undo: Undo) -> None:
        """Keep `undo`, here and in the logs around; a second one of the same path changes nothing."""
        self._undos.setdefault(undo.path, undo)
        if self._parent is not None:
            self._parent.add(undo)

    def take(self) -> list[Undo]:
        """Return the undos in the order they are to be done, and forget them, here and in the logs around."""
        taken = sorted(self._undos.values(), key=lambda undo: (undo.at, undo.path), reverse=True)
        self._forget({undo.path for undo in taken})
        return taken

    def to_json(self) -> list[JsonObject]:
        """Return the undos as they are recorded."""
        return [undo.to_json() for undo in self._undos.values()]

    def _forget(self, paths: set[str]) -> None:
        for path in paths:
            self._undos.pop(path, None)
        if self._parent is not None:
            self._parent._forget(paths)  # noqa: SLF001  # another log of the same class


def variables_of(steps: tuple[Step, ...]) -> frozenset[str]:
    """Return every variable that an expression anywhere in `steps` names."""
    return frozenset(_variables(steps))


def _variables(value: object) -> Iterator[str]:
    found: frozenset[str] | None = getattr(value, "variables", None)
    if found is not None:
        yield from found
    elif is_dataclass(value):
        for field in fields(value):
            yield from _variables(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _variables(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _variables(item)


def captured(
    variables: frozenset[str], scope: Mapping[str, JsonValue], *, without: frozenset[str]
) -> JsonObject:
    """Return those of `variables` that `scope` holds."""
    return {name: scope[name] for name in sorted(variables - without) if name in scope}
