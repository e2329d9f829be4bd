"""The canvas: from the mosaic to a card, changes as diffs, the replay, and thousands of tasks."""

import re
import sys
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mosaic.core.values import JsonObject
from tests.web.conftest import Server, Watch
from tests.web.plan_tree import operations


@pytest.fixture
def plan(server: Server) -> JsonObject:
    """A fresh plan of nine tasks."""
    answer = server.http.post("/plans", json={"name": "Ship checkout", "operations": operations()})
    assert answer.status_code == 201, answer.text
    made: JsonObject = answer.json()
    return made


def graph_of(server: Server, plan: JsonObject) -> dict[str, JsonObject]:
    """The items of a plan by title."""
    shown = server.http.get(f"/plans/{plan['id']}/graph").json()
    return {item["title"]: item for item in shown["items"]}


def open_plan(page: Page, server: Server, plan: JsonObject, **search: str) -> None:
    query = "&".join(f"{key}={value}" for key, value in search.items())
    page.goto(f"{server.address}/plans/{plan['id']}?{query}")
    expect(page.get_by_role("heading", name=plan["name"])).to_be_visible()


def card(page: Page, title: str) -> Any:
    return page.locator(".react-flow__node").filter(has=page.locator(f"text={title}"))


@pytest.mark.requirement("ENT-17", "STK-14")
def test_a_task_is_dragged_to_another_story_after_its_diff_was_shown(
    page: Page, server: Server, plan: JsonObject
) -> None:
    open_plan(page, server, plan)
    moved, target = card(page, "Review cart"), card(page, "Design receipts")
    box, aim = moved.bounding_box(), target.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, aim["y"] + aim["height"] / 2, steps=8)
    page.mouse.up()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Change the plan?")
    expect(dialog).to_contain_text("Receipts")
    assert graph_of(server, plan)["Review cart"]["parent"] == graph_of(server, plan)["Cart"]["id"]
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("The plan was changed.")).to_be_visible()
    after = graph_of(server, plan)
    assert after["Review cart"]["parent"] == after["Receipts"]["id"]


@pytest.mark.requirement("ENT-20")
def test_a_dependency_is_drawn_and_a_cycle_is_refused(
    page: Page, server: Server, plan: JsonObject, watch: Watch
) -> None:
    watch.expected.append("409")  # browsers write every refused request into the console
    items = graph_of(server, plan)
    open_plan(page, server, plan)
    start, end = card(page, "Design cart"), card(page, "Design payments")
    start.hover()
    out = start.locator(".react-flow__handle.source").bounding_box()
    into = end.locator(".react-flow__handle.target").bounding_box()
    page.mouse.move(out["x"] + out["width"] / 2, out["y"] + out["height"] / 2)
    page.mouse.down()
    page.mouse.move(into["x"] + into["width"] / 2, into["y"] + into["height"] / 2, steps=8)
    page.mouse.up()
    expect(page.get_by_role("dialog")).to_contain_text("Must wait now")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_text("The plan was changed.")).to_be_visible()
    assert graph_of(server, plan)["Design payments"]["depends_on"] == [items["Design cart"]["id"]]

    # The same by keyboard alone, the other way round: refused, and nothing is changed.
    page.goto(f"{server.address}/plans/{plan['id']}?item={items['Design cart']['id']}")
    page.get_by_label("Wait for…").select_option(items["Design payments"]["id"])
    expect(page.locator(".toast")).to_contain_text(re.compile("cycle|circle", re.IGNORECASE))
    assert graph_of(server, plan)["Design cart"]["depends_on"] == []


def test_a_card_shows_its_runs_ask_and_takes_the_yes(page: Page, server: Server, plan: JsonObject) -> None:
    items = graph_of(server, plan)
    text = "do:\n  - sure: {ask: {question: 'Merge it?'}}\n"
    seen = server.start("merge", text)
    server.http.post(f"/runs/{seen['id']}/cancel")
    made = server.http.post(
        f"/plans/{plan['id']}/items/{items['Design cart']['id']}/run", json={"workflow": "merge"}
    )
    assert made.status_code == 201, made.text
    run_id = made.json()["run"]["id"]
    open_plan(page, server, plan)
    needs = card(page, "Design cart")
    expect(needs.get_by_role("button", name="Approve")).to_be_visible()

    # What a yes means, in figures, before it is given.
    needs.locator(".clip.strong").click()
    effect = page.locator(".effect")
    expect(effect).to_contain_text("1 item")
    expect(effect).to_contain_text(f"can start when {items['Design cart']['key']} is done")
    expect(effect).to_contain_text("Plan's end")
    needs.get_by_role("button", name="Approve").click()
    server.until(f"/runs/{run_id}", lambda shown: shown["status"] == "succeeded")
    expect(needs.locator(".card.done")).to_be_visible()

    # From so near that its log can be read.
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(needs.get_by_role("log")).to_contain_text("the run is done")
    page.keyboard.press("Escape")

    # And back in time: the item had not begun.
    page.get_by_role("button", name="Replay…").click()
    expect(page.get_by_text("as it was")).to_be_visible()
    expect(needs.locator(".card.todo")).to_be_visible()
    page.get_by_role("button", name="Now", exact=True).click()
    expect(needs.locator(".card.done")).to_be_visible()


