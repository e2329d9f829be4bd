"""Comments: written, edited, deleted and read; each change is journaled in the transaction that makes it."""

from collections.abc import Collection
from dataclasses import replace

from mosaic.collaboration.repository import CommentRepository
from mosaic.collaboration.schemas import Comment, Subject, SubjectKind
from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from mosaic.core.ids import id_prefix, new_id
from mosaic.core.page import Page
from mosaic.core.values import JsonObject
from mosaic.events import Journal, NewEvent
from mosaic.storage import Database

__all__ = ["LONGEST_BODY", "Comments"]

LONGEST_BODY = 10_000
"""The longest comment, in characters."""


class Comments:
    """The comments of every tenant; each verb is scoped by the caller's.

    Whether the subject exists, and whether the caller may see it, is for who calls this to know.
    """

    def __init__(self, database: Database, journal: Journal, *, clock: Clock = now) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._rows = CommentRepository()

    async def add(self, ctx: Context, subject: Subject, body: str, *, reply_to: str | None = None) -> Comment:
        """Write a comment, and journal ``comment.created``.

        Raises:
            InvalidInput: if the body is empty or too long, or the comment that is answered is about something else.
            NotFound: if there is no comment `reply_to`.
        """
        new = Comment(
            tenant=ctx.tenant,
            id=new_id("cmt"),
            project=ctx.project,
            subject=subject,
            body=_checked(body),
            author=str(ctx.actor),
            created_at=self._clock(),
            reply_to=reply_to,
        )
        async with self._database.transaction() as tx:
            if reply_to is not None:
                answered = await self._rows.get(tx, ctx.tenant, reply_to)
                if answered is None:
                    raise _unknown(reply_to)
                if (answered.subject.kind, answered.subject.id) != (subject.kind, subject.id):
                    raise InvalidInput(
                        f"The comment {reply_to} is about another {answered.subject.kind}.",
                        hint="A reply is about the same thing as the comment it answers.",
                    )
            await self._rows.add(tx, new)
            await self._journal.append(tx, ctx, [_event("created", new)])
        return new

    async def get(self, ctx: Context, comment_id: str) -> Comment:
        """Return one comment.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.get(tx, ctx.tenant, comment_id)
        if found is None:
            raise _unknown(comment_id)
        return found

    async def page(
        self, ctx: Context, subject: Subject, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Comment]:
        """Return a page of the comments on a subject, in the order they were written; deleted ones without body.

        Raises:
            InvalidInput: if the cursor is not one of ours.
        """
        if cursor is not None and id_prefix(cursor) != "cmt":
            raise InvalidInput(f"{cursor[:80]!r} is not a cursor of this listing.")
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.page(tx, ctx.tenant, subject, after=cursor, limit=limit + 1)
        return Page(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    async def newest(
        self, ctx: Context, kind: SubjectKind, ids: Collection[str], *, each: int = 20
    ) -> dict[str, tuple[Comment, ...]]:
        """Return the newest comments on many subjects of one kind by subject, in one query, oldest first."""
        async with self._database.transaction(read_only=True) as tx:
            found = await self._rows.newest(tx, ctx.tenant, kind, ids, each=each)
        return {one: tuple(item for item in found if item.subject.id == one) for one in ids}

    async def edit(
        self, ctx: Context, comment_id: str, body: str, *, base_revision: int | None = None
    ) -> Comment:
        """Replace what the caller said, and journal ``comment.edited``; the same words change nothing.

        Raises:
            NotFound: if the tenant has no such comment.
            PermissionDenied: if somebody else said it.
            Conflict: if it is deleted, or has another revision than `base_revision` by now.
            InvalidInput: if the body is empty or too long.
        """
        text, moment = _checked(body), self._clock()
        async with self._database.transaction() as tx:
            found = _own(ctx, await self._rows.get(tx, ctx.tenant, comment_id), comment_id, "edit")
            if base_revision is not None and base_revision != found.revision:
                raise _changed(found)
            if text == found.body:
                return found
            edited = replace(found, body=text, revision=found.revision + 1, edited_at=moment)
            values: JsonObject = {"body": text, "revision": edited.revision, "edited_at": moment}
            if not await self._rows.change(
                tx, ctx.tenant, comment_id, revision=found.revision, values=values
            ):
                raise _changed(found)
            await self._journal.append(tx, ctx, [_event("edited", edited)])
        return edited

    async def delete(self, ctx: Context, comment_id: str) -> Comment:
        """Remove what the caller said, and journal ``comment.deleted``; its place stays, for the replies to it.

        Deleting it twice is the same as once.

        Raises:
            NotFound: if the tenant has no such comment.
            PermissionDenied: if somebody else said it.
            Conflict: if it was edited this very moment.
        """
        moment = self._clock()
        async with self._database.transaction() as tx:
            stored = await self._rows.get(tx, ctx.tenant, comment_id)
            if stored is not None and stored.deleted_at is not None and stored.author == str(ctx.actor):
                return stored
            found = _own(ctx, stored, comment_id, "delete")
            gone = replace(found, body="", deleted_at=moment)
            if not await self._rows.change(
                tx, ctx.tenant, comment_id, revision=found.revision, values={"body": "", "deleted_at": moment}
            ):
                raise _changed(found)
            await self._journal.append(tx, ctx, [_event("deleted", gone)])
        return gone


def _event(happened: str, about: Comment) -> NewEvent:
    shown = about.to_json()
    data = {
        name: shown[name]
        for name in ("subject", "plan_id", "project", "author", "reply_to", "revision", "body")
    }
    return NewEvent(f"comment.{happened}", {"comment": about.id, **data}, run_id=about.subject.run_id)


def _checked(body: str) -> str:
    text = body.strip()
    if not text:
        raise InvalidInput("A comment says something.", hint="Give a `body`.")
    if len(text) > LONGEST_BODY:
        raise InvalidInput(
            f"The comment is {len(text)} characters long; the longest is {LONGEST_BODY}.",
            hint="Attach a file, or say it in several comments.",
        )
    return text


def _own(ctx: Context, found: Comment | None, comment_id: str, verb: str) -> Comment:
    """Return a comment that the caller may change.

    Raises:
        NotFound, PermissionDenied, Conflict: if it may not.
    """
    if found is None:
        raise _unknown(comment_id)
    if found.author != str(ctx.actor):
        raise PermissionDenied(
            f"{found.author} said this; only the author may {verb} it.", hint="Write a reply instead."
        )
    if found.deleted_at is not None:
        raise Conflict(f"The comment {comment_id} is deleted.")
    return found


def _changed(found: Comment) -> Conflict:
    return Conflict(
        f"The comment {found.id} has changed in the meantime.",
        hint="Read it again, then decide.",
        revision=found.revision,
    )


def _unknown(comment_id: str) -> NotFound:
    return NotFound(f"There is no comment {comment_id[:80]}.")
