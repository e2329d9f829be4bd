"""The tools of one job, and what happens when the model calls one.

Besides the run's tools these are ours: ``handoff_to_<agent>`` for each agent it may hand over to, and
``final_answer`` where the model gives its answer as a call. A wrong call - unknown tool, bad arguments - goes back
to the model as a failed result that says what would be right.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from mosaic.agents.answers import ANSWER_TOOL, AnswerContract, Checked
from mosaic.agents.handoff import HANDOFF_SCHEMA, HandoffContext
from mosaic.agents.jobs import AgentJob
from mosaic.agents.prompting import Marks
from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Effects, RetryPolicy
from mosaic.providers.ai import ToolCallPart, ToolCallResponsePart, ToolDefinition
from mosaic.tools import (
    ApprovalNeeded,
    Decision,
    RiskClass,
    ToolDoor,
    ToolEffect,
    ToolResult,
    ToolSpec,
    UnknownTool,
    model_result,
)

__all__ = ["HANDOFF_PREFIX", "JobTools", "offered_tools"]

HANDOFF_PREFIX = "handoff_to_"
_WHY_LIMIT = 1000
_OURS_TO_SET = ("next_agent", "session", "chain", "earlier")
_ORDERED_RISKS = frozenset((RiskClass.DESTRUCTIVE, RiskClass.FINANCIAL))
_ORDERED_EFFECTS = frozenset((ToolEffect.WRITE, ToolEffect.EXEC, ToolEffect.DESTRUCTIVE))


class JobTools:
    """What the model of one job can call.

    Attributes:
        definitions: the tools as the model sees them.
        handoffs: tool name -> agent, of the handoff tools.
        waiting: ids of the approvals that this turn's calls wait for, in the order of the calls.
        held: indexes of the calls of this turn that were put off because an earlier one waits.
        wrong: index -> what was wrong, of the calls of this turn that were not usable.
        handoff: the accepted handoff.
        answer: the accepted answer.
    """

    def __init__(
        self,
        job: AgentJob,
        offered: Mapping[str, ToolSpec],
        *,
        door: ToolDoor,
        effects: Effects,
        marks: Marks,
        contract: AnswerContract,
    ) -> None:
        self._job = job
        self._door = door
        self._effects = effects
        self._marks = marks
        self._contract = contract
        self._policy = (
            job.policy.narrowed(job.spec.policies, tools=offered) if job.spec.policies else job.policy
        )
        self._specs = offered
        self.handoffs = {HANDOFF_PREFIX + name: name for name in job.spec.handoffs}
        self.definitions = (
            *(
                ToolDefinition(spec.name, spec.description, spec.input_schema)
                for spec in self._specs.values()
            ),
            *(self._handoff_definition(tool, name) for tool, name in self.handoffs.items()),
            *self._answer_definition(),
        )
        self._why: str | None = None
        self.waiting: dict[int, str] = {}
        self.held: set[int] = set()
        self.wrong: dict[int, str] = {}
        self.handoff: HandoffContext | None = None
        self.answer: Checked | None = None

    @property
    def names(self) -> list[str]:
        """The names the model may call."""
        return [definition.name for definition in self.definitions]

    def begin_turn(self, *, why: str) -> None:
        """Forget the calls of the turn before; `why` is what the model says about those to come."""
        self.waiting, self.held, self.wrong = {}, set(), {}
        self._why = why.strip()[:_WHY_LIMIT] or None

    def in_order(self, name: str) -> bool:
        """Say whether calls of a tool keep their place in the turn; the others run at the same time."""
        spec = self._spec(name)
        if spec is None:
            return True
        return spec.risk in _ORDERED_RISKS or bool(_ORDERED_EFFECTS & spec.effects)

    async def call(self, turn: int, index: int, call: ToolCallPart) -> ToolCallResponsePart:
        """Answer the call `index` of a turn.

        Raises:
            MosaicError: what a model must not go on from: an unknown outcome, a fence, a full disk.
        """
        if call.malformed is not None:
            why = call.arguments.get("$error", "not a JSON object")
            return self._refuse(index, call, f"The arguments of {call.name} could not be read: {why}.")
        if call.name in self.handoffs:
            return self._hand_over(index, call)
        if call.name == ANSWER_TOOL and self._contract.strategy == "tool":
            return self._answer(index, call)
        spec = self._spec(call.name)
        if spec is None:
            return self._unknown(index, call)
        if self.waiting and self.in_order(call.name) and not await self._asks(spec, call.arguments):
            self.held.add(
                index
            )  # it comes after a call that waits for a person; it runs when that one has run
            return _said(call, "Waiting for an earlier call of this turn.")
        return await self._through_the_door(turn, index, call, spec)

    async def _asks(self, spec: ToolSpec, arguments: JsonObject) -> bool:
        """Say whether a person would be asked about a call, by all that the door goes by."""
        job = self._job
        ruling = await self._door.judge(
            self._effects,
            spec,
            arguments,
            policy=self._policy,
            workspace=job.workspace,
            agent=job.spec.name,
        )
        return ruling.decision is Decision.ASK

    async def _through_the_door(
        self, turn: int, index: int, call: ToolCallPart, spec: ToolSpec
    ) -> ToolCallResponsePart:
        job = self._job
        try:
            result = await self._door.call(
                self._effects,
                f"turn{turn}/tool/{index}",
                tool=spec.name,
                arguments=call.arguments,
                toolbox=job.toolbox,
                policy=self._policy,
                workspace=job.workspace,
                agent=job.spec.name,
                why=self._why,
                retry=RetryPolicy(),
            )
        except ApprovalNeeded as asked:
            self.waiting[index] = asked.data["approval_id"]
            return _said(call, "Waiting for approval.")
        except MosaicError as error:
            told = model_result(error)
            if told is None:
                raise
            if isinstance(error, InvalidInput | UnknownTool):
                self.wrong[index] = error.message
            result = told
        return _said(call, self._shown(result, spec.name), is_error=result.is_error)

    def _shown(self, result: ToolResult, source: str) -> str:
        content = result.content
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        tail = "\n(The result was longer; this is a part of it.)" if result.truncated else ""
        return self._marks.wrap(text, source=source) + tail

    def _hand_over(self, index: int, call: ToolCallPart) -> ToolCallResponsePart:
        target = self.handoffs[call.name]
        if self.handoff is not None:
            return self._refuse(index, call, f"Control already goes to {self.handoff.next_agent}.")
        before = self._job.handoff_context
        chain = [*(before.chain if before else ()), self._job.spec.name]
        ours: JsonObject = {"next_agent": target, "session": self._effects.run_id, "chain": chain[-50:]}
        try:
            self.handoff = _accumulated(
                {**call.arguments, **ours, "earlier": []}, before.continued() if before else []
            )
        except InvalidInput as error:
            lines = [str(problem) for problem in error.problems]
            return self._refuse(index, call, "\n".join([error.message, *lines]))
        return _said(call, f"Control goes to {target}.")

    def _answer(self, index: int, call: ToolCallPart) -> ToolCallResponsePart:
        checked = self._contract.check_arguments(call.arguments)
        if checked.problem is not None:
            return self._refuse(index, call, checked.problem)
        self.answer = self.answer or checked
        return _said(call, "Accepted.")

    def _unknown(self, index: int, call: ToolCallPart) -> ToolCallResponsePart:
        near = get_close_matches(call.name, self.names, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        tools = (
            f"Your tools are: {', '.join(self.names)}."
            if self.names
            else "You have no tools: answer in text."
        )
        return self._refuse(index, call, f"There is no tool {call.name[:80]!r}.{hint} {tools}")

    def _refuse(self, index: int, call: ToolCallPart, why: str) -> ToolCallResponsePart:
        self.wrong[index] = why
        return _said(call, why, is_error=True)

    def _spec(self, name: str) -> ToolSpec | None:
        found = self._specs.get(name)
        return found or next((spec for spec in self._specs.values() if spec.model_name == name), None)

    def _handoff_definition(self, tool: str, agent: str) -> ToolDefinition:
        properties: dict[str, Any] = HANDOFF_SCHEMA["properties"]
        about = self._job.peers.get(agent)
        return ToolDefinition(
            tool,
            f"Give control to the agent {agent}{f' ({about})' if about else ''}. Your own work ends with it. "
            "Say all it needs to know, in under 10 KB; name files instead of quoting them; never a secret.",
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["task"],
                "properties": {key: value for key, value in properties.items() if key not in _OURS_TO_SET},
            },
        )

    def _answer_definition(self) -> tuple[ToolDefinition, ...]:
        if self._contract.strategy != "tool":
            return ()
        return (
            ToolDefinition(
                ANSWER_TOOL, "Give your answer and end your work.", self._contract.tool_parameters
            ),
        )


def _said(call: ToolCallPart, response: JsonValue, *, is_error: bool = False) -> ToolCallResponsePart:
    return ToolCallResponsePart(call.id, call.name, response, is_error=is_error)


def offered_tools(job: AgentJob) -> dict[str, ToolSpec]:
    """Return the tools of the run that the job's agent is offered, by name, in order.

    Raises:
        InvalidInput: if one it needs does not exist.
        Unavailable: if its server cannot be reached.
    """
    existing = {spec.name: spec for spec in job.toolbox.specs(None)}
    selection = job.spec.select_tools(existing)
    if selection.missing:
        for name in selection.missing:
            with suppress(UnknownTool):
                job.toolbox.get(name)  # of a server that cannot be reached: that is the reason to tell
        near = {name: get_close_matches(name, existing, n=1) for name in selection.missing}
        hints = [f"{name!r} is not {hit[0]!r}" for name, hit in near.items() if hit]
        raise InvalidInput(
            f"Agent {job.spec.name!r} needs tools that are not there: {', '.join(selection.missing)}.",
            hint=("; ".join(hints) + "? " if hints else "") + "List them as preferred if it can do without.",
            agent=job.spec.name,
            missing=list(selection.missing),
        )
    return {name: existing[name] for name in selection.chosen}


def _accumulated(own: JsonObject, earlier: list[JsonObject]) -> HandoffContext:
    """Return a context with as much of what was handed over before as there is room for, the newest first to stay.

    Raises:
        InvalidInput: if the context is not acceptable even alone.
    """
    alone = HandoffContext.from_json(own)
    while earlier:
        with suppress(InvalidInput):
            return HandoffContext.from_json({**alone.to_json(), "earlier": earlier})
        earlier = earlier[1:]
    return alone
