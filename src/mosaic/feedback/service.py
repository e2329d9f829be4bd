"""Takes feedback and shows it."""

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.ids import new_id
from mosaic.core.page import Page
from mosaic.core.redaction import Redactor
from mosaic.events import Journal, NewEvent
from mosaic.feedback.repository import FeedbackRepository
from mosaic.feedback.schemas import Feedback, NewFeedback
from mosaic.storage import Database

__all__ = ["FeedbackService"]

_LOWEST, _HIGHEST = 1, 5
_LONGEST_ID, _LONGEST_COMMENTS, _LONGEST_ISSUE, _MOST_ISSUES = 200, 10_000, 500, 50


class FeedbackService:
    """Feedback of every tenant, one tenant at a time.

    Args:
        database: where it is kept.
        journal: is told of it.
        redactor: masks secrets in what people write.
        clock: the time.
    """

    def __init__(
        self, database: Database, journal: Journal, *, redactor: Redactor, clock: Clock = now
    ) -> None:
        self._database = database
        self._journal = journal
        self._redactor = redactor
        self._clock = clock
        self._rows = FeedbackRepository()

    async def give(self, ctx: Context, said: NewFeedback) -> Feedback:
        """Keep what somebody says.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        if problems := _problems(said):
            raise InvalidInput("The feedback is not valid.", problems=problems)
        kept = Feedback(
            id=new_id("fbk"),
            project=ctx.project,
            generation_id=said.generation_id,
            run_id=said.run_id,
            rating=said.rating,
            comments=self._redactor.text(said.comments) if said.comments else None,
            issues=tuple(self._redactor.text(issue) for issue in said.issues),
            created_at=self._clock(),
            created_by=str(ctx.actor),
        )
        data = {
            "feedback": kept.id,
            "generation_id": kept.generation_id,
            "rating": kept.rating,
            "comments": kept.comments,
            "issues": list(kept.issues),
        }
        async with self._database.transaction() as tx:
            await self._rows.add(tx, ctx.tenant, kept)
            await self._journal.append(tx, ctx, [NewEvent("feedback.given", data, run_id=said.run_id)])
        return kept

    async def page(
        self,
        ctx: Context,
        *,
        generation_id: str | None = None,
        project: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Feedback]:
        """Return a page of feedback, newest first."""
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.page(
                tx,
                ctx.tenant,
                generation_id=generation_id,
                project=project,
                before=cursor,
                limit=limit + 1,
            )
        more = len(found) > limit
        return Page(tuple(found[:limit]), found[limit - 1].id if more else None)


def _problems(said: NewFeedback) -> list[Problem]:
    found = []
    if not 1 <= len(said.generation_id) <= _LONGEST_ID:
        found.append(Problem(f"give 1 to {_LONGEST_ID} characters", path="generation_id"))
    if not _LOWEST <= said.rating <= _HIGHEST:
        found.append(Problem(f"give {_LOWEST} to {_HIGHEST}", path="rating"))
    if said.comments is not None and len(said.comments) > _LONGEST_COMMENTS:
        found.append(Problem(f"give at most {_LONGEST_COMMENTS} characters", path="comments"))
    if len(said.issues) > _MOST_ISSUES:
        found.append(Problem(f"name at most {_MOST_ISSUES}", path="issues"))
    elif any(not 1 <= len(issue) <= _LONGEST_ISSUE for issue in said.issues):
        found.append(Problem(f"each has 1 to {_LONGEST_ISSUE} characters", path="issues"))
    texts = (said.generation_id, said.comments or "", *said.issues)
    if any("\0" in text or (not text.isascii() and not _encodable(text)) for text in texts):
        found.append(Problem("it holds characters that are none"))
    return found


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
