"""What the interpreter carries while it executes: the run, the block it is in, the step it is at."""

import asyncio
from collections import ChainMap
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from mosaic.core.context import Context
from mosaic.core.errors import TimedOut
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Effects, Execution
from mosaic.tools import Policy, Toolbox
from mosaic.workflows.interfaces import Services
from mosaic.workflows.interpreter.failure import Stopped
from mosaic.workflows.interpreter.saga import UndoLog
from mosaic.workflows.schemas import Definition
from mosaic.workflows.steps import Step

__all__ = ["Body", "Deadline", "Done", "Frame", "Here", "RunState", "Scope", "Visits"]

Scope: TypeAlias = ChainMap[str, JsonValue]


@dataclass(slots=True)
class Visits:
    """What happened at one path in this execution of the handler; a replay makes it the same again.

    Attributes:
        failures: how often the step failed there.
        settled: the failure was dealt with around the step (a jump, a catch that goes on): when the block is
            entered again after a failure further out, it stands and the step is not run again.
        job: path of the agent's job that ran out of budget in the last failure: the next execution goes on with it.
    """

    failures: int = 0
    settled: bool = False
    job: str | None = None


@dataclass(slots=True)
class RunState:
    """One run while a node executes it.

    Attributes:
        toolbox: what the run's agents and steps may call.
        policy: the run's, not yet narrowed.
        workspace: the run's worktree on this node; None when it has none.
        options: what the caller of the run chose (``model``, ``priority``).
        bodies: what each kind of step does.
        slots: bounds how much runs at the same time.
        compensations: static path of a step -> the step, for those that have `compensate`.
        visits: what happened at each path.
        active: paths of the steps that are under way.
        children: the child runs that are waited for, by path.
        checkpoint: the commit that holds the worktree's files, when nothing can have changed them since.
        touching: how many steps that may change files are under way.
    """

    execution: Execution
    definition: Definition
    services: Services
    toolbox: Toolbox
    policy: Policy
    workspace: Path | None
    workspace_record: JsonObject | None
    options: JsonObject
    bodies: "Mapping[type, Body]"
    slots: asyncio.Semaphore
    compensations: Mapping[str, Step] = field(default_factory=dict)
    visits: dict[str, Visits] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    children: dict[str, str] = field(default_factory=dict)
    checkpoint: str | None = None
    touching: int = 0

    @property
    def ctx(self) -> Context:
        """The run's context."""
        return self.execution.ctx

    @property
    def id(self) -> str:
        """The run's id."""
        return self.execution.run_id

    def at(self, path: str) -> Effects:
        """Return the effects of one path."""
        return self.execution.effects.at(path)

    def visits_of(self, path: str) -> Visits:
        """Return what happened at a path."""
        return self.visits.setdefault(path, Visits())

    @contextmanager
    def touching_files(self) -> Iterator[None]:
        """Mark that the worktree's files may change meanwhile."""
        self.touching += 1
        try:
            yield
        finally:
            self.touching -= 1
            self.checkpoint = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The block that is being executed.

    Attributes:
        path: of the block: the step around it, with its marks; empty for the top level.
        scope: what expressions see, innermost first.
        undo: where finished steps leave their undos.
        previous: what stands for "the output of the step before" at the first step.
    """

    run: RunState
    path: str
    scope: Scope
    undo: UndoLog
    previous: JsonValue

    @property
    def root(self) -> Scope:
        """What every expression of the run sees: ``inputs``, ``run``, ``feedback``."""
        return ChainMap(self.scope.maps[-1])

    def inside(self, path: str, variables: Mapping[str, JsonValue] | None = None) -> "Frame":
        """Return the frame of a block inside this one."""
        scope = self.scope.new_child(dict(variables)) if variables else self.scope
        return replace(self, path=path, scope=scope, previous=scope.get("inputs"))


class Deadline:
    """Bounds a step's time; `TimedOut` when it passes. Time spent waiting for a person does not count."""

    def __init__(self, timeout_s: float | None, *, path: str) -> None:
        self._timeout_s = timeout_s
        self._path = path
        self._timer = asyncio.timeout(timeout_s)
        self._pauses = 0
        self._left_s = 0.0

    async def __aenter__(self) -> Self:
        await self._timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._passed() from None
        if isinstance(error, Stopped) and self._timeout_s is not None:
            raise self._passed() from None

    def _passed(self) -> TimedOut:
        limit_s = self._timeout_s
        return TimedOut(f"Step {self._path!r} took longer than its {limit_s:g} s.", timeout_s=limit_s)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the time stand still."""
        when = self._timer.when()
        if when is None and not self._pauses:
            yield
            return
        clock = asyncio.get_running_loop().time
        self._pauses += 1
        if when is not None:
            self._left_s = when - clock()
            self._timer.reschedule(None)
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses and not self._timer.expired():
                self._timer.reschedule(clock() + max(0.0, self._left_s))


@dataclass(frozen=True, slots=True)
class Here:
    """One execution of one step, as its body sees it.

    Attributes:
        path: of this execution; every effect of the body lies at or below it.
        number: which execution at this path it is, from 1: more than 1 after a failure that was retried.
        previous: output of the step before in the block; the inputs for a block's first step.
        undo: where steps inside leave their undos.
        deadline: pause it while a person is waited for.
    """

    frame: Frame
    path: str
    number: int
    previous: JsonValue
    undo: UndoLog
    deadline: Deadline

    @property
    def run(self) -> RunState:
        """The run."""
        return self.frame.run

    @property
    def scope(self) -> Scope:
        """What the step's expressions see."""
        return self.frame.scope

    @property
    def effects(self) -> Effects:
        """The effects of this path."""
        return self.run.at(self.path)

    @property
    def execution(self) -> Execution:
        """The execution, with its effects at this path."""
        return self.run.execution.at(self.path)

    def block(self, path: str, variables: Mapping[str, JsonValue] | None = None) -> Frame:
        """Return the frame of a block inside this step."""
        return replace(self.frame.inside(path, variables), undo=self.undo)


@dataclass(frozen=True, slots=True)
class Done:
    """A step or block that ended well. `ran` is false when it was skipped, or when nothing in it ran."""

    output: JsonValue = None
    ran: bool = True


Body: TypeAlias = Callable[[Any, Here], Awaitable[JsonValue]]
"""What a kind of step does: takes the step and where it is, returns its output, raises `MosaicError` or `Failure`."""
