"""Plans over a real database."""

from typing import Any

import pytest

from mosaic.core.context import Context
from mosaic.core.values import JsonObject
from mosaic.events import Journal
from mosaic.planning import ChangeSet, Picture, Plans, read_operations
from mosaic.storage import Database


@pytest.fixture
def plans(database: Database, journal: Journal) -> Plans:
    return Plans(database, journal)


SMALL: list[JsonObject] = [
    {"op": "add", "ref": "epic", "item": {"title": "Shop"}},
    {"op": "add", "ref": "feature", "parent": "epic", "item": {"title": "Basket"}},
    {"op": "add", "ref": "story", "parent": "feature", "item": {"title": "Totals"}},
    {
        "op": "add", "ref": "a", "parent": "story",
        "item": {"title": "Model", "estimate": {"hours": 4, "usd": 2, "tokens": 100}},
    },
    {
        "op": "add", "ref": "b", "parent": "story", "depends_on": ["a"],
        "item": {"title": "Compute", "estimate": {"hours": 6, "usd": 3}},
    },
    {
        "op": "add", "ref": "c", "parent": "story", "depends_on": ["a"],
        "item": {"title": "Test", "estimate": {"hours": 2}},
    },
    {"op": "add", "ref": "other", "parent": "feature", "item": {"title": "Stock"}},
    {
        "op": "add", "ref": "d", "parent": "other", "depends_on": ["story"],
        "item": {"title": "Hold", "estimate": {"hours": 3}},
    },
]  # fmt: skip
"""An epic, a feature, two stories: T.001.01.01.01 to .03, then T.001.01.02.01, which waits for the whole first story."""

A, B, C, D = "T.001.01.01.01", "T.001.01.01.02", "T.001.01.01.03", "T.001.01.02.01"


async def small(plans: Plans, ctx: Context, **more: Any) -> Picture:
    return await plans.create(ctx, name="Small", operations=read_operations(SMALL), **more)


async def change(plans: Plans, ctx: Context, plan: str, *operations: JsonObject, **more: Any) -> ChangeSet:
    return await plans.change(ctx, plan, read_operations(list(operations)), **more)


def done(key: str) -> JsonObject:
    return {"op": "update", "item": key, "set": {"status": "done"}}


def statuses(picture: Picture) -> dict[str, str]:
    return {item.key: picture.standings[item.id].status for item in picture.tree.in_order()}
