"""The A2A backend: the agent is another installation's; we give it a task, wait, and pass on what it asks.

Giving it the task is the effect ``turn<k>/task``, a call through the tool door: policy, approval, record. It is made
once: where a crash leaves it unknown whether the task was taken, the job fails and says so. Waiting is no effect, since
asking how a task stands changes nothing; how it settled is one, ``turn<k>/settled``. A question goes to a person.
"""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from mosaic.agents.answers import AnswerContract
from mosaic.agents.conversations import ConversationLog
from mosaic.agents.jobs import AgentJob
from mosaic.agents.prompting import Marks, task_message
from mosaic.agents.schemas import AgentOutcome, Completed, NeedsApproval, TurnUsage
from mosaic.agents.turns import Trigger, TurnMachine
from mosaic.core.errors import (
    ContractViolation,
    MosaicError,
    PermissionDenied,
    PolicyDenied,
    ToolFailed,
    Unavailable,
)
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.engine import EffectCall, Effects, Outcome, Safety
from mosaic.events import NewEvent
from mosaic.observability import get_logger
from mosaic.providers.ai import Message
from mosaic.tools import ApprovalNeeded, ApprovalRequest, Toolbox, ToolDoor
from mosaic.tools.a2a import A2aPeer, A2aPeers, Said
from mosaic.tools.a2a.tool import AskAgent

__all__ = ["MODEL_PREFIX", "Remote", "RemoteJob"]

MODEL_PREFIX = "a2a:"
"""What stands in place of a model's provider."""

_log = get_logger(__name__)
_FIRST_LOOK_S, _LONGEST_LOOK_S = 1.0, 30.0
_MOST_MISSES = 20
_CANCEL_S = 10.0
_SAID_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Remote:
    """What a remote job needs besides the job.

    Attributes:
        peers: makes clients.
        door: lets the task out.
        cancelled: set when the run is cancelled; None where nobody says so.
    """

    peers: A2aPeers
    door: ToolDoor
    redactor: Redactor
    cancelled: asyncio.Event | None


