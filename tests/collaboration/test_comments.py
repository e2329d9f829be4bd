"""Comments: who may say and change what, what the journal keeps, and that tenants see nothing of each other."""

import asyncio

import pytest

from mosaic.collaboration import LONGEST_BODY, Comments, Subject
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from mosaic.core.redaction import Redactor
from mosaic.events import Journal
from mosaic.storage import Database

pytestmark = pytest.mark.anyio

RUN = Subject("run", "run_1")


@pytest.fixture
def comments(database: Database, journal: Journal) -> Comments:
    return Comments(database, journal)


async def test_a_comment_is_kept_journaled_and_read_in_order(
    comments: Comments, journal: Journal, ctx: Context
) -> None:
    first = await comments.add(ctx, RUN, "  **Why** <script>?  ")
    reply = await comments.add(ctx, RUN, "Because.", reply_to=first.id)
    await comments.add(ctx, Subject("approval", "apr_1", "run_1"), "Elsewhere.")
    await comments.add(ctx, Subject("item", "item_1", "plan_1"), "In a plan.")
    page = await comments.page(ctx, RUN, limit=1)
    rest = await comments.page(ctx, RUN, cursor=page.next_cursor)
    assert [*page.items, *rest.items] == [first, reply]
    assert (first.body, rest.next_cursor) == ("**Why** <script>?", None)
    events = await journal.read(ctx)
    assert [event.type for event in events] == ["comment.created"] * 4
    # In the journal of the run, that of the approval too; an item's names its plan.
    assert [event.run_id for event in events] == ["run_1", "run_1", "run_1", None]
    assert events[1].data["reply_to"] == first.id
    assert events[3].data["plan_id"] == "plan_1"
    newest = await comments.newest(ctx, "run", ["run_1", "run_2"], each=1)
    assert newest == {"run_1": (reply,), "run_2": ()}


async def test_only_who_said_it_changes_it(comments: Comments, journal: Journal, ctx: Context) -> None:
    said = await comments.add(ctx, RUN, "Yes.")
    other = ctx.acting_as(Actor("user", "u2"))
    with pytest.raises(PermissionDenied, match="user:u1 said this"):
        await comments.edit(other, said.id, "No.")
    with pytest.raises(PermissionDenied):
        await comments.delete(other, said.id)
    edited = await comments.edit(ctx, said.id, "No.", base_revision=1)
    assert (edited.body, edited.revision) == ("No.", 2)
    assert await comments.edit(ctx, said.id, "No.") == edited  # the same words are no edit
    with pytest.raises(Conflict, match="changed in the meantime"):
        await comments.edit(ctx, said.id, "Perhaps.", base_revision=1)
    gone = await comments.delete(ctx, said.id)
    assert (gone.body, await comments.delete(ctx, said.id)) == ("", gone)
    with pytest.raises(Conflict, match="is deleted"):
        await comments.edit(ctx, said.id, "Yes.")
    assert [event.type for event in await journal.read(ctx)] == [
        "comment.created", "comment.edited", "comment.deleted",
    ]  # fmt: skip


async def test_of_two_edits_at_once_one_wins(comments: Comments, ctx: Context) -> None:
    said = await comments.add(ctx, RUN, "0")
    edits = (comments.edit(ctx, said.id, text, base_revision=1) for text in ("1", "2", "3"))
    results = await asyncio.gather(*edits, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Comment", "Conflict", "Conflict"]
    assert (await comments.get(ctx, said.id)).revision == 2


async def test_a_tenant_sees_nothing_of_another(comments: Comments, ctx: Context) -> None:
    said = await comments.add(ctx, RUN, "Ours.")
    foreign = Context("t2", "p1", Actor("user", "u1"))
    assert (await comments.page(foreign, RUN)).items == ()
    assert await comments.newest(foreign, "run", ["run_1"]) == {"run_1": ()}
    for attempt in (
        comments.get(foreign, said.id),
        comments.edit(foreign, said.id, "Theirs."),
        comments.delete(foreign, said.id),
        comments.add(foreign, RUN, "Theirs.", reply_to=said.id),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_what_is_no_comment_is_refused(comments: Comments, journal: Journal, ctx: Context) -> None:
    said = await comments.add(ctx, RUN, "x" * LONGEST_BODY)
    for body in ("", " \n ", "x" * (LONGEST_BODY + 1)):
        with pytest.raises(InvalidInput):
            await comments.add(ctx, RUN, body)
    with pytest.raises(InvalidInput, match="about another run"):
        await comments.add(ctx, Subject("run", "run_2"), "Reply.", reply_to=said.id)
    with pytest.raises(InvalidInput, match="not a cursor"):
        await comments.page(ctx, RUN, cursor="run_1")
    assert len(await journal.read(ctx)) == 1


async def test_the_journal_masks_secrets_in_comments(
    comments: Comments, journal: Journal, ctx: Context, redactor: Redactor
) -> None:
    redactor.add("hunter2-hunter2")
    await comments.add(ctx, RUN, "It is hunter2-hunter2.")
    assert "hunter2" not in str((await journal.read(ctx))[0].data)
