"""One agent's job as a conversation: what the model is sent, what its answer means, when the job is over.

This is the part that a replay repeats. It holds the canonical messages and the turn state, and reaches the world
through two doors only: every model answer is the effect ``turn<k>/model/<attempt>``, every tool call the effect
``turn<k>/tool/<index>``. The moves between states are journaled in the same commits: that of a model answer also
writes the moves before and after it, what was said, and the conversation's row.

Which step follows which is decided by a backend: `mosaic.agents.backends.model`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

from mosaic.agents.along import WritingAlong
from mosaic.agents.answers import AnswerContract
from mosaic.agents.conduct import Repairs, Repetition
from mosaic.agents.context_window import ContextWindow
from mosaic.agents.conversations import ConversationLog
from mosaic.agents.handoff import HandoffContext
from mosaic.agents.jobs import AgentJob
from mosaic.agents.schemas import TurnUsage
from mosaic.agents.toolcalls import JobTools
from mosaic.agents.turns import Trigger, TurnMachine
from mosaic.agents.verdicts import NO_ANSWER, Verdict, judge, normalised
from mosaic.core.errors import ContractViolation, ModelRefused, MosaicError
from mosaic.core.values import JsonValue
from mosaic.engine import EffectCall, Effects, Outcome, Safety
from mosaic.events import NewEvent
from mosaic.inference import Inference
from mosaic.providers.ai import (
    Delta,
    Message,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolCallResponsePart,
)
from mosaic.storage import Write

__all__ = ["JobLoop", "Settled"]

_SAID_LIMIT = 2000


class Settled(Exception):
    """The job is over or pauses; `JobLoop.ending` says how."""


class JobLoop:
    """The conversation of one job.

    Attributes:
        machine: the turn state.
        messages: the conversation without the system message.
        usage: tokens up to now.
        verdict: of the newest model answer.
        ending: how the job settled: ``answer``, ``handoff``, ``approval``; None while it goes on.
        output: the answer.
        model: ``<provider>:<model>``, the one that answered last.
    """

    def __init__(
        self,
        job: AgentJob,
        *,
        effects: Effects,
        inference: Inference,
        earlier: Sequence[Message],
        models: Sequence[str],
        system: str,
        task: str,
        tools: JobTools,
        contract: AnswerContract,
        machine: TurnMachine,
        log: ConversationLog,
        repairs: Repairs,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> None:
        self.machine = machine
        self.messages: list[Message] = [*earlier, Message.of("user", task)]
        self.usage = TurnUsage()
        self.verdict: Verdict | None = None
        self.ending: Literal["answer", "handoff", "approval"] | None = None
        self.output: JsonValue = None
        self.tools = tools
        self._job = job
        self._effects = effects
        self._inference = inference
        self.model = models[0]
        self._models = tuple(models)
        self._system = Message.of("system", system)
        self._contract = contract
        self._log = log
        self._repairs = repairs
        self._repetition = Repetition(job.spec.name)
        self._window = ContextWindow(job.context_tokens)
        self._on_delta = on_delta
        self._calls: tuple[ToolCallPart, ...] = ()
        self._results: dict[int, ToolCallResponsePart] = {}
        self._news: tuple[NewEvent, ...] = ()

    @property
    def messages_ref(self) -> str:
        """Digest of the conversation's newest segment."""
        return self._log.newest or ""

    async def next_answer(self) -> tuple[ToolCallPart, ...]:
        """Take the model's next answer and return its tool calls; `verdict` says what it means.

        Raises:
            Settled: if the turn before has ended the job or must wait for people.
            ContractViolation: if the model cannot be put right, repeats itself, or has used all its turns.
            ModelRefused: if it declines.
        """
        await self._settle_turn()
        if self.machine.turn >= self._job.max_turns:
            raise ContractViolation(
                f"Agent {self._job.spec.name!r} has used its {self._job.max_turns} turns without an answer.",
                hint="Raise max_turns if the task needs more; otherwise see the conversation.",
                agent=self._job.spec.name,
                turns=self.machine.turn,
            )
        self.machine.turn += 1
        response = await self._ask()
        if self.verdict is not None and self.verdict.kind == "refused":
            raise ModelRefused(
                f"The model of agent {self._job.spec.name!r} declined to answer.",
                hint="Its provider's content filter stepped in; `said` holds what it wrote before.",
                agent=self._job.spec.name,
                turn=self.machine.turn,
                said=self._repairs.shown(response.message.text),
            )
        await self._follow_approvals()
        return self._calls

    async def call_tool(self, index: int) -> ToolCallResponsePart:
        """Make the tool call `index` of the newest answer."""
        result = await self.tools.call(self.machine.turn, index, self._calls[index])
        self._results[index] = result
        return result

    async def fail(self, error: MosaicError) -> None:
        """Journal that the job failed, unless it is over already."""
        if self.machine.state.final:
            return
        self.machine.move(Trigger.FAIL)
        reason = {"code": error.code, "message": self._repairs.shown(error.message)}
        await self.write("end", NewEvent("agent.failed", {"agent": self._job.spec.name, "error": reason}))

    async def write(self, name: str, *more: NewEvent) -> None:
        """Journal the moves that no effect has carried yet, with the conversation as it stands."""
        await self._log.keep(self.messages)

        async def stand(_call: EffectCall) -> Outcome:
            return Outcome(None, events=(*self._news, *self._moves(), *more), writes=(self._row(),))

        await self._effects.effect(name, stand, safety=Safety.REPEATABLE)
        self.machine.take_unwritten()
        self._news = ()

    async def _ask(self) -> ModelResponse:
        turn = self.machine.turn
        limits, spec = self._job.limits, self._job.spec
        request = ModelRequest(
            model="",  # the model door writes the name of the model it asks
            messages=(self._system, *self.messages),
            tools=self.tools.definitions,
            output_schema=self._contract.schema if self._contract.strategy == "native" else None,
            max_output_tokens=limits.max_output_tokens or spec.max_output_tokens,
            temperature=spec.temperature,
            timeout_s=limits.timeout_s or 120.0,
            metadata={"agent": spec.name, "path": self._effects.path},
        )
        before = (self.machine.state, len(self.messages), self.usage)
        news = (*self._events(self.machine.take_unwritten()), *self._news)
        self._news = ()

        async def along(result: JsonValue) -> tuple[Sequence[NewEvent], Sequence[Write]]:
            self._rewind(before)
            self._accept(ModelResponse.from_json(cast(Any, result)))
            await self._log.keep(self.messages)
            return (*self._message_event(), *self._moves()), (self._row(),)

        try:
            response = await self._inference.complete(
                cast(Effects, WritingAlong(self._effects, before=news, along=along)),
                f"turn{turn}/model",
                self._window.fit(request),
                model=self._models,
                agent=spec.name,
                on_delta=self._on_delta,
            )
        except MosaicError:
            self._rewind(before)
            self._news = news  # nothing has carried it; the end will
            raise
        # The recorded form is the one a replay sees: go on from that, whether it was just made or not.
        self._rewind(before)
        self._accept(response)
        self.machine.take_unwritten()
        await self._log.keep(self.messages)
        return response

    def _rewind(self, before: tuple[Any, int, TurnUsage]) -> None:
        self.machine.take_unwritten()
        self.machine.state, length, self.usage = before
        del self.messages[length:]

    def _accept(self, response: ModelResponse) -> None:
        """Take an answer into the conversation. Depends on nothing but the answer and what came before it."""
        message = normalised(response.message, earlier=self.messages, prefix=f"call_{self.machine.turn}_")
        self.messages.append(message)
        self.usage = replace(
            self.usage,
            requests=self.usage.requests + 1,
            input_tokens=self.usage.input_tokens + response.usage.input_tokens,
            output_tokens=self.usage.output_tokens + response.usage.output_tokens,
        )
        self.model = f"{response.provider}:{response.model}"
        self._calls = message.tool_calls
        self._results = {}
        self.tools.begin_turn(why=message.text)
        self.verdict = judge(response, self._contract)
        if self.verdict.kind == "calls":
            self.machine.move(Trigger.TOOL_CALL)
        elif self.verdict.kind == "final":
            self.output = self.verdict.value
            self.machine.move(Trigger.COMPLETE)

    async def _settle_turn(self) -> None:
        """End the turn before: give the model its results or its mistakes, or end the job."""
        if self.verdict is None:
            return
        if self.verdict.kind == "wrong":
            said = self.messages[-1].text
            await self._repair(self.verdict.problem, said)
            self.messages.append(Message.of("user", self.verdict.problem))
            return
        if self.tools.waiting or self.tools.held:
            await self._wait_for_people()
        results = tuple(self._results[index] for index in range(len(self._calls)))
        self.messages.append(Message("tool", results))
        self.usage = replace(self.usage, tool_calls=self.usage.tool_calls + len(results))
        self.machine.move(Trigger.TOOL_RESULT)
        if self.tools.handoff is not None:
            self.machine.move(Trigger.HANDOFF, Trigger.HANDOFF_COMPLETE)
            self._news = (self._handoff_event(self.tools.handoff),)
            raise self._settled("handoff")
        if self.tools.answer is not None:
            self.output = self.tools.answer.value
            self.machine.move(Trigger.COMPLETE)
            raise self._settled("answer")
        await self._watch(results)

    async def _watch(self, results: tuple[ToolCallResponsePart, ...]) -> None:
        if len(self.tools.wrong) == len(self._calls):
            what = next(iter(self.tools.wrong.values()))
            said = "; ".join(f"{call.name}({call.malformed or call.arguments})" for call in self._calls)
            await self._repair(what, said)
            return
        self._repairs.right()
        made = [
            (call.name, call.arguments, result.response)
            for call, result in zip(self._calls, results, strict=True)
        ]
        warning = self._repetition.note(made, turn=self.machine.turn)
        if warning is not None:
            self.messages.append(Message.of("user", warning))

    async def _repair(self, what: str, said: str) -> None:
        """Allow the model another try: within its own limit and the run's one retry budget."""
        turn = self.machine.turn
        self._repairs.wrong(what, said=said, turn=turn)
        if self._effects.is_recorded(f"turn{turn + 1}/model/1"):
            return  # paid for before
        name = f"turn{turn}/repair"
        left = await self._effects.take_retry(name)
        if left is None:
            self._repairs.give_up(what, said=said, turn=turn, budget_empty=True)
        reason = {"code": ContractViolation.code, "message": self._repairs.shown(what)}
        self._news = (
            NewEvent(
                "retry",
                {
                    "name": name,
                    "attempt": self._repairs.used,
                    "delay_s": 0,
                    "reason": reason,
                    "budget_left": left,
                },
            ),
        )

    def _settled(self, ending: Literal["answer", "handoff", "approval"]) -> Settled:
        self.ending = ending
        return Settled()

    async def _wait_for_people(self) -> None:
        self.machine.move(Trigger.APPROVAL_NEEDED)
        await self.write(f"turn{self.machine.turn}/approval/{self._waits()}")
        raise self._settled("approval")

    async def _follow_approvals(self) -> None:
        """When this turn has waited for people before, go on from there; the journal says so once."""
        waits = self._waits()
        for number in range(waits):
            self.machine.move(Trigger.APPROVAL_NEEDED)
            self.machine.take_unwritten()
            self.machine.move(Trigger.DECIDED)
            resumed = f"turn{self.machine.turn}/resumed/{number}"
            if number == waits - 1 and not self._effects.is_recorded(resumed):
                await self.write(resumed)
            self.machine.take_unwritten()

    def _waits(self) -> int:
        number = 0
        while self._effects.is_recorded(f"turn{self.machine.turn}/approval/{number}"):
            number += 1
        return number

    def _moves(self) -> tuple[NewEvent, ...]:
        return self._events(self.machine.unwritten)

    def _events(self, moves: Sequence[Any]) -> tuple[NewEvent, ...]:
        return tuple(NewEvent("agent.turn", move.to_json()) for move in moves)

    def _message_event(self) -> tuple[NewEvent, ...]:
        text = self.messages[-1].text.strip()
        if not text or text == NO_ANSWER:
            return ()
        data = {"agent": self._job.spec.name, "turn": self.machine.turn, "text": text[:_SAID_LIMIT]}
        return (NewEvent("agent.message", {**data, "truncated": len(text) > _SAID_LIMIT}),)

    def _handoff_event(self, context: HandoffContext) -> NewEvent:
        data = {"agent": self._job.spec.name, "to": context.next_agent, "kind": context.kind}
        return NewEvent(
            "agent.handoff", {**data, "turn": self.machine.turn, "task": context.task[:_SAID_LIMIT]}
        )

    def _row(self) -> Write:
        return self._log.row(self.machine.state, turns=self.machine.turn, model=self.model)