class RemoteJob:
    """One job of an agent elsewhere."""

    def __init__(
        self,
        job: AgentJob,
        *,
        effects: Effects,
        remote: Remote,
        machine: TurnMachine,
        log: ConversationLog,
        marks: Marks,
    ) -> None:
        self._job = job
        self._effects = effects
        self._remote = remote
        self._machine = machine
        self._log = log
        self._marks = marks
        self._peer: A2aPeer = remote.peers.find(job.spec.a2a or "")
        self._contract = AnswerContract(job.spec.output_schema, native=True)
        self._messages: list[Message] = []

    @property
    def _model(self) -> str:
        return f"{MODEL_PREFIX}{self._peer.name}"

    async def run(self) -> AgentOutcome:
        """Do the job, or as much as can be done before a person has to answer.

        Raises:
            OutcomeUnknown: if it is not known whether the agent took the task.
            ToolFailed: if the agent failed, refused or gave up.
            PolicyDenied: if the task may not go there, or a person said no.
            ContractViolation: if its answer does not fit.
            MosaicError: as `ToolDoor.call`.
        """
        said = Said(None, "", "working")
        text = self._first_words()
        for turn in range(1, self._job.max_turns + 1):
            self._machine.turn = turn
            self._messages.append(Message.of("user", text))
            if (waits := await self._send(turn, text, said)) is not None:
                return waits
            said = await self._settled(turn)
            self._messages.append(Message.of("assistant", said.text))
            if said.state != "input_required":
                return await self._end(said)
            answered = await self._ask(turn, said)
            if isinstance(answered, NeedsApproval):
                return answered
            text = answered
        raise ContractViolation(
            f"The agent {self._job.spec.name!r} asked {self._job.max_turns} times and has not answered.",
            hint="Raise max_turns, or tell it more in the first place.",
            agent=self._job.spec.name,
        )

    async def fail(self, error: MosaicError) -> None:
        """Journal that the job failed, unless it is over already."""
        if self._machine.state.final:
            return
        self._machine.move(Trigger.FAIL)
        reason = {"code": error.code, "message": self._remote.redactor.text(error.message)[:_SAID_LIMIT]}
        event = NewEvent("agent.failed", {"agent": self._job.spec.name, "error": reason})
        await self._write("end", event)

    # -- a turn -------------------------------------------------------------------------------------------------

    def _first_words(self) -> str:
        spec = self._job.spec
        task = task_message(self._job.prompt, handoff=self._job.handoff_context, marks=self._marks)
        parts = [spec.instructions.strip(), task]
        if spec.output_schema is not None:
            schema = json.dumps(spec.output_schema, ensure_ascii=False)
            parts.append(f"{self._contract.rule} The schema: {schema}")
        return self._remote.redactor.text("\n\n".join(part for part in parts if part))

    async def _send(self, turn: int, text: str, before: Said) -> NeedsApproval | None:
        """Give the agent its task or an answer; what came first is recorded as ``turn<k>/task``."""
        spec = self._job.spec
        tool = AskAgent(
            spec.name, self._peer, self._remote.peers, description=spec.description, skill=spec.skill
        )
        policy = self._job.policy.narrowed(spec.policies) if spec.policies else self._job.policy
        arguments: JsonObject = {"message": text}
        arguments |= {"task": before.task} if before.task else {}
        arguments |= {"context": before.context} if before.context else {}
        self._machine.move(Trigger.TOOL_CALL)
        waited = f"turn{turn}/approval/task"
        try:
            result = await self._remote.door.call(
                self._effects,
                f"turn{turn}/task",
                tool=tool.spec.name,
                arguments=arguments,
                toolbox=Toolbox([tool]),
                policy=policy,
                agent=spec.name,
            )
        except ApprovalNeeded as asked:
            return await self._wait(waited, str(asked.data["approval_id"]))
        await self._resume(waited)
        if result.is_error or not isinstance(result.content, dict):
            raise PolicyDenied(_message(result.content), agent=spec.name)
        self._taken = Said.from_json(result.content)
        self._machine.move(Trigger.TOOL_RESULT)
        about: JsonObject = {"agent": spec.name, "at": self._peer.name, "task": self._taken.task}
        await self._write(f"turn{turn}/sent", NewEvent("agent.remote_task", {**about, "state": "taken"}))
        return None

    async def _settled(self, turn: int) -> Said:
        """Wait until the agent does nothing more by itself; return what it says then."""
        name = f"turn{turn}/settled"
        if not await self._effects.was_recorded(name):
            said = self._taken if self._taken.settled else await self._followed(self._taken)
        else:
            said = self._taken  # what is recorded counts

        async def note(_: EffectCall) -> Outcome:
            shown: JsonObject = {
                "agent": self._job.spec.name,
                "at": self._peer.name,
                "task": said.task,
                "state": said.state,
                # Nobody meters what another installation spends; its own word is only that.
                "cost": {"known": False, "claimed_usd": said.claimed_usd},
            }
            return Outcome(said.to_json(), events=(NewEvent("agent.remote_task", shown),))

        recorded = await self._effects.effect(name, note, safety=Safety.REPEATABLE)
        return Said.from_json(recorded if isinstance(recorded, dict) else {})

    async def _followed(self, taken: Said) -> Said:
        task = taken.task
        if task is None:
            return taken
        pause_s, misses = _FIRST_LOOK_S, 0
        try:
            async with await self._remote.peers.client(self._peer) as client, self._effects.waiting():
                while True:
                    try:
                        said = await client.state(task)
                    except Unavailable:
                        misses += 1
                        if misses > _MOST_MISSES:
                            raise
                    else:
                        misses = 0
                        if said.settled:
                            return said
                    await client.changed(task, within_s=pause_s)
                    pause_s = min(2 * pause_s, _LONGEST_LOOK_S)
        except asyncio.CancelledError:
            if self._remote.cancelled is not None and self._remote.cancelled.is_set():
                await self._give_up(task)
            raise

    async def _give_up(self, task: str) -> None:
        """Tell the agent that nobody waits any more; the run ends all the same, whatever it says."""

        async def cancel() -> None:
            async with asyncio.timeout(_CANCEL_S), await self._remote.peers.client(self._peer) as client:
                await client.cancel(task)

        telling = asyncio.ensure_future(cancel())
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((telling,))
        if telling.done() and not telling.cancelled() and (error := telling.exception()) is not None:
            _log.warning("the task %s of %s could not be cancelled: %s", task, self._peer.name, error)

    async def _ask(self, turn: int, said: Said) -> NeedsApproval | str:
        """Pass the agent's question on to a person; return the answer, or what is waited for."""
        name, waited = f"turn{turn}/question", f"turn{turn}/approval/question"
        question = said.text.strip() or "It needs more input."
        request = ApprovalRequest(
            kind="ask",
            title=f"{self._job.spec.name} asks: {question.partition(chr(10))[0]}"[:300],
            detail={"agent": self._job.spec.name, "at": self._peer.name, "question": question[:_SAID_LIMIT]},
        )
        self._machine.move(Trigger.TOOL_CALL)
        approval = await self._remote.door.approvals.request(self._effects, name, request)
        if approval.pending:
            return await self._wait(waited, approval.id)
        await self._resume(waited)
        self._machine.move(Trigger.TOOL_RESULT)

        async def note(_: EffectCall) -> Outcome:
            answer = approval.answer if approval.answer is not None else approval.note
            return Outcome({"approved": approval.approved, "answer": answer, "by": approval.decided_by})

        # Recorded, so that a replay needs no approval row.
        kept = await self._effects.effect(f"{name}/answer", note, safety=Safety.REPEATABLE)
        answered: JsonObject = kept if isinstance(kept, dict) else {}
        if not answered.get("approved"):
            raise PolicyDenied(
                f"{answered.get('by')} gave the agent {self._job.spec.name!r} no answer to: {question[:300]}",
                agent=self._job.spec.name,
            )
        answer = answered.get("answer")
        if answer is None:
            return "Yes."
        return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)

    # -- the end ------------------------------------------------------------------------------------------------

    async def _end(self, said: Said) -> Completed:
        """Check the answer and return it.

        Raises:
            ToolFailed: if there is none.
            PermissionDenied: if the agent wants to know first who we are.
            ContractViolation: if it does not fit.
        """
        name = self._job.spec.name
        if said.state == "auth_required":
            raise PermissionDenied(
                f"The agent {name!r} at {self._peer.name} wants to be shown credentials first.",
                hint=f"Set tools.a2a_agents.{self._peer.name}.headers to what it expects.",
            )
        if said.state != "completed":
            reason = f": {said.text.strip()[:_SAID_LIMIT]}" if said.text.strip() else "."
            raise ToolFailed(
                f"The agent {name!r} at {self._peer.name} ended {said.state}{reason}", agent=name
            )
        checked = self._contract.check_text(said.text)
        if checked.problem is not None:
            raise ContractViolation(
                f"The agent {name!r} at {self._peer.name} answered outside its contract: {checked.problem}",
                agent=name,
            )
        self._machine.move(Trigger.COMPLETE)
        text = said.text.strip()
        shown = {"agent": name, "turn": self._machine.turn, "text": text[:_SAID_LIMIT]}
        event = NewEvent("agent.message", {**shown, "truncated": len(text) > _SAID_LIMIT})
        await self._write("end", event)
        usage = TurnUsage(requests=self._machine.turn)
        return Completed(checked.value, self._log.newest or "", usage, self._machine.turn, self._model)

    # -- what is journaled --------------------------------------------------------------------------------------

    async def _wait(self, name: str, approval_id: str) -> NeedsApproval:
        self._machine.move(Trigger.APPROVAL_NEEDED)
        await self._write(name)
        return NeedsApproval((approval_id,), self._machine.turn)

    async def _resume(self, name: str) -> None:
        """When this turn has waited for a person before, go on from there; the journal says so once."""
        if not self._effects.is_recorded(name):
            return
        self._machine.move(Trigger.APPROVAL_NEEDED)
        self._machine.take_unwritten()
        self._machine.move(Trigger.DECIDED)
        await self._write(f"{name}/resumed")

    async def _write(self, name: str, *more: NewEvent) -> None:
        """Journal the moves that no effect has carried yet, with the conversation as it stands."""
        await self._log.keep(self._messages)

        async def stand(_: EffectCall) -> Outcome:
            row = self._log.row(self._machine.state, turns=self._machine.turn, model=self._model)
            return Outcome(None, events=(*_moves(self._machine), *more), writes=(row,))

        await self._effects.effect(name, stand, safety=Safety.REPEATABLE)
        self._machine.take_unwritten()


def _moves(machine: TurnMachine) -> Sequence[NewEvent]:
    return tuple(NewEvent("agent.turn", move.to_json()) for move in machine.unwritten)


def _message(content: object) -> str:
    if isinstance(content, dict) and isinstance(content.get("message"), str):
        return str(content["message"])
    return str(content)[:_SAID_LIMIT]
