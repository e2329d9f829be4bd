"""Feedback is kept for its tenant, shown in pages, and journaled; what is wrong with it is named."""

from dataclasses import replace

import pytest

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput
from mosaic.core.redaction import Redactor
from mosaic.events import Journal
from mosaic.feedback import FeedbackService, NewFeedback
from mosaic.storage import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def service(database: Database, journal: Journal, redactor: Redactor) -> FeedbackService:
    return FeedbackService(database, journal, redactor=redactor)


@pytest.mark.requirement("MOZ-120")
async def test_feedback_is_kept_paged_and_journaled_for_its_tenant_only(
    service: FeedbackService, journal: Journal, ctx: Context
) -> None:
    given = [
        await service.give(ctx, NewFeedback(f"gen-{number}", 1 + number % 5, issues=("slow",)))
        for number in range(5)
    ]
    other = replace(ctx, tenant="t2")
    await service.give(other, NewFeedback("gen-0", 1))
    seen, cursor = [], None
    while True:
        page = await service.page(ctx, limit=2, cursor=cursor)
        seen += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert sorted(item.id for item in seen) == sorted(item.id for item in given)
    assert [item.id for item in (await service.page(ctx, generation_id="gen-3")).items] == [given[3].id]
    assert (await service.page(ctx, project="elsewhere")).items == ()
    events = await journal.read(ctx, types=["feedback.given"])
    assert [event.data["feedback"] for event in events] == [item.id for item in given]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"rating": 0}, "rating"),
        ({"rating": 6}, "rating"),
        ({"generation_id": ""}, "generation_id"),
        ({"comments": "x" * 10_001}, "comments"),
        ({"issues": ("",)}, "issues"),
        ({"issues": ("x",) * 51}, "issues"),
        ({"comments": "\0"}, ""),
        ({"comments": "\ud800"}, ""),
    ],
)
async def test_what_is_wrong_with_feedback_is_named(
    redactor: Redactor, ctx: Context, wrong: dict[str, object], place: str
) -> None:
    service = FeedbackService(None, None, redactor=redactor)  # type: ignore[arg-type]  # refused before it is kept
    with pytest.raises(InvalidInput) as caught:
        await service.give(ctx, NewFeedback(**{"generation_id": "g", "rating": 3, **wrong}))  # type: ignore[arg-type]
    assert [problem.path for problem in caught.value.problems] == [place]
