"""The runner: takes one job through spawn, turns and end, and says how it came out."""

import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from mosaic.agents.answers import AnswerContract
from mosaic.agents.backends.a2a import MODEL_PREFIX, Remote, RemoteJob
from mosaic.agents.conduct import Repairs
from mosaic.agents.conversations import ConversationLog, Conversations
from mosaic.agents.jobs import AgentJob
from mosaic.agents.loop import JobLoop
from mosaic.agents.prompting import Marks, system_prompt, task_message
from mosaic.agents.registry import AgentRegistry
from mosaic.agents.schemas import AgentOutcome, Completed, HandedOff, NeedsApproval
from mosaic.agents.toolcalls import JobTools, offered_tools
from mosaic.agents.turns import Trigger, TurnMachine
from mosaic.core.context import Actor
from mosaic.core.errors import Cancelled, Fenced, MosaicError, Unsupported
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.engine import EffectCall, Effects, Execution, Outcome, Safety
from mosaic.events import NewEvent
from mosaic.inference import Inference, split_reference
from mosaic.providers.ai import Delta, Message
from mosaic.storage import Write
from mosaic.tools import ToolDoor, ToolSpec
from mosaic.tools.a2a import A2aPeers

__all__ = ["AgentRunner", "OnDelta", "Scope"]

_BACKEND = "mosaic.agents.backends.model"

OnDelta = Callable[[Effects, str, Delta], None]
"""Told each piece of an answer while it streams: the effect scope (run, path), the agent, the piece. Must be quick."""


class Scope(Protocol):
    """What the runner needs of an execution: its effects at the step's path."""

    @property
    def effects(self) -> Effects:
        """The effects of the step."""
        ...


