"""Every query on registered servers and pins. Only `everything` reads for the whole process."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.values import JsonObject
from mosaic.storage import DialectName, Transaction
from mosaic.tools.registry.models import mcp_server, tool_pin, tool_revision
from mosaic.tools.registry.schemas import Pin, PinState, SecretReference, ServerRecord

__all__ = ["RegistryRepository", "Standing"]

_NAME = "tools"
_STANDING = (
    tool_pin.c.state,
    tool_pin.c.digest,
    tool_pin.c.offered_digest,
    tool_pin.c.reason,
    tool_pin.c.vanished_at,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one tool stands, without what it says of itself."""

    state: PinState
    digest: str
    offered_digest: str | None
    reason: str | None
    vanished: bool


class RegistryRepository:
    """The registry's statements for one dialect."""

    def __init__(self, dialect: DialectName) -> None:
        upsert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._count_up = (
            upsert(tool_revision)
            .values(name=bindparam("n"), revision=1)
            .on_conflict_do_update(
                index_elements=[tool_revision.c.name], set_={"revision": tool_revision.c.revision + 1}
            )
        )

    async def changed(self, tx: Transaction) -> None:
        """Count the revision up, so that every process reads again. Its row orders those who change anything."""
        await tx.execute(self._count_up, {"n": _NAME})

    async def revision(self, tx: Transaction) -> int:
        """Return the revision; 0 before the first change."""
        found = await tx.scalar(select(tool_revision.c.revision).where(tool_revision.c.name == _NAME))
        return int(found or 0)

    async def everything(
        self, tx: Transaction
    ) -> tuple[list[tuple[str, ServerRecord]], list[tuple[str, str, str, Standing]]]:
        """Return the servers of all tenants, and how each tool stands as tenant, server, tool, standing."""
        servers = [(row["tenant_id"], _server(row)) for row in await tx.rows(select(mcp_server))]
        rows = await tx.rows(select(tool_pin.c.tenant_id, tool_pin.c.server, tool_pin.c.tool, *_STANDING))
        return servers, [(row["tenant_id"], row["server"], row["tool"], _standing(row)) for row in rows]

    async def add(self, tx: Transaction, tenant: str, record: ServerRecord) -> None:
        """Write a new server."""
        await tx.execute(
            insert(mcp_server).values(
                tenant_id=tenant,
                name=record.name,
                command=list(record.command),
                url=record.url,
                headers={name: _reference(value) for name, value in record.headers.items()},
                environment={name: _reference(value) for name, value in record.environment.items()},
                trust_annotations=record.trust_annotations,
                confined=record.confined,
                accept_new=record.accept_new,
                start_timeout_s=record.start_timeout_s,
                tools=list(record.tools),
                created_at=record.created_at,
                created_by=record.created_by,
            )
        )

    async def server(self, tx: Transaction, tenant: str, name: str) -> ServerRecord | None:
        """Return one server of a tenant."""
        row = await tx.row(
            select(mcp_server).where(mcp_server.c.name == name, mcp_server.c.tenant_id == tenant)
        )
        return _server(row) if row is not None else None

    async def remove(self, tx: Transaction, tenant: str, name: str) -> None:
        """Remove a server and everything that was approved of it."""
        await tx.execute(delete(tool_pin).where(tool_pin.c.server == name, tool_pin.c.tenant_id == tenant))
        await tx.execute(
            delete(mcp_server).where(mcp_server.c.name == name, mcp_server.c.tenant_id == tenant)
        )

    async def pins(self, tx: Transaction, tenant: str, server: str | None = None) -> list[Pin]:
        """Return the pins of a tenant, of one server or of all, in the order of their names."""
        query = select(tool_pin)
        if server is not None:
            query = query.where(tool_pin.c.server == server)
        rows = await tx.rows(
            query.where(tool_pin.c.tenant_id == tenant).order_by(tool_pin.c.server, tool_pin.c.tool)
        )
        return [_pin(row) for row in rows]

    async def write(self, tx: Transaction, tenant: str, pins: Iterable[tuple[Pin, bool]]) -> None:
        """Write pins; each says whether it is a new one."""
        for pin, is_new in pins:
            values = _values(pin)
            if is_new:
                await tx.execute(
                    insert(tool_pin).values(tenant_id=tenant, server=pin.server, tool=pin.tool, **values)
                )
            else:
                await tx.execute(update(tool_pin).where(_one(tenant, pin.server, pin.tool)).values(**values))


def _one(tenant: str, server: str, tool: str) -> Any:
    return and_(tool_pin.c.server == server, tool_pin.c.tool == tool, tool_pin.c.tenant_id == tenant)


def _values(pin: Pin) -> JsonObject:
    return {
        "state": pin.state.value,
        "digest": pin.digest,
        "definition": pin.definition,
        "offered_digest": pin.offered_digest,
        "offered": pin.offered,
        "reason": pin.reason,
        "vanished_at": pin.vanished_at,
        "changed_at": pin.changed_at,
        "decided_by": pin.decided_by,
    }


def _pin(row: RowMapping) -> Pin:
    fields: dict[str, Any] = dict(row)
    del fields["tenant_id"]
    fields["state"] = PinState(fields["state"])
    return Pin(**fields)


def _standing(row: RowMapping) -> Standing:
    vanished: datetime | None = row["vanished_at"]
    return Standing(
        PinState(row["state"]), row["digest"], row["offered_digest"], row["reason"], vanished is not None
    )


def _server(row: RowMapping) -> ServerRecord:
    return ServerRecord(
        name=row["name"],
        command=tuple(row["command"]),
        url=row["url"],
        headers={name: _dereference(value) for name, value in row["headers"].items()},
        environment={name: _dereference(value) for name, value in row["environment"].items()},
        trust_annotations=row["trust_annotations"],
        confined=row["confined"],
        accept_new=row["accept_new"],
        start_timeout_s=row["start_timeout_s"],
        tools=tuple(row["tools"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def _reference(value: str | SecretReference) -> str | JsonObject:
    return value if isinstance(value, str) else {"variable": value.variable, "prefix": value.prefix}


def _dereference(value: str | JsonObject) -> str | SecretReference:
    return value if isinstance(value, str) else SecretReference(value["variable"], value["prefix"])
