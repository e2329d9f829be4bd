"""What a handler receives: its input, its effects, durable time, signals and child executions."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from mosaic.core.context import Context
from mosaic.core.errors import StepFailed
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine.effects import Effects
from mosaic.engine.retries import sleep_until
from mosaic.engine.schemas import ExecutionResult, ExecutionStatus, Signal
from mosaic.engine.scope import Halt, RecordedEffects, RunScope, background, to_the_end

__all__ = ["Child", "Execution", "ExecutionHost", "Handler"]

_LONGEST_ID = 200


@dataclass(frozen=True, slots=True)
class Child:
    """A child execution to start; see `Execution.call`.

    Attributes:
        result_key: the parent's effect that its result is recorded as.
    """

    execution_id: str
    path: str
    result_key: str
    handler: str
    input: JsonObject
    queue: str | None
    priority: int
    deadline_s: float | None


class ExecutionHost(Protocol):
    """What an execution asks of the engine that runs it."""

    async def start_child(self, parent: "Execution", child: Child) -> None:
        """Start a child execution in the same run; nothing happens when it was started before."""

    async def wait(self, execution_id: str) -> ExecutionResult:
        """Wait for an execution's end."""

    async def cancel_path(self, ctx: Context, run_id: str, path: str) -> None:
        """Cancel the executions of a run at and below a path."""

    async def take_signal(
        self, ctx: Context, run_id: str, name: str, *, taker: str, until: datetime | None
    ) -> Signal | None:
        """Wait for a signal and take it for one effect; None when `until` passes first."""

    def now(self) -> datetime:
        """Return the time."""


