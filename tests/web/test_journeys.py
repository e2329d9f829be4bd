"""What somebody who has never seen MosAIc does from the board alone, against a real server with real runs."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import WAIT_S, Server

PAUSED = "do:\n  - pause: {listen: {signal: go}}\noutputs: {heard: '${pause}'}\n"
ASK = "do:\n  - colour: {ask: {question: 'Which colour?', choices: [red, blue]}}\noutputs: {colour: '${colour}'}\n"


@pytest.mark.requirement("ENT-18", "STK-16")
def test_a_newcomer_starts_the_example_follows_it_approves_and_reruns_a_step(
    page: Page, server: Server
) -> None:
    page.get_by_role("button", name="Start the example").first.click()
    expect(page).to_have_url(re.compile(r"/runs/run_"))
    run_id = page.url.rsplit("/", 1)[1].partition("?")[0]

    # Live: lines arrive while the page stands still.
    output = page.get_by_role("log", name="Output of the run")
    expect(output).to_contain_text("I will run the tests first")
    expect(page.get_by_role("region", name="Needs you")).to_contain_text(
        "files.delete", timeout=WAIT_S * 1000
    )
    expect(page.get_by_role("group", name="Steps over time, by agent")).to_contain_text("coder")

    # Why, what exactly, and what follows from either answer, before the click.
    page.get_by_role("region", name="Needs you").get_by_role("link").click()
    ask = page.get_by_role("region", name="Ask", exact=True)
    expect(ask).to_contain_text("Nothing imports shop/cart_old.py")
    expect(ask).to_contain_text("-def total(lines):")
    expect(ask).to_contain_text("If you approve")
    expect(ask).to_contain_text("runs once with these arguments")
    expect(ask).to_contain_text("If you reject")
    ask.get_by_label("Note").fill("fine")
    ask.get_by_role("heading", name="If you approve").click()
    page.keyboard.press("a")
    expect(page.get_by_text("Approved: coder wants to call files.delete")).to_be_visible()
    decided = server.http.get(f"/approvals?run_id={run_id}").json()["items"][0]
    assert (decided["status"], decided["note"]) == ("approved", "fine")

    # To its end, with what it cost, and what it kept.
    page.goto(f"{server.address}/runs/{run_id}")
    expect(page.locator(".top")).to_contain_text("succeeded", timeout=WAIT_S * 1000)
    expect(page.locator(".top")).to_contain_text("$0.00")
    expect(page.get_by_text("scripted: no model was asked")).to_be_visible()
    expect(page.get_by_role("link", name="report.md")).to_be_visible()

    # A step, and a run that begins there.
    page.get_by_role("button", name=re.compile(r"^check, ")).click()
    expect(page.get_by_role("region", name="Step")).to_contain_text("check")
    page.get_by_role("button", name="Rerun from check").click()
    expect(page).not_to_have_url(re.compile(run_id))
    expect(page.get_by_text("Rerun of")).to_be_visible()
    expect(page.locator(".top")).to_contain_text("succeeded", timeout=WAIT_S * 1000)
    again = page.url.rsplit("/", 1)[1].partition("?")[0]
    assert server.http.get(f"/runs/{again}").json()["forked_from"] == run_id


def test_a_run_is_cancelled_from_its_page(page: Page, server: Server) -> None:
    run = server.start("cancelled", PAUSED)
    page.goto(f"{server.address}/runs/{run['id']}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("stops, on whichever node")
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator(".top")).to_contain_text("cancelled")
    server.until(f"/runs/{run['id']}", lambda shown: shown["status"] == "cancelled")


@pytest.mark.requirement("ENT-16")
def test_what_happens_elsewhere_appears_without_a_reload(page: Page, server: Server) -> None:
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    run = server.start("elsewhere", ASK)
    needs = page.get_by_role("region", name="Needs you")
    expect(needs).to_contain_text("Which colour?")
    expect(page.get_by_role("region", name="Runs")).to_contain_text("elsewhere")
    server.http.post(f"/runs/{run['id']}/cancel")
    expect(needs).not_to_contain_text("Which colour?")


def test_a_question_is_answered_by_choosing_and_a_second_answer_is_taken_back_visibly(
    page: Page, server: Server
) -> None:
    run = server.start("question", ASK)
    asked = server.until(f"/approvals?status=pending&run_id={run['id']}", lambda found: bool(found["items"]))
    page.goto(f"{server.address}/inbox?ask={asked['items'][0]['id']}")
    ask = page.get_by_role("region", name="Ask", exact=True)
    ask.get_by_role("button", name=re.compile("^Approve")).click()
    expect(ask.get_by_role("alert")).to_contain_text("Choose an answer first")
    ask.get_by_label("blue").check()
    ask.get_by_role("button", name=re.compile("^Approve")).click()
    done = server.until(f"/runs/{run['id']}", lambda shown: shown["status"] == "succeeded")
    assert done["outputs"]["colour"]["answer"] == "blue"


def test_asks_are_walked_and_rejected_by_keyboard_and_in_bulk(page: Page, server: Server) -> None:
    text = "do:\n  - sure: {ask: {question: 'Really, %s?', on_reject: continue}}\n"
    runs = [server.start(f"walk-{name}", text % name) for name in ("one", "two", "three")]
    server.until(
        "/approvals?status=pending", lambda found: sum("Really" in i["title"] for i in found["items"]) == 3
    )
    page.goto(f"{server.address}/inbox")
    asks = page.get_by_role("region", name="Asks")
    expect(asks.get_by_text("Really, one?")).to_be_visible()
    here = page.locator(".ask-row[data-here=true]")
    asks.get_by_text("Really, one?").click()
    expect(here).to_contain_text("Really, one?")
    page.keyboard.press("j")
    expect(here).not_to_contain_text("Really, one?")
    page.keyboard.press("k")
    expect(here).to_contain_text("Really, one?")
    page.keyboard.press("r")
    expect(asks.get_by_text("Really, one?")).to_have_count(0)
    for name in ("two", "three"):
        asks.get_by_label(f"Choose: Really, {name}?").check()
    page.get_by_role("button", name="Reject all").click()
    for run in runs:
        server.until(f"/runs/{run['id']}", lambda shown: shown["status"] == "succeeded")
    page.get_by_role("link", name="Answered").click()
    expect(page.get_by_role("region", name="Asks")).to_contain_text("Really, three?")


def test_why_a_route_was_chosen_is_found(page: Page, server: Server) -> None:
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_role("region", name="Provider scripted")).to_contain_text("ready")
    page.get_by_label("Route or model").fill("anthropic:claude-opus-5")
    page.get_by_role("button", name="Explain").click()
    why = page.get_by_role("region", name="Why this route")
    expect(why).to_contain_text("because the request names anthropic:claude-opus-5 itself")
    expect(page).to_have_url(re.compile("name=anthropic"))


@pytest.mark.requirement("ORC-220")
def test_the_audit_trail_is_filtered_and_exported(page: Page, server: Server) -> None:
    page.goto(f"{server.address}/settings/admin")
    trail = page.get_by_role("region", name="Audit trail")
    expect(trail.get_by_text("run.created").first).to_be_visible()
    trail.get_by_role("link", name="Runs").click()
    expect(page).to_have_url(re.compile("types=run"))
    with page.expect_download() as downloaded:
        trail.get_by_role("link", name="Export").click()
    lines = downloaded.value.path().read_text().splitlines()
    assert downloaded.value.suggested_filename == "mosaic-audit.jsonl"
    events = [json.loads(line) for line in lines]
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert {event["type"].split(".")[0] for event in events} == {"run"}
    trail.get_by_title("Only what user:owner did").first.click()
    expect(page).to_have_url(re.compile("actor=user"))

    # A digest that was kept tells whether anything before it was changed.
    chain = page.get_by_role("region", name="Chain check")
    chain.get_by_role("button", name="Make a digest").click()
    kept = chain.locator(".digest").inner_text()
    for given, told in ((kept, "Nothing up to event"), (f"{kept[:-4]}ffff", "is not what it was")):
        chain.get_by_label("A digest that was kept").fill(given)
        chain.get_by_role("button", name="Compare").click()
        expect(chain.get_by_role("alert")).to_contain_text(told)


def test_a_budget_is_set_and_shown(page: Page, server: Server) -> None:
    page.get_by_role("link", name="Cost").click()
    expect(page.get_by_role("region", name="Split")).to_contain_text("editor")
    page.get_by_label("Budget in dollars a month").fill("120")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_role("region", name="Budgets")).to_contain_text("of $120.00")
    expect(page.locator(".top")).to_contain_text("$120.00")
    for budget in server.http.get("/budgets").json()["items"]:
        server.http.delete(f"/budgets/{budget['id']}")


def test_the_palette_finds_a_run_and_the_theme_is_kept(page: Page, server: Server) -> None:
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox")
    expect(box).to_be_focused()
    box.fill("hello-team")
    expect(page.get_by_role("option").first).to_contain_text("hello")
    box.fill("lightdark")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    chosen = page.evaluate("document.documentElement.dataset.theme")
    assert chosen in ("light", "dark")
    page.reload()
    expect(page.get_by_role("navigation", name="Places")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == chosen
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("gohome")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
