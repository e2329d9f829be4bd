"""Every query on runs and artifacts. The tenant is applied here, last, on all of them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, and_, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.context import Context
from mosaic.core.values import JsonObject, JsonValue
from mosaic.runs.models import artifact, run, workflow_definition
from mosaic.runs.schemas import TERMINAL, Artifact, Run, RunStatus
from mosaic.storage import Transaction, Write

__all__ = ["DefinitionRepository", "RunRepository"]


class DefinitionRepository:
    """Which definitions a tenant may load."""

    def __init__(self, dialect: str) -> None:
        self._insert = sqlite.insert if dialect == "sqlite" else postgresql.insert

    async def add(
        self, tx: Transaction, ctx: Context, *, content_hash: str, name: str, version: str, at: datetime
    ) -> None:
        """Let the tenant load a definition; does nothing when it may already, or somebody else just says so too."""
        values = {
            "tenant_id": ctx.tenant, "content_hash": content_hash, "name": name, "version": version[:64],
            "created_at": at,
        }  # fmt: skip
        await tx.execute(self._insert(workflow_definition).values(values).on_conflict_do_nothing())

    async def hashes(self, tx: Transaction, ctx: Context, *, limit: int) -> list[tuple[str, str]]:
        """Return the tenant's definitions as (name, content hash), the newest first."""
        known = workflow_definition.c
        query = select(known.name, known.content_hash).order_by(known.created_at.desc(), known.content_hash)
        rows = await tx.rows(query.where(known.tenant_id == ctx.tenant).limit(limit))
        return [(row["name"], row["content_hash"]) for row in rows]

    async def has(self, tx: Transaction, ctx: Context, content_hash: str) -> bool:
        """Say whether the tenant may load a definition."""
        query = select(workflow_definition.c.name).where(
            workflow_definition.c.content_hash == content_hash, workflow_definition.c.tenant_id == ctx.tenant
        )
        return await tx.scalar(query) is not None


