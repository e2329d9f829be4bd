"""Every query on keys. Scope by tenant comes last in each; only `every_usable` reads for the whole process."""

from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.security.models import key_revision, virtual_key
from mosaic.security.schemas import KeyLimits, VirtualKey
from mosaic.storage import DialectName, Transaction

__all__ = ["KeyRepository"]

_NAME = "keys"


class KeyRepository:
    """The security room's statements for one dialect."""

    def __init__(self, dialect: DialectName) -> None:
        upsert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
        self._count_up = (
            upsert(key_revision)
            .values(name=bindparam("n"), revision=1)
            .on_conflict_do_update(
                index_elements=[key_revision.c.name], set_={"revision": key_revision.c.revision + 1}
            )
        )

    async def changed(self, tx: Transaction) -> None:
        """Count the revision up, so that every process reads again. Its row orders those who change keys."""
        await tx.execute(self._count_up, {"n": _NAME})

    async def revision(self, tx: Transaction) -> int:
        """Return the revision; 0 before the first change."""
        found = await tx.scalar(select(key_revision.c.revision).where(key_revision.c.name == _NAME))
        return int(found or 0)

    async def every_usable(
        self, tx: Transaction, moment: datetime
    ) -> list[tuple[VirtualKey, str, str | None]]:
        """Return the keys of all tenants that can be used now or later, each with its digest and its old one."""
        query = select(virtual_key).where(
            virtual_key.c.revoked_at.is_(None),
            or_(virtual_key.c.expires_at.is_(None), virtual_key.c.expires_at > moment),
        )
        return [(_key(row), row["digest"], row["old_digest"]) for row in await tx.rows(query)]

    async def add(self, tx: Transaction, key: VirtualKey, digest: str) -> None:
        """Write a new key."""
        await tx.execute(
            insert(virtual_key).values(
                tenant_id=key.tenant, id=key.id, project_id=key.project, name=key.name, prefix=key.prefix,
                digest=digest, models=list(key.models), routes=list(key.routes), scopes=sorted(key.scopes),
                requests_per_minute=key.limits.requests_per_minute,
                tokens_per_minute=key.limits.tokens_per_minute, concurrency=key.limits.concurrency,
                created_at=key.created_at, created_by=key.created_by, expires_at=key.expires_at,
            )
        )  # fmt: skip

    async def list(self, tx: Transaction, tenant: str, *, project: str | None) -> list[VirtualKey]:
        """Return the keys of a tenant, newest first."""
        query = select(virtual_key)
        if project is not None:
            query = query.where(virtual_key.c.project_id == project)
        query = query.where(virtual_key.c.tenant_id == tenant)
        rows = await tx.rows(query.order_by(virtual_key.c.created_at.desc(), virtual_key.c.id.desc()))
        return [_key(row) for row in rows]

    async def get(self, tx: Transaction, tenant: str, key_id: str) -> VirtualKey | None:
        """Return one key of a tenant."""
        row = await tx.row(select(virtual_key).where(_one(tenant, key_id)))
        return _key(row) if row is not None else None

    async def revoke(self, tx: Transaction, tenant: str, key_id: str, at: datetime) -> None:
        """Revoke a key; the first revocation stays."""
        await tx.execute(
            update(virtual_key)
            .values(revoked_at=at, old_digest=None, old_until=None)
            .where(virtual_key.c.revoked_at.is_(None), _one(tenant, key_id))
        )

    async def rotate(
        self, tx: Transaction, tenant: str, key_id: str, *, digest: str, prefix: str, old_until: datetime
    ) -> None:
        """Give a key another secret; the present one is good until `old_until`."""
        await tx.execute(
            update(virtual_key)
            .values(digest=digest, prefix=prefix, old_digest=virtual_key.c.digest, old_until=old_until)
            .where(_one(tenant, key_id))
        )


def _one(tenant: str, key_id: str) -> Any:
    return and_(virtual_key.c.id == key_id, virtual_key.c.tenant_id == tenant)


def _key(row: RowMapping) -> VirtualKey:
    return VirtualKey(
        id=row["id"],
        tenant=row["tenant_id"],
        project=row["project_id"],
        name=row["name"],
        prefix=row["prefix"],
        models=tuple(row["models"]),
        routes=tuple(row["routes"]),
        scopes=frozenset(row["scopes"]),
        limits=KeyLimits(row["requests_per_minute"], row["tokens_per_minute"], row["concurrency"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        old_until=row["old_until"],
    )
