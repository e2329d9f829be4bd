"""What a run is doing, computed from its events; the CLI, the API and the run's own status share it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mosaic.core.values import JsonObject

__all__ = ["RunProgress", "within"]

_END = frozenset({"step.completed", "step.failed", "step.skipped", "step.cancelled"})


@dataclass(slots=True)
class RunProgress:
    """A fold over a run's events.

    Attributes:
        active: paths of steps that have started and not ended.
        pending: approval id -> path of the step that waits for it.
        done: how many steps ended.
        last_seq: the journal sequence of the last event seen.
    """

    active: set[str] = field(default_factory=set)
    pending: dict[str, str] = field(default_factory=dict)
    done: int = 0
    last_seq: int = 0

    def apply(self, event: JsonObject) -> None:
        """Take one event in its JSON form, in order."""
        self.last_seq = int(event["seq"])
        kind, path = str(event["type"]), str(event.get("path") or "")
        if kind == "step.started":
            self.active.add(path)
        elif kind in _END:
            # What ends takes everything inside along, also what a crash kept from saying so itself.
            self.active = {other for other in self.active if other != path and not _inside(other, path)}
            self.pending = {key: at for key, at in self.pending.items() if not _inside(at, path)}
            self.done += 1
        elif kind == "approval.requested":
            self.pending[str(event["data"].get("approval", ""))] = path
        elif kind in ("approval.decided", "approval.expired"):
            self.pending.pop(str(event["data"].get("approval", "")), None)

    def apply_all(self, events: Iterable[JsonObject]) -> "RunProgress":
        """Take events in order and return this fold."""
        for event in events:
            self.apply(event)
        return self

    @property
    def leaves(self) -> set[str]:
        """Active steps that hold no other active step."""
        return {
            path
            for path in self.active
            if not any(other != path and _inside(other, path) for other in self.active)
        }

    @property
    def quiescent(self) -> bool:
        """Whether every active step waits for an answer, so that nothing moves until somebody gives one."""
        if not self.pending:
            return False
        waiting = set(self.pending.values())
        return all(any(_inside(asked, leaf) or asked == leaf for asked in waiting) for leaf in self.leaves)


def within(path: str, step: str) -> bool:
    """Say whether a path is a step's own or lies inside it."""
    return path == step or _inside(path, step)


def _inside(path: str, container: str) -> bool:
    return path.startswith(container) and path[len(container) : len(container) + 1] in ("/", "[", "(")
