"""Change sets: diffs, versions, history, taking back; on both databases."""

import pytest

from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.events import Journal
from mosaic.planning import Plans, StalePlan, read_operations
from tests.planning.conftest import A, B, C, D, change, done, small, statuses

pytestmark = pytest.mark.anyio


async def test_a_plan_is_made_of_operations_and_read_back(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    assert [item.key for item in made.tree.in_order()] == [
        "E.001", "F.001.01", "S.001.01.01", A, B, C, "S.001.01.02", D,
    ]  # fmt: skip
    assert statuses(made)[A] == "ready"
    assert statuses(made)[B] == "todo"
    assert made.plan.version == 1
    again = await plans.picture(ctx, made.plan.id)
    assert again.tree.items == made.tree.items
    item = again.tree.items[again.find(A)]
    assert (item.estimate.hours, item.estimate.usd, item.estimate.tokens) == (4, 2, 100)


async def test_a_change_is_shown_before_it_is_made_and_then_does_just_that(
    plans: Plans, ctx: Context
) -> None:
    made = await small(plans, ctx)
    wanted = read_operations(
        [
            {
                "op": "add",
                "parent": "S.001.01.01",
                "item": {"title": "New", "estimate": {"hours": 20, "usd": 1}},
            },
            {"op": "update", "item": A, "set": {"status": "done", "assignee": "agent:coder"}},
        ]
    )
    shown = await plans.preview(ctx, made.plan.id, wanted, base_version=1)
    assert [(one.key, one.change) for one in shown.diff] == [(A, "changed"), ("T.001.01.01.04", "added")]
    assert shown.diff[0].fields["assignee"].to_json() == {"before": None, "after": "agent:coder"}
    means = shown.consequences
    assert means["finish_hours"] == {"before": 13.0, "after": 23.0}
    assert means["estimate_usd"] == {"before": 5.0, "after": 6.0}
    assert [one["key"] for one in means["unblocked"]] == [B, C]
    assert means["blocked"] == []
    assert statuses(await plans.picture(ctx, made.plan.id))[A] == "ready", "a preview writes nothing"
    applied = await plans.change(ctx, made.plan.id, wanted, base_version=1, note="Why")
    assert (applied.base_version, applied.version, applied.note) == (1, 2, "Why")
    assert applied.consequences | {"critical_path": None} == means | {"critical_path": None}
    after = await plans.picture(ctx, made.plan.id)
    assert (statuses(after)[A], statuses(after)[B]) == ("done", "ready")


async def test_a_change_for_an_old_version_is_refused_and_writes_nothing(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    await change(plans, ctx, made.plan.id, done(A), base_version=1)
    with pytest.raises(StalePlan, match="has version 2") as refused:
        await change(plans, ctx, made.plan.id, done(B), base_version=1)
    assert (refused.value.http_status, refused.value.data["version"]) == (412, 2)
    with pytest.raises(StalePlan):
        await plans.preview(ctx, made.plan.id, read_operations([done(B)]), base_version=1)
    after = await plans.picture(ctx, made.plan.id)
    assert (after.plan.version, statuses(after)[B]) == (2, "ready")


async def test_one_event_tells_each_change_with_its_diff(
    plans: Plans, ctx: Context, journal: Journal
) -> None:
    made = await small(plans, ctx)
    applied = await change(plans, ctx, made.plan.id, done(A))
    events = await journal.read(ctx)
    assert [event.type for event in events] == ["plan.created", "plan.changed"]
    data = await journal.resolve(events[1])
    assert (data["plan"], data["change"], data["version"]) == (made.plan.id, applied.id, 2)
    assert data["diff"][0]["fields"]["status"] == {"before": "todo", "after": "done"}
    assert [one["key"] for one in data["consequences"]["unblocked"]] == [B, C]


async def test_every_problem_of_a_change_is_named_at_once_and_nothing_is_written(
    plans: Plans, ctx: Context
) -> None:
    made = await small(plans, ctx)
    with pytest.raises(InvalidInput) as refused:
        await change(
            plans, ctx, made.plan.id,
            done(A),
            done("T.009.01.01.01"),
            {"op": "update", "item": "S.001.01.01", "set": {"status": "done"}},
            {"op": "move", "item": A, "parent": "F.001.01"},
            {"op": "link", "item": A, "depends_on": "S.001.01.01"},
            {"op": "unlink", "item": A, "depends_on": D},
            {"op": "add", "parent": "S.001.01.01", "key": A, "item": {"title": "Twice"}},
            {"op": "add", "parent": "S.001.01.01", "key": "S.001.01.09", "item": {"title": "Wrong"}},
        )  # fmt: skip
    shown = [str(problem) for problem in refused.value.problems]
    assert [line.partition(":")[0] for line in shown] == [f"operations[{index}]" for index in range(1, 8)]
    assert "follows from its 3 children" in shown[1]
    assert "a task belongs under a story" in shown[2]
    assert "is a part of" in shown[3]
    assert (await plans.picture(ctx, made.plan.id)).plan.version == 1


async def test_wrong_types_bounds_and_unknown_fields_are_named(plans: Plans) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_operations(
            [
                {"op": "add", "item": {"title": " "}},
                {"op": "update", "item": "E.001", "set": {"status": "ready"}},
                {"op": "update", "item": "E.001", "set": {"colour": "red"}},
                {"op": "add", "item": {"title": "x", "estimate": {"hours": -1}}},
                {"op": "add", "item": {"title": "x", "assignee": "coder"}},
                {"op": "jump"},
            ]
        )
    paths = [problem.path for problem in refused.value.problems]
    assert [path.partition("]")[0] for path in paths] == [f"operations[{index}" for index in range(6)]


async def test_a_circle_is_refused_and_named(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    with pytest.raises(Conflict, match="in a circle") as refused:
        # The task waits for a story whose task waits for it: through the tree, not directly.
        await change(plans, ctx, made.plan.id, {"op": "link", "item": A, "depends_on": "S.001.01.02"})
    pairs = {(one["key"], one["waits_for_key"]) for one in refused.value.data["cycle"]}
    assert pairs == {(A, "S.001.01.02"), (D, "S.001.01.01")}
    assert f"{A} waits for S.001.01.02" in refused.value.message
    assert (await plans.picture(ctx, made.plan.id)).plan.version == 1


async def test_a_move_gives_new_keys_to_everything_below_and_keeps_its_links(
    plans: Plans, ctx: Context
) -> None:
    made = await small(plans, ctx)
    await change(plans, ctx, made.plan.id, {"op": "add", "parent": "E.001", "item": {"title": "Payment"}})
    story = made.find("S.001.01.01")
    moved = await change(
        plans, ctx, made.plan.id, {"op": "move", "item": "S.001.01.01", "parent": "F.001.02"}
    )
    assert {one.key for one in moved.diff} == {
        "S.001.02.01", "T.001.02.01.01", "T.001.02.01.02", "T.001.02.01.03",
    }  # fmt: skip
    after = await plans.picture(ctx, made.plan.id)
    assert after.tree.items[story].key == "S.001.02.01"
    assert after.tree.items[after.find(D)].depends_on == (story,)
    # Numbers are not used twice.
    await change(plans, ctx, made.plan.id, {"op": "add", "parent": "F.001.01", "item": {"title": "Next"}})
    assert (await plans.picture(ctx, made.plan.id)).find("S.001.01.03")


async def test_siblings_are_put_in_order(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)

    async def order() -> list[str]:
        picture = await plans.picture(ctx, made.plan.id)
        return [picture.tree.items[one].key for one in picture.tree.below(picture.find("S.001.01.01"))]

    await change(plans, ctx, made.plan.id, {"op": "move", "item": C, "before": A})
    assert await order() == [C, A, B]
    await change(plans, ctx, made.plan.id, {"op": "move", "item": C, "after": A})
    assert await order() == [A, C, B]
    for _ in range(30):  # until there is no room between two neighbours any more
        await change(plans, ctx, made.plan.id, {"op": "move", "item": B, "before": C})
        await change(plans, ctx, made.plan.id, {"op": "move", "item": C, "before": B})
        assert await order() == [A, C, B]
    # A sibling under another parent takes the item there.
    moved = await change(plans, ctx, made.plan.id, {"op": "move", "item": B, "before": D})
    assert "T.001.01.02.02" in {one.key for one in moved.diff}


async def test_a_removed_item_takes_what_is_below_and_who_waited_for_it_waits_no_more(
    plans: Plans, ctx: Context
) -> None:
    made = await small(plans, ctx)
    gone = await change(plans, ctx, made.plan.id, {"op": "remove", "item": "S.001.01.01"})
    assert [(one.key, one.change) for one in gone.diff] == [
        ("S.001.01.01", "removed"), (A, "removed"), (B, "removed"), (C, "removed"), (D, "changed"),
    ]  # fmt: skip
    after = await plans.picture(ctx, made.plan.id)
    assert statuses(after) == {"E.001": "ready", "F.001.01": "ready", "S.001.01.02": "ready", D: "ready"}


async def test_a_change_is_taken_back_and_taken_back_again(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    before = {item.id: item.facts() for item in made.tree.items.values()}
    gone = await change(
        plans,
        ctx,
        made.plan.id,
        {"op": "remove", "item": "S.001.01.01"},
        {"op": "update_plan", "set": {"name": "Less"}},
    )
    seen = await plans.undo(ctx, made.plan.id, gone.id, dry_run=True)
    assert {one.change for one in seen.diff} == {"added", "changed"}
    undone = await plans.undo(ctx, made.plan.id, gone.id, base_version=2)
    assert (undone.version, undone.undoes) == (3, gone.id)
    after = await plans.picture(ctx, made.plan.id)
    assert {item.id: item.facts() for item in after.tree.items.values()} == before
    assert after.plan.name == "Small"
    with pytest.raises(Conflict, match="taken back already"):
        await plans.undo(ctx, made.plan.id, gone.id)
    redone = await plans.undo(ctx, made.plan.id, undone.id)
    assert len((await plans.picture(ctx, made.plan.id)).tree.items) == 4
    history = (await plans.changes(ctx, made.plan.id)).items
    assert [one.id for one in history][:3] == [redone.id, undone.id, gone.id]
    assert [one.undone_by for one in history][:3] == [None, redone.id, None], (
        "what was redone can be taken back"
    )
    await plans.undo(ctx, made.plan.id, gone.id)
    assert len((await plans.picture(ctx, made.plan.id)).tree.items) == 8


async def test_numbers_are_not_used_twice_after_a_removal_was_taken_back(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    gone = await change(plans, ctx, made.plan.id, {"op": "remove", "item": "S.001.01.01"})
    await plans.undo(ctx, made.plan.id, gone.id)
    added = await change(
        plans, ctx, made.plan.id, {"op": "add", "parent": "S.001.01.01", "item": {"title": "x"}}
    )
    assert [one.key for one in added.diff] == ["T.001.01.01.04"]


async def test_a_change_that_was_changed_again_is_not_taken_back(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    first = await change(plans, ctx, made.plan.id, {"op": "update", "item": A, "set": {"title": "One"}})
    await change(plans, ctx, made.plan.id, {"op": "update", "item": A, "set": {"title": "Two"}})
    with pytest.raises(Conflict, match="has changed again since: title"):
        await plans.undo(ctx, made.plan.id, first.id)
    added = await change(
        plans, ctx, made.plan.id, {"op": "add", "ref": "x", "parent": A, "item": {"title": "Part"}}
    )
    await change(
        plans, ctx, made.plan.id, {"op": "add", "parent": added.diff[0].key, "item": {"title": "Bit"}}
    )
    with pytest.raises(Conflict, match="under an item that is gone"):
        await plans.undo(ctx, made.plan.id, added.id)
    with pytest.raises(Conflict, match="made the plan"):
        await plans.undo(ctx, made.plan.id, (await plans.changes(ctx, made.plan.id)).items[-1].id)
    with pytest.raises(NotFound):
        await plans.undo(ctx, made.plan.id, "change_nothing")


async def test_what_changes_nothing_is_no_change(plans: Plans, ctx: Context, journal: Journal) -> None:
    made = await small(plans, ctx)
    same = await change(plans, ctx, made.plan.id, {"op": "link", "item": B, "depends_on": A})
    assert (same.id, same.diff, same.version) == ("", (), 1)
    assert (await plans.picture(ctx, made.plan.id)).plan.version == 1
    assert [event.type for event in await journal.read(ctx)] == ["plan.created"]


async def test_history_and_plans_are_read_in_pages(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    for number in range(4):
        await change(plans, ctx, made.plan.id, {"op": "update", "item": A, "set": {"title": f"T{number}"}})
    seen, cursor = [], None
    while True:
        page = await plans.changes(ctx, made.plan.id, cursor=cursor, limit=2)
        seen += [one.version for one in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [5, 4, 3, 2, 1]
    for number in range(3):
        await plans.create(ctx, name=f"P{number}", project="other")
    first = await plans.page(ctx, limit=2)
    second = await plans.page(ctx, limit=2, cursor=first.next_cursor)
    assert [picture.plan.name for page in (first, second) for picture in page.items] == [
        "P2",
        "P1",
        "P0",
        "Small",
    ]
    assert second.next_cursor is None
    assert [one.plan.name for one in (await plans.page(ctx, project="other", limit=9)).items] == [
        "P2",
        "P1",
        "P0",
    ]
    for cursor in ("x", "2026-01-01T00:00:00~", "0001-01-01T00:00:00+23:59~x", "9" * 40):
        with pytest.raises(InvalidInput):
            await plans.page(ctx, cursor=cursor)
        with pytest.raises(InvalidInput):
            await plans.changes(ctx, made.plan.id, cursor=f"-{cursor}")


async def test_another_tenant_sees_and_touches_nothing(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    stranger = Context("t2", "p1", ctx.actor)
    mine = await small(plans, stranger)
    for work in (
        plans.picture(stranger, made.plan.id),
        plans.changes(stranger, made.plan.id),
        plans.remove(stranger, made.plan.id),
        plans.undo(stranger, made.plan.id, "change_x"),
        change(plans, stranger, made.plan.id, done(A)),
    ):
        with pytest.raises(NotFound):
            await work
    for reference in (made.find(A), f"{made.plan.id}:{A}"):
        with pytest.raises(InvalidInput, match="cannot be made"):
            await change(plans, stranger, mine.plan.id, {"op": "link", "item": D, "depends_on": reference})
    assert [one.plan.id for one in (await plans.page(stranger)).items] == [mine.plan.id]
    await plans.remove(stranger, mine.plan.id)
    assert len((await plans.picture(ctx, made.plan.id)).tree.items) == 8


async def test_advice_is_given_when_too_many_children_stand_under_one(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    more = [{"op": "add", "parent": "S.001.01.02", "item": {"title": f"T{number}"}} for number in range(7)]
    added = await change(plans, ctx, made.plan.id, *more)
    assert [warning.partition(" ")[0] for warning in added.consequences["warnings"]] == ["S.001.01.02"]
    later = await change(plans, ctx, made.plan.id, done(A))
    assert later.consequences["warnings"] == []


@pytest.mark.requirement("STK-89", "STK-93", "STK-96")
async def test_an_epic_says_what_it_is_for_and_how_it_is_proved(plans: Plans, ctx: Context) -> None:
    made = await small(plans, ctx)
    brief = {
        "goals": ["Fewer customers leave"],
        "definition_of_done": ["Support knows the page"],
        "risks": [{"risk": "Slow", "level": "high", "mitigation": "A budget for its size"}],
        "external_dependencies": ["A contract"],
        "next_steps": {"immediate": ["Ask"], "short": ["Agree"], "medium": ["Certify"]},
        "metrics": [{"name": "Orders", "target": "50 %", "current": "38 %"}],
        "test_strategy": {"unit": "Rules", "integration": "Services", "acceptance": "Journeys"},
    }
    acceptance = [{"text": "Half of the visitors order", "met": True}, {"text": "By keyboard alone"}]
    wanted = {"brief": brief, "acceptance": acceptance}
    await change(plans, ctx, made.plan.id, {"op": "update", "item": "E.001", "set": wanted})
    after = await plans.picture(ctx, made.plan.id)
    epic = after.item_json(after.find("E.001"))
    assert epic["brief"] == brief
    assert epic["acceptance"] == [acceptance[0], {**acceptance[1], "met": False}]
    for wrong in (
        {"risks": [{"risk": "x", "level": "some"}]},
        {"next_steps": {"later": ["x"]}},
        {"colour": "red"},
    ):
        with pytest.raises(InvalidInput):
            read_operations([{"op": "update", "item": "E.001", "set": {"brief": wrong}}])


@pytest.mark.requirement("STK-90")
async def test_a_feature_shows_its_stories_its_effort_and_what_it_waits_for(
    plans: Plans, ctx: Context
) -> None:
    made = await small(plans, ctx)
    await change(
        plans, ctx, made.plan.id,
        {"op": "add", "parent": "E.001", "item": {"title": "Payment", "brief": {"external_dependencies": ["Release 4"]}}},
        {"op": "link", "item": "F.001.02", "depends_on": "F.001.01"},
    )  # fmt: skip
    after = await plans.picture(ctx, made.plan.id)
    feature = after.item_json(after.find("F.001.01"))
    assert (feature["children"], feature["planned"]["hours"], feature["planned"]["usd"]) == (2, 15.0, 5.0)
    other = after.item_json(after.find("F.001.02"))
    assert [one["key"] for one in other["waits_for"]] == ["F.001.01"]
    assert other["brief"]["external_dependencies"] == ["Release 4"]
