"""Every query on feedback, of one tenant at a time."""

import sqlalchemy
from sqlalchemy import RowMapping

from mosaic.feedback.models import feedback
from mosaic.feedback.schemas import Feedback
from mosaic.storage import Transaction

__all__ = ["FeedbackRepository"]

_row = feedback.c
_READ = (
    _row.id, _row.project_id, _row.generation_id, _row.run_id, _row.rating, _row.comments, _row.issues,
    _row.created_at, _row.created_by,
)  # fmt: skip


class FeedbackRepository:
    """Reads and writes feedback."""

    async def add(self, tx: Transaction, tenant: str, said: Feedback) -> None:
        """Keep what somebody said."""
        await tx.execute(
            feedback.insert().values(
                tenant_id=tenant, id=said.id, project_id=said.project, generation_id=said.generation_id,
                run_id=said.run_id, rating=said.rating, comments=said.comments, issues=list(said.issues),
                created_at=said.created_at, created_by=said.created_by,
            )
        )  # fmt: skip

    async def page(
        self,
        tx: Transaction,
        tenant: str,
        *,
        generation_id: str | None,
        project: str | None,
        before: str | None,
        limit: int,
    ) -> list[Feedback]:
        """Return feedback, newest first, older than the id `before`."""
        query = (
            sqlalchemy.select(*_READ).where(_row.tenant_id == tenant).order_by(_row.id.desc()).limit(limit)
        )
        if generation_id is not None:
            query = query.where(_row.generation_id == generation_id)
        if project is not None:
            query = query.where(_row.project_id == project)
        if before is not None:
            query = query.where(_row.id < before)
        return [_feedback(found) for found in await tx.rows(query)]


def _feedback(found: RowMapping) -> Feedback:
    values = dict(found)
    return Feedback(project=values.pop("project_id"), issues=tuple(values.pop("issues")), **values)
