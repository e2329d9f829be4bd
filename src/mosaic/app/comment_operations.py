"""What every door can ask about comments and about who looks at what, as plain JSON: beside `Operations`."""

from collections.abc import Collection
from typing import Protocol

from mosaic.app.operations import Operations, require_text
from mosaic.app.plan_operations import PlanOperations
from mosaic.collaboration import SUBJECTS, Comments, Subject, SubjectKind, Viewer, open_presences
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Journal
from mosaic.storage import Database

__all__ = ["CommentOperations", "CommentRooms"]


class CommentRooms(Protocol):
    """The rooms that these verbs ask; the application has them."""

    database: Database
    journal: Journal
    bus: Bus
    operations: Operations
    plans: PlanOperations
    redactor: Redactor


class CommentOperations:
    """Comments and presence of one application. Every call is scoped; a subject is looked for before it is used."""

    def __init__(self, rooms: CommentRooms) -> None:
        self._rooms = rooms
        self._comments = Comments(rooms.database, rooms.journal)
        self._presences = open_presences(rooms.database, rooms.bus)

    async def subject(self, ctx: Context, given: JsonObject) -> Subject:
        """Return what ``{kind, id, plan_id}`` names, once it is known to be there for the caller.

        Raises:
            InvalidInput: if it is no subject.
            NotFound: if the tenant has no such thing.
        """
        kind, name = given.get("kind"), str(given.get("id") or "")
        require_text(given, "subject")
        if kind == "run":
            await self._rooms.operations.run(ctx, name)
            return Subject("run", name)
        if kind == "plan":
            return Subject("plan", str((await self._rooms.plans.plan(ctx, name))["id"]))
        if kind == "approval":
            return Subject(
                "approval", name, str((await self._rooms.operations.approval(ctx, name))["run_id"])
            )
        if kind == "item":
            plan = str(given.get("plan_id") or "")
            if not plan:
                raise InvalidInput("An item is found in its plan.", hint="Give its `plan_id` too.")
            return Subject("item", str((await self._rooms.plans.plan_item(ctx, plan, name))["id"]), plan)
        raise InvalidInput(
            f"There are no comments on {str(kind)[:40]!r}.", hint=f"One of: {', '.join(SUBJECTS)}."
        )

    async def add_comment(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Say something: `subject`, `body` (Markdown), and perhaps `reply_to`.

        Raises:
            NotFound: if there is no such subject, or no comment to reply to.
            InvalidInput: if the body cannot be kept: empty, too long, or with a secret in it.
        """
        body = self._checked(str(wanted.get("body") or ""))
        subject = await self.subject(ctx, wanted.get("subject") or {})
        reply_to = wanted.get("reply_to")
        return (await self._comments.add(ctx, subject, body, reply_to=reply_to)).to_json()

    async def comments(
        self, ctx: Context, subject: JsonObject, *, limit: int = 50, cursor: str | None = None
    ) -> JsonObject:
        """Return a page of the comments on a subject, oldest first."""
        found = await self.subject(ctx, subject)
        page = await self._comments.page(ctx, found, cursor=cursor, limit=limit)
        return {"items": [comment.to_json() for comment in page.items], "next_cursor": page.next_cursor}

    async def newest_comments(
        self, ctx: Context, kind: SubjectKind, ids: Collection[str], *, each: int
    ) -> dict[str, list[JsonObject]]:
        """Return the newest comments on things of one kind, at most `each` on one, oldest first; in one question."""
        found = await self._comments.newest(ctx, kind, ids, each=each)
        return {one: [comment.to_json() for comment in comments] for one, comments in found.items()}

    async def comment(self, ctx: Context, comment_id: str) -> JsonObject:
        """Return one comment."""
        return (await self._comments.get(ctx, comment_id)).to_json()

    async def edit_comment(
        self, ctx: Context, comment_id: str, wanted: JsonObject, *, base_revision: int | None = None
    ) -> JsonObject:
        """Replace the `body` of what the caller said.

        Raises:
            PermissionDenied: if somebody else said it.
            Conflict: if it has another revision than `base_revision`, or is deleted.
        """
        body = self._checked(str(wanted.get("body") or ""))
        return (await self._comments.edit(ctx, comment_id, body, base_revision=base_revision)).to_json()

    async def delete_comment(self, ctx: Context, comment_id: str) -> JsonObject:
        """Remove what the caller said; the journal keeps that it was said."""
        return (await self._comments.delete(ctx, comment_id)).to_json()

    def _checked(self, body: str) -> str:
        require_text(body, "comment")
        if self._rooms.redactor.text(body) != body:
            raise InvalidInput(
                "A comment holds no secrets: everybody who works here, agents too, would see them.",
                hint="Name the secret instead of writing it.",
            )
        return body

    async def look(self, ctx: Context, viewer: str, given: JsonObject | None) -> None:
        """Say what a viewer looks at now; None when it is gone.

        Raises:
            NotFound: if the tenant has no such thing.
        """
        if given is None:
            await self._presences.leave(ctx, viewer)
        else:
            await self._presences.look(ctx, viewer, await self.subject(ctx, given))

    async def keep(self, ctx: Context) -> None:
        """Say that the viewers of this process still look; call it at least every 20 s while there are any."""
        await self._presences.keep(ctx)

    async def viewers_by_id(self, ctx: Context, ids: Collection[str]) -> dict[str, list[JsonObject]]:
        """Return who looks at each of these things or at something inside it, in one question."""
        found = await self._presences.viewers(ctx, ids)
        return {
            one: [viewer.to_json() for viewer in found if one in (viewer.subject.id, viewer.subject.place)]
            for one in ids
        }

    async def viewers(self, ctx: Context, ids: Collection[str]) -> list[JsonObject]:
        """Return who looks at the things of these ids, or at something inside them."""
        found: list[Viewer] = await self._presences.viewers(ctx, ids)
        return [viewer.to_json() for viewer in found]
