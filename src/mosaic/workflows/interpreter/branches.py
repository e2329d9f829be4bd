"""Running branches at the same time, each when what it needs has finished."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mosaic.workflows.interpreter.failure import Failure, Stopped

__all__ = ["Branches", "Finished"]

T = TypeVar("T")


@dataclass(slots=True)
class Finished(Generic[T]):
    """How the branches ended.

    Attributes:
        results: of the branches that succeeded.
        failures: of those that failed.
        stopped: those that had begun when enough had succeeded; they were cancelled.
    """

    results: dict[str, T] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()


class Branches(Generic[T]):
    """Branches by key, in the order of the definition; that order also decides between simultaneous events.

    Args:
        keys: the branches.
        needs: which branches must succeed before one starts.
        run: runs one branch; it may look at `finished.results` for what it needs.
        parallel: how many at once.
        enough: how many successes end it early, cancelling the rest; None waits for all of them, and then the
            first failure cancels the rest.
    """

    def __init__(
        self,
        keys: Sequence[str],
        needs: Mapping[str, Sequence[str]],
        run: Callable[[str], Awaitable[T]],
        *,
        parallel: int,
        enough: int | None = None,
    ) -> None:
        self._keys = list(keys)
        self._needs = needs
        self._run = run
        self._parallel = parallel
        self._enough = enough
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._gone: set[str] = set()
        self.finished: Finished[T] = Finished()

    async def finish(self) -> Finished[T]:
        """Run them and return how they ended.

        Raises:
            Failure: the first one, when all had to succeed.
            Stopped: if a branch that was stopped before a crash is missing.
        """
        try:
            while not self._settled():
                self._start_ready()
                if not self._tasks:
                    if self._gone:
                        raise Stopped
                    break  # what is left needs a branch that failed
                await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
                self._collect()
        finally:
            self.finished.stopped = tuple(self._tasks)
            await self._stop()
        return self.finished

    def _settled(self) -> bool:
        done = self.finished
        if self._enough is None:
            return len(done.results) == len(self._keys)
        return len(done.results) >= self._enough or len(done.results) + self._possible() < self._enough

    def _possible(self) -> int:
        """How many branches that are not done can still succeed."""
        hopeless = set(self.finished.failures)
        before = -1
        while before != len(hopeless):
            before = len(hopeless)
            hopeless |= {key for key in self._keys if hopeless.intersection(self._needs.get(key, ()))}
        return sum(key not in hopeless and key not in self.finished.results for key in self._keys)

    def _start_ready(self) -> None:
        done = self.finished
        for key in self._keys:
            if len(self._tasks) >= self._parallel:
                break
            begun = key in self._tasks or key in done.results or key in done.failures or key in self._gone
            if not begun and all(needed in done.results for needed in self._needs.get(key, ())):
                self._tasks[key] = asyncio.ensure_future(self._run(key))

    def _collect(self) -> None:
        for key in [key for key in self._keys if key in self._tasks and self._tasks[key].done()]:
            try:
                self.finished.results[key] = self._tasks.pop(key).result()
            except Stopped:
                self._gone.add(key)
            except Failure as failure:
                self.finished.failures[key] = failure
                if self._enough is None:
                    raise

    async def _stop(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        while pending := [task for task in tasks if not task.done()]:
            await asyncio.wait(pending)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen: the outcome is decided, and a warning would say it was not
