"""What waits for what across plans and projects, and changes made at the same moment."""

import asyncio

import pytest

from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput
from mosaic.planning import Picture, Plans, StalePlan
from tests.planning.conftest import A, B, D, change, done, small, statuses

pytestmark = pytest.mark.anyio


async def two(plans: Plans, ctx: Context) -> tuple[Picture, Picture]:
    return await small(plans, ctx), await small(plans, ctx, project="other")


def name(picture: Picture, key: str) -> str:
    return f"{picture.plan.id}:{key}"


@pytest.mark.requirement("ENT-05")
async def test_an_item_of_one_project_waits_for_one_of_another(plans: Plans, ctx: Context) -> None:
    here, there = await two(plans, ctx)
    linked = await change(plans, ctx, here.plan.id, {"op": "link", "item": A, "depends_on": name(there, D)})
    assert [one["key"] for one in linked.consequences["blocked"]] == [A]
    assert linked.consequences["finish_hours"] == {"before": 13.0, "after": 26.0}
    after = await plans.picture(ctx, here.plan.id)
    assert statuses(after)[A] == "todo"
    assert [after.name(one)["plan"] for one in after.standings[after.find(A)].waits_for] == [there.plan.id]
    graph = after.graph_json(0)
    assert [(one["plan"], one["key"]) for one in graph["outside"]] == [(there.plan.id, D)]
    await change(plans, ctx, there.plan.id, *(done(key) for key in (A, B, "T.001.01.01.03", D)))
    assert statuses(await plans.picture(ctx, here.plan.id))[A] == "ready"


@pytest.mark.requirement("ENT-05")
async def test_a_circle_through_another_project_is_refused_and_named(plans: Plans, ctx: Context) -> None:
    here, there = await two(plans, ctx)
    await change(plans, ctx, here.plan.id, {"op": "link", "item": A, "depends_on": name(there, "E.001")})
    with pytest.raises(Conflict, match="in a circle") as refused:
        await change(
            plans, ctx, there.plan.id, {"op": "link", "item": B, "depends_on": here.find("F.001.01")}
        )
    pairs = {(one["key"], one["waits_for_key"]) for one in refused.value.data["cycle"]}
    assert pairs == {(B, name(here, "F.001.01")), (name(here, A), "E.001")}
    assert (await plans.picture(ctx, there.plan.id)).plan.version == 1


async def test_a_move_that_closes_a_circle_through_another_plan_is_refused(
    plans: Plans, ctx: Context
) -> None:
    here, there = await two(plans, ctx)
    await change(plans, ctx, here.plan.id, {"op": "link", "item": D, "depends_on": name(there, A)})
    await change(
        plans, ctx, there.plan.id, {"op": "link", "item": A, "depends_on": name(here, "S.001.01.01")}
    )
    with pytest.raises(Conflict, match="in a circle"):
        await change(plans, ctx, here.plan.id, {"op": "move", "item": D, "parent": "S.001.01.01"})


async def test_what_others_wait_for_is_not_removed(plans: Plans, ctx: Context) -> None:
    here, there = await two(plans, ctx)
    await change(plans, ctx, here.plan.id, {"op": "link", "item": A, "depends_on": name(there, D)})
    with pytest.raises(InvalidInput) as refused:
        await change(plans, ctx, there.plan.id, {"op": "remove", "item": "S.001.01.02"})
    assert name(here, A) in str(refused.value.problems[0])
    with pytest.raises(Conflict, match="other plans wait") as kept:
        await plans.remove(ctx, there.plan.id)
    assert kept.value.data["plans"] == [here.plan.id]
    await change(plans, ctx, here.plan.id, {"op": "unlink", "item": A, "depends_on": name(there, D)})
    await plans.remove(ctx, there.plan.id)
    await plans.remove(ctx, here.plan.id)
    assert (await plans.page(ctx)).items == ()


async def test_items_of_another_plan_are_not_changed_from_here(plans: Plans, ctx: Context) -> None:
    here, there = await two(plans, ctx)
    await change(plans, ctx, here.plan.id, {"op": "link", "item": A, "depends_on": name(there, D)})
    with pytest.raises(InvalidInput) as refused:
        await change(
            plans, ctx, here.plan.id, {"op": "update", "item": there.find(D), "set": {"title": "Mine"}}
        )
    assert "is an item of another plan" in str(refused.value.problems[0])


async def test_of_changes_made_for_the_same_version_one_wins(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    wanted = [{"op": "update", "item": A, "set": {"title": f"T{number}"}} for number in range(6)]
    ended = await asyncio.gather(
        *(change(plans, ctx, made.plan.id, one, base_version=1) for one in wanted), return_exceptions=True
    )
    assert sum(isinstance(one, StalePlan) for one in ended) == 5
    assert len((await plans.changes(ctx, made.plan.id)).items) == 2


async def test_changes_for_any_version_all_count(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    more = [{"op": "add", "parent": "S.001.01.01", "item": {"title": f"T{number}"}} for number in range(8)]
    await asyncio.gather(*(change(plans, ctx, made.plan.id, one) for one in more))
    after = await plans.picture(ctx, made.plan.id)
    assert after.plan.version == 9
    keys = [after.tree.items[one].key for one in after.tree.below(after.find("S.001.01.01"))]
    assert keys == [f"T.001.01.01.{number:02}" for number in range(1, 12)]


async def test_changes_of_several_plans_cannot_close_a_circle_together(plans: Plans, ctx: Context) -> None:
    """Each is right alone: only together they are a circle of four plans."""
    four = [await small(plans, ctx) for _ in range(4)]
    links = [
        change(plans, ctx, here.plan.id, {"op": "link", "item": A, "depends_on": name(there, "E.001")})
        for here, there in zip(four, [*four[1:], four[0]], strict=True)
    ]
    ended = await asyncio.gather(*links, return_exceptions=True)
    assert [type(one).__name__ for one in ended if isinstance(one, BaseException)] == ["Conflict"]
    await plans.picture(ctx, four[0].plan.id)  # the rest can be laid out in time
