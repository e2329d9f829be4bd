"""The agent registry: who is there, what they can do, how loaded they are."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from mosaic.agents.availability import check_move, effective, metrics
from mosaic.agents.repository import AgentRepository
from mosaic.agents.schemas import AgentSpec, AgentStatus, Availability, RegistryMetrics
from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import MosaicError, NotFound
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database, Transaction, Write

__all__ = ["AgentRegistry"]

log = logging.getLogger(__name__)


class AgentRegistry:
    """Agents of every tenant, kept in the database; figures are computed when asked for.

    Args:
        heartbeat_s: how often `keep_alive` renews the heartbeats of the agents that this process has registered.
        expiry_s: an agent whose heartbeat is older counts as offline.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        *,
        heartbeat_s: float = 10.0,
        expiry_s: float = 60.0,
        clock: Clock = now,
    ) -> None:
        self.heartbeat_s = heartbeat_s
        self.expiry_s = expiry_s
        self._database = database
        self._journal = journal
        self._clock = clock
        self._repository = AgentRepository(database.dialect)
        self._hosted: defaultdict[Context, set[str]] = defaultdict(set)

    async def register(self, tx: Transaction, ctx: Context, spec: AgentSpec) -> None:
        """Add an agent or renew its definition. Idempotent; an offline agent comes online, one in error stays so."""
        known = await self._repository.agents(tx, ctx.tenant, spec.name)
        await tx.execute(self.registration(ctx, spec))
        if not known or known[0].availability is Availability.OFFLINE:
            await self._journal.append(tx, ctx, [_moved(spec.name, Availability.ONLINE, known, "registered")])

    def registration(self, ctx: Context, spec: AgentSpec) -> Write:
        """Return the write that registers an agent inside another change, and keep it alive from here on."""
        self._hosted[_scope(ctx)].add(spec.name)
        return self._repository.register(ctx.tenant, spec, self._clock())

    async def heartbeat(self, tx: Transaction, ctx: Context, names: Sequence[str]) -> None:
        """Say that agents are alive. Unknown names are ignored; an offline or broken one stays what it is."""
        await self._repository.beat(tx, ctx.tenant, names, self._clock())

    async def keep_alive(self) -> None:
        """Renew the heartbeats of the agents this process has registered, until cancelled."""
        while True:
            await asyncio.sleep(self.heartbeat_s)
            for ctx, names in list(self._hosted.items()):
                try:
                    async with self._database.transaction() as tx:
                        await self.heartbeat(tx, ctx, sorted(names))
                except (
                    MosaicError
                ) as error:  # the next beat may succeed; until then they may count as offline
                    log.warning("heartbeat of agents failed: %s", error)

    async def set_availability(
        self,
        tx: Transaction,
        ctx: Context,
        name: str,
        availability: Availability,
        *,
        detail: str | None = None,
    ) -> None:
        """Move an agent to another availability state; event ``agent.availability``.

        Raises:
            NotFound: if the tenant has no such agent.
            Conflict: if the present state does not allow it.
        """
        known = await self._repository.agents(tx, ctx.tenant, name)
        if not known:
            raise NotFound(f"There is no agent {name!r}.", agent=name)
        check_move(name, known[0].availability, availability)
        if known[0].availability is availability and known[0].detail == detail:
            return
        await self._repository.set_availability(tx, ctx.tenant, name, availability, detail, self._clock())
        await self._journal.append(tx, ctx, [_moved(name, availability, known, detail)])

    async def agents(self, ctx: Context) -> list[AgentStatus]:
        """Return the tenant's agents by name, as they are now."""
        async with self._database.transaction(read_only=True) as tx:
            found = await self._repository.agents(tx, ctx.tenant)
        return [self._now(agent) for agent in found]

    async def agent(self, ctx: Context, name: str) -> AgentStatus:
        """Return one agent.

        Raises:
            NotFound: if the tenant has no such agent.
        """
        async with self._database.transaction(read_only=True) as tx:
            found = await self._repository.agents(tx, ctx.tenant, name)
        if not found:
            raise NotFound(f"There is no agent {name!r}.", agent=name)
        return self._now(found[0])

    async def find(
        self, ctx: Context, *, capabilities: Sequence[str] = (), task_kind: str | None = None, task: str = ""
    ) -> list[AgentStatus]:
        """Return the agents that have all `capabilities` and are not offline or in error, the best first.

        Better is: made for `task_kind`, more of its keywords in `task`, less load. An agent that avoids `task_kind`
        comes last.
        """
        usable = [
            agent
            for agent in await self.agents(ctx)
            if set(capabilities) <= set(agent.capabilities)
            and agent.availability in (Availability.ONLINE, Availability.BUSY)
        ]
        return sorted(usable, key=lambda agent: (-_fitness(agent, task_kind, task), agent.load, agent.name))

    async def metrics(self, ctx: Context) -> RegistryMetrics:
        """Return the figures of the tenant's agents."""
        return metrics(await self.agents(ctx))

    def _now(self, agent: AgentStatus) -> AgentStatus:
        state = effective(
            agent.availability,
            heartbeat_at=agent.heartbeat_at,
            active=agent.active,
            capacity=agent.capacity,
            now=self._clock(),
            expiry_s=self.expiry_s,
        )
        return replace(agent, availability=state)


def _scope(ctx: Context) -> Context:
    return Context(ctx.tenant, ctx.project, ctx.actor)


def _moved(name: str, to: Availability, known: list[AgentStatus], detail: str | None) -> NewEvent:
    before = known[0].availability.value if known else None
    return NewEvent("agent.availability", {"agent": name, "from": before, "to": to.value, "detail": detail})


def _fitness(agent: AgentStatus, task_kind: str | None, task: str) -> int:
    text = task.lower()
    score = sum(keyword.lower() in text for keyword in agent.affinities.get("keywords", ()))
    if task_kind in agent.affinities.get("primary", ()):
        score += 10
    if task_kind in agent.affinities.get("avoid", ()):
        score -= 100
    return score
