"""Every query on comments and viewers. The tenant is applied here, last, on all of them."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, case, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.collaboration.models import comment, viewer
from mosaic.collaboration.schemas import Comment, Subject, SubjectKind, Viewer
from mosaic.storage import DialectName, Transaction

__all__ = ["CommentRepository", "ViewerRepository"]


class CommentRepository:
    """Rows of comments, scoped by tenant."""

    async def add(self, tx: Transaction, new: Comment) -> None:
        """Write a new comment."""
        await tx.execute(
            insert(comment).values(
                tenant_id=new.tenant, id=new.id, project_id=new.project, subject_kind=new.subject.kind,
                subject_id=new.subject.id, place=new.subject.place, reply_to=new.reply_to, body=new.body,
                author=new.author, revision=new.revision, created_at=new.created_at,
            )
        )  # fmt: skip

    async def get(self, tx: Transaction, tenant: str, comment_id: str) -> Comment | None:
        """Return one comment."""
        row = await tx.row(select(comment).where(comment.c.id == comment_id, comment.c.tenant_id == tenant))
        return _comment(row) if row is not None else None

    async def page(
        self, tx: Transaction, tenant: str, subject: Subject, *, after: str | None, limit: int
    ) -> list[Comment]:
        """Return comments of a subject in the order they were written, after an id."""
        query = (
            select(comment)
            .where(comment.c.subject_kind == subject.kind, comment.c.subject_id == subject.id)
            .order_by(comment.c.id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(comment.c.id > after)
        return [_comment(row) for row in await tx.rows(query.where(comment.c.tenant_id == tenant))]

    async def newest(
        self, tx: Transaction, tenant: str, kind: SubjectKind, ids: Collection[str], *, each: int
    ) -> list[Comment]:
        """Return the newest comments of many subjects of one kind, at most `each` of one, oldest first."""
        place = func.row_number().over(partition_by=comment.c.subject_id, order_by=comment.c.id.desc())
        ranked = (
            select(comment, place.label("place_from_end"))
            .where(
                comment.c.subject_kind == kind, comment.c.subject_id.in_(ids), comment.c.tenant_id == tenant
            )
            .subquery()
        )
        query = select(ranked).where(ranked.c.place_from_end <= each).order_by(ranked.c.id)
        return [_comment(row) for row in await tx.rows(query)]

    async def change(
        self, tx: Transaction, tenant: str, comment_id: str, *, revision: int, values: dict[str, Any]
    ) -> bool:
        """Set fields of a comment that is still at `revision`; return whether it was."""
        done = await tx.execute(
            update(comment)
            .where(comment.c.id == comment_id, comment.c.revision == revision, comment.c.deleted_at.is_(None))
            .where(comment.c.tenant_id == tenant)
            .values(**values)
        )
        return bool(done.rowcount)


class ViewerRepository:
    """Rows of viewers, scoped by tenant."""

    def __init__(self, dialect: DialectName) -> None:
        self._insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert

    async def put(self, tx: Transaction, tenant: str, node: str, new: Viewer) -> None:
        """Write what a viewer looks at; since when it does so stays while that is the same."""
        values = {
            "node": node, "actor": new.actor, "subject_kind": new.subject.kind, "subject_id": new.subject.id,
            "place": new.subject.place, "seen_at": new.since,
        }  # fmt: skip
        written = self._insert(viewer).values(tenant_id=tenant, id=new.id, since=new.since, **values)
        same = viewer.c.subject_id == new.subject.id
        await tx.execute(
            written.on_conflict_do_update(
                index_elements=[viewer.c.tenant_id, viewer.c.id],
                set_={**values, "since": case((same, viewer.c.since), else_=written.excluded.since)},
            )
        )

    async def remove(self, tx: Transaction, tenant: str, viewer_id: str) -> bool:
        """Remove a viewer; return whether there was one."""
        done = await tx.execute(delete(viewer).where(viewer.c.id == viewer_id, viewer.c.tenant_id == tenant))
        return bool(done.rowcount)

    async def forget(self, tx: Transaction, tenant: str, *, before: datetime) -> None:
        """Remove viewers of nodes that were not heard of since."""
        await tx.execute(delete(viewer).where(viewer.c.seen_at < before, viewer.c.tenant_id == tenant))

    async def touch(self, tx: Transaction, tenant: str, node: str, *, at: datetime) -> None:
        """Note that a node still lives."""
        await tx.execute(
            update(viewer).where(viewer.c.node == node, viewer.c.tenant_id == tenant).values(seen_at=at)
        )

    async def looking(
        self, tx: Transaction, tenant: str, ids: Collection[str], *, since: datetime
    ) -> list[Viewer]:
        """Return the viewers of things, or of something inside them, the longest first."""
        query = (
            select(viewer)
            .where(or_(viewer.c.subject_id.in_(ids), viewer.c.place.in_(ids)), viewer.c.seen_at >= since)
            .order_by(viewer.c.since, viewer.c.id)
        )
        return [
            Viewer(
                row["id"],
                row["actor"],
                Subject(row["subject_kind"], row["subject_id"], row["place"]),
                row["since"],
            )
            for row in await tx.rows(query.where(viewer.c.tenant_id == tenant))
        ]


def _comment(row: RowMapping) -> Comment:
    edited: datetime | None = row["edited_at"]
    return Comment(
        tenant=row["tenant_id"],
        id=row["id"],
        project=row["project_id"],
        subject=Subject(row["subject_kind"], row["subject_id"], row["place"]),
        body=row["body"],
        author=row["author"],
        created_at=row["created_at"],
        reply_to=row["reply_to"],
        revision=row["revision"],
        edited_at=edited,
        deleted_at=row["deleted_at"],
    )
