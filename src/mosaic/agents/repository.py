"""Every query of the agents room. Each one is scoped by tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Executable, RowMapping, Select, case, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.agents.models import agent, conversation
from mosaic.agents.schemas import AgentSpec, AgentStatus, Availability, Conversation
from mosaic.agents.turns import TurnState
from mosaic.storage import Transaction, Write

__all__ = ["AgentRepository"]

_ACTIVE = [state.value for state in TurnState if state.active]
_FINAL = [state.value for state in TurnState if state.final]


class AgentRepository:
    """Rows of agents and conversations on one database."""

    def __init__(self, dialect: Literal["sqlite", "postgresql"]) -> None:
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    def register(self, tenant: str, spec: AgentSpec, now: datetime) -> Write:
        """Return the write that adds an agent, or renews its definition and heartbeat; an offline one comes online."""
        row = {
            "version": spec.version,
            "description": spec.description,
            "kind": spec.kind,
            "capabilities": list(spec.capabilities),
            "affinities": {"primary": [*spec.primary], "avoid": [*spec.avoid], "keywords": [*spec.keywords]},
            "capacity": spec.capacity,
            "pool": spec.pool,
            "heartbeat_at": now,
        }
        statement = self._insert(agent).values(
            tenant_id=tenant, name=spec.name, registered_at=now, availability=Availability.ONLINE.value, **row
        )
        came_back = agent.c.availability == Availability.OFFLINE.value
        write: Executable = statement.on_conflict_do_update(
            index_elements=["tenant_id", "name"],
            set_={
                **row,
                "availability": case((came_back, Availability.ONLINE.value), else_=agent.c.availability),
            },
        )
        return write

    async def beat(self, tx: Transaction, tenant: str, names: Sequence[str], now: datetime) -> None:
        """Renew heartbeats."""
        await tx.execute(
            update(agent).where(agent.c.tenant_id == tenant, agent.c.name.in_(names)).values(heartbeat_at=now)
        )

    async def set_availability(
        self,
        tx: Transaction,
        tenant: str,
        name: str,
        availability: Availability,
        detail: str | None,
        now: datetime,
    ) -> None:
        """Store an agent's state; coming online also renews its heartbeat."""
        values: dict[str, Any] = {"availability": availability.value, "detail": detail}
        if availability is Availability.ONLINE:
            values["heartbeat_at"] = now
        await tx.execute(
            update(agent).where(agent.c.tenant_id == tenant, agent.c.name == name).values(**values)
        )

    async def agents(self, tx: Transaction, tenant: str, name: str | None = None) -> list[AgentStatus]:
        """Return agents by name, with their load and their stored availability."""
        load = (
            select(conversation.c.agent, func.count().label("active"))
            .where(conversation.c.tenant_id == tenant, conversation.c.state.in_(_ACTIVE))
            .group_by(conversation.c.agent)
            .subquery()
        )
        query: Select[Any] = (
            select(agent, func.coalesce(load.c.active, 0).label("active"))
            .outerjoin(load, load.c.agent == agent.c.name)
            .where(agent.c.tenant_id == tenant)
            .order_by(agent.c.name)
        )
        if name is not None:
            query = query.where(agent.c.name == name)
        return [_status(row) for row in await tx.rows(query)]

    def save_conversation(
        self,
        tenant: str,
        run_id: str,
        path: str,
        *,
        agent_name: str,
        state: TurnState,
        turns: int,
        model: str,
        messages: str | None,
        now: datetime,
    ) -> Write:
        """Return the write that stores where a conversation stands."""
        row = {"state": state.value, "turns": turns, "model": model, "messages": messages, "updated_at": now}
        statement = self._insert(conversation).values(
            tenant_id=tenant, run_id=run_id, path=path, agent=agent_name, started_at=now, **row
        )
        write: Executable = statement.on_conflict_do_update(
            index_elements=["tenant_id", "run_id", "path"], set_={**row, "agent": agent_name}
        )
        return write

    async def conversations(
        self, tx: Transaction, tenant: str, run_id: str, path: str | None = None
    ) -> list[tuple[Conversation, str | None]]:
        """Return a run's conversations, oldest first, each with the digest of its newest segment of messages."""
        query = select(conversation).where(
            conversation.c.tenant_id == tenant, conversation.c.run_id == run_id
        )
        if path is not None:
            query = query.where(conversation.c.path == path)
        query = query.order_by(conversation.c.started_at, conversation.c.path)
        return [(_conversation(row), row["messages"]) for row in await tx.rows(query)]

    async def close_run(
        self, tx: Transaction, tenant: str, run_id: str, state: TurnState, now: datetime
    ) -> list[Conversation]:
        """End a run's open conversations with `state` and return them as they were."""
        mine = (
            conversation.c.tenant_id == tenant,
            conversation.c.run_id == run_id,
            conversation.c.state.not_in(_FINAL),
        )
        found = [_conversation(row) for row in await tx.rows(select(conversation).where(*mine))]
        if found:
            await tx.execute(update(conversation).where(*mine).values(state=state.value, updated_at=now))
        return found


def _status(row: RowMapping) -> AgentStatus:
    return AgentStatus(
        name=row["name"],
        version=row["version"],
        description=row["description"],
        kind=row["kind"],
        capabilities=tuple(row["capabilities"]),
        availability=Availability(row["availability"]),
        detail=row["detail"],
        active=row["active"],
        capacity=row["capacity"],
        pool=row["pool"],
        registered_at=row["registered_at"],
        heartbeat_at=row["heartbeat_at"],
        affinities=row["affinities"],
    )


def _conversation(row: RowMapping) -> Conversation:
    return Conversation(
        run_id=row["run_id"],
        path=row["path"],
        agent=row["agent"],
        state=row["state"],
        turns=row["turns"],
        model=row["model"],
        started_at=row["started_at"],
        updated_at=row["updated_at"],
    )