def test_the_critical_path_and_the_list_are_lenses_with_addresses(
    page: Page, server: Server, plan: JsonObject
) -> None:
    open_plan(page, server, plan)
    page.get_by_role("button", name="List").click()
    expect(page).to_have_url(re.compile("lens=list"))
    row = page.get_by_role("button", name=re.compile("^Implement payments"))
    row.click()
    expect(page).to_have_url(re.compile("item="))
    expect(page.get_by_role("region", name="Item")).to_contain_text("Design payments")
    page.reload()
    expect(page.get_by_role("region", name="Item")).to_contain_text("Design payments")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="Item")).to_have_count(0)
    page.get_by_role("button", name="Canvas").click()
    page.keyboard.press("j")
    expect(page.get_by_role("region", name="Item")).to_be_visible()
    page.keyboard.press("z")
    page.get_by_role("button", name="Critical path").click()


def test_what_is_left_is_seen_over_time_and_by_what_waits_for_what(
    page: Page, server: Server, plan: JsonObject
) -> None:
    open_plan(page, server, plan)
    page.keyboard.press("3")
    expect(page).to_have_url(re.compile("lens=gantt"))
    chart = page.get_by_role("group", name="Gantt chart")
    first = chart.get_by_role("button", name=re.compile("Design cart, 2 h")).bounding_box()
    second = chart.get_by_role("button", name=re.compile("Implement cart, 3 h")).bounding_box()
    assert second["x"] == pytest.approx(first["x"] + first["width"], abs=2)
    assert second["width"] == pytest.approx(1.5 * first["width"], rel=0.05)
    chart.get_by_role("button", name=re.compile("Review cart")).click()
    expect(page.get_by_role("region", name="Item")).to_contain_text("Implement cart")
    expect(chart.locator(".links path")).to_have_attribute("d", re.compile("^M"))
    expect(chart.locator(".span.critical").first).to_be_visible()

    page.keyboard.press("4")
    expect(page).to_have_url(re.compile("lens=dag"))
    expect(page.locator(".react-flow__node")).to_have_count(9)
    starts = [card(page, f"{verb} cart").bounding_box()["x"] for verb in ("Design", "Implement", "Review")]
    assert starts == sorted(starts)
    assert card(page, "Design receipts").bounding_box()["x"] == pytest.approx(starts[0], abs=1)


def test_two_thousand_tasks_are_drawn_as_one_mosaic(page: Page, server: Server) -> None:
    answer = server.http.post(
        "/plans", json={"name": "Two thousand", "operations": operations(stories=95, tasks=20)}
    )
    assert answer.status_code == 201, answer.text
    plan = answer.json()
    open_plan(page, server, plan)
    expect(page.locator(".far-tile")).not_to_have_count(0)
    assert page.locator(".react-flow__node").count() == 0
    pane = page.locator(".react-flow__pane").bounding_box()
    x, y = pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2
    page.evaluate(
        "() => { window.frames_ = 0; const tick = () => { window.frames_++; requestAnimationFrame(tick); }; tick(); }"
    )
    started, before = time.monotonic(), page.evaluate("window.frames_")
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(60):
        page.mouse.move(x - 4 * step, y - 2 * step)
    page.mouse.up()
    frames = page.evaluate("window.frames_") - before
    sys.stdout.write(
        f"\n{frames / (time.monotonic() - started):.0f} frames/s while panning a plan at far zoom\n"
    )
    page.mouse.move(x - 4 * 59, y - 2 * 59)  # where the middle of the plan is now
    for _ in range(14):
        page.mouse.wheel(0, -300)
    expect(page.locator(".react-flow__node").first).to_be_visible()