class RunRepository:
    """Rows of runs, scoped by tenant."""

    async def insert(self, tx: Transaction, new: Run) -> None:
        """Store a new run."""
        await tx.execute(
            insert(run).values(
                tenant_id=new.tenant,
                id=new.id,
                project_id=new.project,
                workflow=new.workflow,
                version=new.version[:64],
                definition_hash=new.definition_hash,
                status=new.status.value,
                inputs=new.inputs,
                options=new.options,
                workspace=new.workspace,
                root_run_id=new.root_run_id,
                parent_run_id=new.parent_run_id,
                forked_from=new.forked_from,
                created_at=new.created_at,
            )
        )

    async def get(self, tx: Transaction, ctx: Context, run_id: str) -> Run | None:
        """Return one run of the tenant."""
        row = await tx.row(select(run).where(run.c.id == run_id, run.c.tenant_id == ctx.tenant))
        return None if row is None else _run(row)

    async def many(self, tx: Transaction, ctx: Context, run_ids: Collection[str]) -> list[Run]:
        """Return those of the tenant's runs that there are, in no order."""
        query = select(run).where(run.c.id.in_(run_ids), run.c.tenant_id == ctx.tenant)
        return [_run(row) for row in await tx.rows(query)]

    async def page(
        self,
        tx: Transaction,
        ctx: Context,
        *,
        statuses: Sequence[RunStatus] = (),
        workflow: str | None = None,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> list[Run]:
        """Return runs of the tenant, newest first, starting after `before` (creation time, id)."""
        query = select(run).order_by(run.c.created_at.desc(), run.c.id.desc()).limit(limit)
        if statuses:
            query = query.where(run.c.status.in_([status.value for status in statuses]))
        if workflow:
            query = query.where(run.c.workflow == workflow)
        if before:
            moment, identifier = before
            query = query.where(
                or_(run.c.created_at < moment, and_(run.c.created_at == moment, run.c.id < identifier))
            )
        return [_run(row) for row in await tx.rows(query.where(run.c.tenant_id == ctx.tenant))]

    async def children(self, tx: Transaction, ctx: Context, run_id: str) -> list[Run]:
        """Return the runs that `run_id` started."""
        query = select(run).where(run.c.parent_run_id == run_id, run.c.tenant_id == ctx.tenant)
        return [_run(row) for row in await tx.rows(query)]

    async def unfinished(self, tx: Transaction, *, after: tuple[str, str], limit: int) -> list[Run]:
        """Return runs that have not ended, of all tenants, by tenant and id from `after`: for reconciliation."""
        tenant, identifier = after
        query = (
            select(run)
            .where(
                run.c.status.not_in([status.value for status in TERMINAL]),
                or_(run.c.tenant_id > tenant, and_(run.c.tenant_id == tenant, run.c.id > identifier)),
            )
            .order_by(run.c.tenant_id, run.c.id)
            .limit(limit)
        )
        return [_run(row) for row in await tx.rows(query)]

    def mark(self, ctx: Context, run_id: str, **values: Any) -> Write:
        """Return the write that changes a run which has not ended; it changes nothing once the run has."""
        return (
            update(run)
            .where(
                run.c.id == run_id,
                run.c.status.not_in([status.value for status in TERMINAL]),
                run.c.tenant_id == ctx.tenant,
            )
            .values(**values)
        )

    def set_workspace(self, ctx: Context, run_id: str, workspace: JsonObject) -> Write:
        """Return the write that records where the run works."""
        return self.mark(ctx, run_id, workspace=workspace)

    def finish(
        self,
        ctx: Context,
        run_id: str,
        *,
        status: RunStatus,
        outputs: JsonValue,
        error: JsonObject | None,
        at: datetime,
    ) -> Write:
        """Return the write that ends a run."""
        return self.mark(ctx, run_id, status=status.value, outputs=outputs, error=error, finished_at=at)

    def reopen(self, ctx: Context, run_id: str) -> Write:
        """Return the write that makes a failed run a running one again."""
        return (
            update(run)
            .where(run.c.id == run_id, run.c.status == RunStatus.FAILED.value, run.c.tenant_id == ctx.tenant)
            .values(status=RunStatus.RUNNING.value, error=None, finished_at=None)
        )

    def add_artifact(self, ctx: Context, new: Artifact) -> Write:
        """Return the write that stores an artifact."""
        return insert(artifact).values(
            tenant_id=ctx.tenant,
            id=new.id,
            run_id=new.run_id,
            name=new.name,
            media_type=new.media_type,
            digest=new.digest,
            size_bytes=new.size_bytes,
            created_at=new.created_at,
        )

    async def artifacts(self, tx: Transaction, ctx: Context, run_ids: Collection[str]) -> list[Artifact]:
        """Return what these runs kept, oldest first."""
        query = select(artifact).where(artifact.c.run_id.in_(run_ids)).order_by(artifact.c.created_at)
        return [_artifact(row) for row in await tx.rows(query.where(artifact.c.tenant_id == ctx.tenant))]

    async def artifact(self, tx: Transaction, ctx: Context, artifact_id: str) -> Artifact | None:
        """Return one artifact of the tenant."""
        query = select(artifact).where(artifact.c.id == artifact_id, artifact.c.tenant_id == ctx.tenant)
        row = await tx.row(query)
        return None if row is None else _artifact(row)


def _run(row: RowMapping) -> Run:
    return Run(
        id=row["id"],
        tenant=row["tenant_id"],
        project=row["project_id"],
        workflow=row["workflow"],
        version=row["version"],
        definition_hash=row["definition_hash"],
        status=RunStatus(row["status"]),
        inputs=row["inputs"],
        options=row["options"],
        created_at=row["created_at"],
        outputs=row["outputs"],
        error=row["error"],
        workspace=row["workspace"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        root_run_id=row["root_run_id"],
        parent_run_id=row["parent_run_id"],
        forked_from=row["forked_from"],
    )


def _artifact(row: RowMapping) -> Artifact:
    return Artifact(
        id=row["id"],
        run_id=row["run_id"],
        name=row["name"],
        media_type=row["media_type"],
        digest=row["digest"],
        size_bytes=row["size_bytes"],
        created_at=row["created_at"],
    )
