"""Conversation state: what was said in each job, kept with every turn's effect, readable by anyone in the tenant.

Messages are kept in segments, one for each turn, in the blob store; a segment names the one before it. So a turn
writes only what is new, and an interrupted run's conversation is there up to its last finished turn.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from mosaic.agents.repository import AgentRepository
from mosaic.agents.schemas import Conversation
from mosaic.agents.turns import TRANSITIONS, Transition, Trigger, TurnState
from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.redaction import Redactor
from mosaic.core.values import canonical_json
from mosaic.events import Journal, NewEvent
from mosaic.providers.ai import Message
from mosaic.storage import BlobStore, Database, Transaction, Write

__all__ = ["ConversationLog", "Conversations"]


class Conversations:
    """The conversations of all runs."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        blobs: BlobStore,
        *,
        redactor: Redactor,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._blobs = blobs
        self._redactor = redactor
        self._clock = clock
        self._repository = AgentRepository(database.dialect)

    async def conversations(self, ctx: Context, run_id: str) -> list[Conversation]:
        """Return the run's conversations, oldest first, without their messages."""
        async with self._database.transaction(read_only=True) as tx:
            found = await self._repository.conversations(tx, ctx.tenant, run_id)
        return [conversation for conversation, _ in found]

    async def conversation(self, ctx: Context, run_id: str, path: str) -> Conversation:
        """Return one step's conversation with its messages.

        Raises:
            NotFound: if no agent has worked at that step of that run in this tenant.
        """
        async with self._database.transaction(read_only=True) as tx:
            found = await self._repository.conversations(tx, ctx.tenant, run_id, path)
        if not found:
            raise NotFound(f"No agent has worked at {path!r} in the run {run_id}.", run_id=run_id, path=path)
        conversation, newest = found[0]
        return replace(conversation, messages=await self.messages(newest))

    async def messages(self, newest: str | None) -> tuple[Message, ...]:
        """Return the messages of the segment `newest` and of all before it, oldest first.

        Raises:
            NotFound: if a segment is no longer kept.
        """
        segments = []
        while newest is not None:
            segment = json.loads(await self._blobs.get(newest))
            segments.append(segment["messages"])
            newest = segment["previous"]
        return tuple(Message.from_json(shown) for segment in reversed(segments) for shown in segment)

    async def close_run(
        self, tx: Transaction, ctx: Context, run_id: str, *, trigger: Trigger = Trigger.CANCEL
    ) -> None:
        """End what a run's agents were doing, because the run is over: cancelled, or failed elsewhere.

        Call it in the transaction that ends the run. Journals an ``agent.turn`` for each open conversation.
        """
        state = TurnState.FAILED if trigger is Trigger.FAIL else TurnState.CANCELLED
        closed = await self._repository.close_run(tx, ctx.tenant, run_id, state, self._clock())
        events = []
        for one in closed:
            before = TurnState(one.state)
            if (before, trigger) in TRANSITIONS:
                move = Transition(one.agent, one.turns, before, state, trigger)
                events.append(NewEvent("agent.turn", move.to_json(), run_id=run_id, path=one.path))
        await self._journal.append(tx, ctx, events)

    def log(self, ctx: Context, run_id: str, path: str, *, agent: str) -> "ConversationLog":
        """Return what writes one job's conversation."""
        return ConversationLog(
            ctx,
            run_id,
            path,
            agent=agent,
            repository=self._repository,
            blobs=self._blobs,
            redactor=self._redactor,
            clock=self._clock,
        )


class ConversationLog:
    """Writes one job's conversation. Segments depend only on what was said, so a replay finds the same digests.

    Attributes:
        newest: digest of the newest segment; None before the first.
    """

    def __init__(
        self,
        ctx: Context,
        run_id: str,
        path: str,
        *,
        agent: str,
        repository: AgentRepository,
        blobs: BlobStore,
        redactor: Redactor,
        clock: Clock,
    ) -> None:
        self.newest: str | None = None
        self._kept = 0
        self._ctx = ctx
        self._run_id = run_id
        self._path = path
        self._agent = agent
        self._repository = repository
        self._blobs = blobs
        self._redactor = redactor
        self._clock = clock

    async def keep(self, messages: Sequence[Message]) -> None:
        """Store what `messages` holds beyond the last call; what was stored before must still be its beginning."""
        if len(messages) > self._kept:
            shown = self._redactor.value([message.to_json() for message in messages[self._kept :]])
            self.newest = await self._blobs.put(canonical_json({"messages": shown, "previous": self.newest}))
            self._kept = len(messages)

    def row(self, state: TurnState, *, turns: int, model: str) -> Write:
        """Return the write that stores where the conversation stands."""
        return self._repository.save_conversation(
            self._ctx.tenant,
            self._run_id,
            self._path,
            agent_name=self._agent,
            state=state,
            turns=turns,
            model=model,
            messages=self.newest,
            now=self._clock(),
        )