class AgentRunner:
    """Runs jobs. One instance serves many jobs at once.

    Args:
        on_delta: makes answers stream, and is told their pieces.
        peers: the agents elsewhere that definitions may name.
    """

    def __init__(
        self,
        *,
        inference: Inference,
        door: ToolDoor,
        registry: AgentRegistry,
        conversations: Conversations,
        redactor: Redactor,
        on_delta: OnDelta | None = None,
        peers: A2aPeers | None = None,
    ) -> None:
        self._inference = inference
        self._door = door
        self._registry = registry
        self._conversations = conversations
        self._redactor = redactor
        self._on_delta = on_delta
        self._peers = peers or A2aPeers()

    async def run(self, execution: Scope, job: AgentJob) -> AgentOutcome:
        """Run a job at the execution's path until it is done, hands over, or waits for people.

        Every model answer and tool call is an effect, so a job that is run again at the same path - after a crash,
        or once its approvals are decided - goes on where it was and repeats nothing. A new try of a failed job
        needs a path of its own.

        Raises:
            Unsupported: if the agent is a coding agent (``acp``).
            InvalidInput: if a tool it needs does not exist.
            ContractViolation: if the model cannot be put right within the agent's repairs and the run's retry
                budget, repeats itself, or uses up its turns.
            ModelRefused: if the model declines to answer.
            MosaicError: as `Inference.complete` and `ToolDoor.call`.
        """
        spec = job.spec
        effects = execution.effects.acting_as(Actor("agent", spec.name))
        if spec.acp is not None:
            raise Unsupported(
                f"Agent {spec.name!r} is a coding agent (acp: {spec.acp}); this version runs only agents with a model.",
                hint="Give the agent a model and tools instead of acp.",
                agent=spec.name,
            )
        offered = offered_tools(job)
        machine = TurnMachine(spec.name)
        log = self._conversations.log(effects.ctx, effects.run_id, effects.path, agent=spec.name)
        registered = self._registry.registration(execution.effects.ctx, spec)
        start = await self._begin(effects, job, machine, log, registered)
        work: JobLoop | RemoteJob
        if spec.a2a is not None:
            work = self._remote(execution, effects, job, start, machine=machine, log=log)
        else:
            work = self._loop(effects, job, offered, start, machine=machine, log=log)
        try:
            return await (work.run() if isinstance(work, RemoteJob) else self._drive(work))
        except (Cancelled, Fenced):
            raise
        except MosaicError as error:
            await work.fail(error)
            raise

    def _remote(
        self,
        execution: Scope,
        effects: Effects,
        job: AgentJob,
        start: JsonObject,
        *,
        machine: TurnMachine,
        log: ConversationLog,
    ) -> RemoteJob:
        remote = Remote(
            self._peers,
            self._door,
            self._redactor,
            execution.cancelled if isinstance(execution, Execution) else None,
        )
        marks = Marks(str(start["marks"]))
        return RemoteJob(job, effects=effects, remote=remote, machine=machine, log=log, marks=marks)

    async def _begin(
        self, effects: Effects, job: AgentJob, machine: TurnMachine, log: ConversationLog, registered: Write
    ) -> JsonObject:
        """Choose the model, draw the marks, register the agent: one commit, made once."""
        # Before the effect: that no model can be used now must not be recorded for ever.
        known = await effects.was_recorded("begin")
        if job.spec.a2a is not None:
            model = f"{MODEL_PREFIX}{job.spec.a2a}"
        else:
            model = "" if known else await self._inference.resolve(job.model_candidates)
        machine.move(Trigger.SPAWN, Trigger.INVOKE)
        moves = tuple(NewEvent("agent.turn", move.to_json()) for move in machine.take_unwritten())

        async def begin(_call: EffectCall) -> Outcome:
            writes = (registered, log.row(machine.state, turns=0, model=model))
            return Outcome({"model": model, "marks": secrets.token_hex(4)}, events=moves, writes=writes)

        start = await effects.effect("begin", begin, safety=Safety.REPEATABLE)
        if not isinstance(start, dict):
            raise TypeError("the effect 'begin' is recorded as an object")
        return start

    def _loop(
        self,
        effects: Effects,
        job: AgentJob,
        offered: Mapping[str, ToolSpec],
        start: JsonObject,
        *,
        machine: TurnMachine,
        log: ConversationLog,
    ) -> JobLoop:
        marks = Marks(str(start["marks"]))
        earlier: Any = self._redactor.value([message.to_json() for message in job.messages])
        models = self._candidates(str(start["model"]), job.model_candidates)
        native = all(self._inference.capabilities(model).structured_output for model in models)
        contract = AnswerContract(job.spec.output_schema, native=native)
        tools = JobTools(job, offered, door=self._door, effects=effects, marks=marks, contract=contract)
        return JobLoop(
            job,
            effects=effects,
            inference=self._inference,
            earlier=[Message.from_json(shown) for shown in earlier],
            models=models,
            system=system_prompt(
                job.spec, marks=marks, peers=job.peers, handoffs=tools.handoffs, answer_rule=contract.rule
            ),
            task=self._redactor.text(task_message(job.prompt, handoff=job.handoff_context, marks=marks)),
            tools=tools,
            contract=contract,
            machine=machine,
            log=log,
            repairs=Repairs(job.spec.name, job.spec.repairs, self._redactor),
            on_delta=self._listener(effects, job.spec.name),
        )

    def _candidates(self, chosen: str, named: tuple[str, ...]) -> tuple[str, ...]:
        """Return the chosen model, and those named after it that could stand in when it cannot answer."""
        found = [chosen]
        for model in named[named.index(chosen) + 1 :] if chosen in named else ():
            try:
                self._inference.capabilities(model)
            except MosaicError:
                continue  # of a provider that is not installed
            if split_reference(model)[1] is not None:
                found.append(model)
        return tuple(found)

    def _listener(self, effects: Effects, agent: str) -> Callable[[Delta], None] | None:
        told = self._on_delta
        return None if told is None else lambda delta: told(effects, agent, delta)

    async def _drive(self, loop: JobLoop) -> AgentOutcome:
        if _BACKEND not in sys.modules:  # pydantic-ai takes half a second to import: not on the event loop
            await asyncio.to_thread(import_module, _BACKEND)
        from mosaic.agents.backends.model import drive  # noqa: PLC0415 - see above

        await drive(loop)
        turns = loop.machine.turn
        if loop.ending == "approval":
            return NeedsApproval(
                tuple(dict.fromkeys(id_ for _, id_ in sorted(loop.tools.waiting.items()))), turns
            )
        if loop.machine.unwritten:
            await loop.write("end")
        if loop.tools.handoff is not None and loop.ending == "handoff":
            context = loop.tools.handoff
            return HandedOff(context.next_agent, context, loop.messages_ref, loop.usage, turns)
        return Completed(loop.output, loop.messages_ref, loop.usage, turns, loop.model)