class Execution:
    """One handler's run, as the handler sees it.

    Everything a handler learns from outside must come through here: it runs again from the top after a crash,
    and must then see the same.

    Attributes:
        id: this execution.
        ctx: for whom it runs.
        run_id: the run it belongs to.
        input: what it was started with.
        effects: its effects at its path.
        attempt: how often a node began to run it, from 1.
        cancelled: set when the run was cancelled, just before the handler's task is.
    """

    def __init__(
        self,
        host: ExecutionHost,
        scope: RunScope,
        *,
        execution_id: str,
        path: str,
        input: JsonObject,  # noqa: A002  # the contract's word
        cancelled: asyncio.Event,
    ) -> None:
        self._host = host
        self._scope = scope
        self.id = execution_id
        self.ctx: Context = scope.ctx
        self.run_id: str = scope.run_id
        self.input = input
        self.effects = Effects(scope, path)
        self.attempt: int = scope.attempt
        self.cancelled = cancelled

    def known(self, path: str) -> RecordedEffects | None:
        """Return what is recorded at a path and below, when this execution knows without looking."""
        return self._scope.known(path)

    @property
    def path(self) -> str:
        """The step path that names here are relative to."""
        return self.effects.path

    def at(self, path: str) -> "Execution":
        """Return this execution at another step path, given in full."""
        return Execution(
            self._host,
            self._scope,
            execution_id=self.id,
            path=path,
            input=self.input,
            cancelled=self.cancelled,
        )

    async def sleep(self, name: str, seconds: float) -> None:
        """Sleep until `seconds` after the first time this was reached; a restart does not start it anew."""
        until = await self.effects.remember(name, lambda: _iso(self._host.now() + timedelta(seconds=seconds)))
        await self._sleep(datetime.fromisoformat(str(until)))

    async def sleep_until(self, name: str, when: datetime) -> None:
        """Sleep until a time of day, the one given the first time this was reached."""
        until = await self.effects.remember(name, when.isoformat)
        await self._sleep(datetime.fromisoformat(str(until)))

    async def _sleep(self, until: datetime) -> None:
        async with self._scope.waiting():
            await sleep_until(until)

    async def wait_signal(
        self, name: str, *, timeout_s: float | None = None, key: str | None = None
    ) -> Signal | None:
        """Wait for a signal to this run; what came of it is recorded.

        A signal that can come only once is seen by everyone who waits for its name; one that can come more
        often is given to one waiter each.

        Args:
            name: which signal.
            timeout_s: how long from the first time this was reached; None waits for ever.
            key: tells this wait from others for the same name at this path.

        Returns:
            The signal; None when the time passed first.
        """
        effect = f"signal:{key or name}"
        scope, effects = self._scope, self.effects
        await scope.load(self.path)
        if (known := scope.done(effects.key(effect))) is not None:
            return _signal(known.result)
        until = None
        if timeout_s is not None:
            deadline = await effects.remember(
                f"{effect}:deadline", lambda: _iso(self._host.now() + timedelta(seconds=timeout_s))
            )
            until = datetime.fromisoformat(str(deadline))
        async with scope.waiting():
            taken = await scope.patiently(
                f"waiting for {name}",
                lambda: self._host.take_signal(
                    self.ctx, self.run_id, name, taker=effects.key(effect), until=until
                ),
            )
        return _signal(await effects.remember(effect, lambda: _signal_json(taken)))

    async def call(
        self,
        name: str,
        handler: str,
        input: JsonObject,  # noqa: A002  # the contract's word
        *,
        queue: str | None = None,
        priority: int = 10,
        deadline_s: float | None = None,
        path: str | None = None,
    ) -> JsonValue:
        """Run a handler as an execution of its own in the same run, and return its result.

        It may run on another node, and it goes on when this one is recovered. When the waiting task here is
        cancelled, so is the child. Its result is recorded as this execution's effect `name`.

        Args:
            name: unique at this path.
            handler: the registered name.
            input: what the child gets.
            queue: where it waits for its turn; None runs it on this node at once.
            priority: lower goes first.
            deadline_s: seconds from now until it is stopped with `TimedOut`.
            path: the step path of the child's effects; ``<this path>/<name>`` when None.

        Raises:
            MosaicError: the child's error.
            StepFailed: if the child became a dead letter: its process crashed again and again.
        """
        scope, effects = self._scope, self.effects
        key = effects.key(name)
        await scope.load(self.path)
        if (known := scope.done(key)) is None:
            child = Child(
                execution_id=self._child_id(name),
                path=path or (f"{self.path}/{name}" if self.path else name),
                result_key=key,
                handler=handler,
                input=input,
                queue=queue,
                priority=priority,
                deadline_s=deadline_s,
            )
            with scope.naming(key):
                await scope.check()
                result = await self._run_child(child)
                if result.status is ExecutionStatus.DEAD:
                    return await self._dead(name, result)
            return result.unwrap()
        return ExecutionResult.from_recorded(known.result, known.error).unwrap()

    def _child_id(self, name: str) -> str:
        child = f"{self.id}/{self.path}#{name}"
        if len(child) <= _LONGEST_ID:
            return child
        return f"{child[: _LONGEST_ID - 65]}~{hashlib.sha256(child.encode()).hexdigest()}"

    async def _run_child(self, child: Child) -> ExecutionResult:
        scope, host = self._scope, self._host
        try:
            async with scope.waiting():
                # To the end: a child of which we do not know whether it began could not be cancelled.
                await to_the_end(
                    scope.patiently(f"starting {child.result_key}", lambda: host.start_child(self, child))
                )
                return await scope.patiently(
                    f"waiting for {child.execution_id}", lambda: host.wait(child.execution_id)
                )
        except asyncio.CancelledError:
            # Our branch ends: so does the child. Not when this whole execution moves to another process.
            if scope.halted in (None, Halt.DEADLINE):
                background(host.cancel_path(self.ctx, self.run_id, child.path))
            raise

    async def _dead(self, name: str, result: ExecutionResult) -> JsonValue:
        error = result.error or StepFailed(f"{name} is a dead letter.")
        # Recorded, so that requeueing the child later does not change what this handler saw.
        recorded = await self._scope.finish(self.effects.key(name), path=self.path, error=error.to_json())
        return ExecutionResult.from_recorded(recorded.result, recorded.error).unwrap()


Handler = Callable[[Execution], Awaitable[JsonValue]]


def _iso(moment: datetime) -> str:
    return moment.isoformat()


def _signal_json(signal: Signal | None) -> JsonValue:
    if signal is None:
        return None
    sent_at = signal.sent_at.isoformat() if signal.sent_at else None
    return {"name": signal.name, "payload": signal.payload, "sender": signal.sender, "sent_at": sent_at}


def _signal(recorded: JsonValue) -> Signal | None:
    if not isinstance(recorded, dict):
        return None
    sent_at = datetime.fromisoformat(recorded["sent_at"]) if recorded["sent_at"] else None
    return Signal(recorded["name"], recorded["payload"], recorded["sender"], sent_at)
