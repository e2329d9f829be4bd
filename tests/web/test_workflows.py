"""Workflows, drawn and started from a form; the run as its workflow is drawn; the page to print; a no that is taken back."""

import re

import pytest
from playwright.sync_api import Page, expect

from mosaic.app.requests import run_request
from mosaic.core.values import JsonObject
from tests.app.site import write_workflow
from tests.web.conftest import WAIT_S, Server, Watch

FORM = """
inputs:
  type: object
  required: [topic]
  properties:
    topic: {type: string, description: What it is about.}
    words: {type: integer, minimum: 10, default: 80}
    tone: {enum: [dry, warm], default: dry}
    cite: {type: boolean}
do:
  - both:
      fork:
        one: {set: "${inputs.topic}"}
        two: {set: "${inputs.words}"}
      join: all
  - check: {validate: [{expect: "${inputs.words > 0}"}], on_fail: {goto: both, max: 1}}
outputs: {topic: "${both.one}"}
"""


@pytest.fixture
def workflow(server: Server) -> str:
    """A workflow that ran once, with inputs of every kind."""
    path = write_workflow(server.folder / "flows" / "with-a-form", FORM)
    answer = server.http.post("/runs", json=run_request(path, inputs={"topic": "first"}, options={}))
    assert answer.status_code == 201, answer.text
    server.until(f"/runs/{answer.json()['id']}", lambda shown: shown["status"] == "succeeded")
    return "with-a-form"


def test_a_workflow_is_drawn_and_started_from_its_form(page: Page, server: Server, workflow: str) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("workflows")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/workflows$"))
    listed = page.get_by_role("group", name="Workflows")
    listed.get_by_role("link", name=re.compile(f"^{workflow}")).click()
    steps = page.get_by_role("group", name=f"Steps of {workflow}")
    boxes = {
        name: steps.get_by_role("button", name=re.compile(f"^{name} ")).bounding_box()
        for name in ("both", "one", "two", "check")
    }
    assert boxes["one"]["y"] == boxes["two"]["y"]
    assert boxes["both"]["x"] < boxes["one"]["x"]
    assert boxes["check"]["y"] > boxes["both"]["y"] + boxes["both"]["height"]
    steps.get_by_role("button", name=re.compile("^check ")).click()
    expect(page.get_by_role("region", name="Step", exact=True)).to_contain_text("goes back to both")

    form = page.get_by_role("form", name=f"Start {workflow}")
    form.get_by_role("button", name="Start").click()
    expect(form.get_by_role("alert")).to_have_text("This is needed.")
    form.get_by_label("topic").fill("mosaics")
    form.get_by_label("words").fill("3")
    form.get_by_role("button", name="Start").click()
    expect(form.get_by_role("alert")).to_have_text("This must be 10 or more.")
    form.get_by_label("words").fill("120")
    form.get_by_label("tone").select_option("warm")
    form.get_by_label("cite").select_option("true")
    form.get_by_role("button", name="Start").click()
    expect(page).to_have_url(re.compile(r"/runs/run_"))
    expect(page.locator(".top")).to_contain_text("succeeded", timeout=WAIT_S * 1000)
    run = server.http.get(f"/runs/{page.url.rsplit('/', 1)[1].partition('?')[0]}").json()
    assert run["inputs"] == {"topic": "mosaics", "words": 120, "tone": "warm", "cite": True}

    # The run, over the drawing of what it ran.
    page.get_by_role("button", name="Steps", exact=True).click()
    expect(page).to_have_url(re.compile("view=steps"))
    drawn = page.get_by_role("group", name=f"Steps of {workflow}")
    drawn.get_by_role("button", name=re.compile("^one .*done$")).click()
    expect(page.get_by_role("region", name="Step", exact=True)).to_contain_text("both/one")


def test_the_report_is_one_page_on_paper(page: Page, server: Server) -> None:
    page.goto(f"{server.address}/report")
    expect(page.get_by_text("By agent")).to_be_visible()
    expect(page.get_by_role("cell", name="editor")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Places")).to_be_hidden()
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(prefer_css_page_size=True))) == 1


def test_an_answer_that_does_not_arrive_is_taken_back_before_ones_eyes(
    page: Page, server: Server, watch: Watch
) -> None:
    watch.expected.extend(["ERR_", "Failed to load"])
    run: JsonObject = server.start("lost", "do:\n  - sure: {ask: {question: 'Is it lost?'}}\n")
    needs = page.get_by_role("region", name="Needs you")
    expect(needs).to_contain_text("Is it lost?")
    page.route("**/approve", lambda route: route.abort())
    needs.get_by_role("button", name="Approve: Is it lost?").click()
    expect(page.locator(".toast")).to_contain_text("The server does not answer.")
    expect(needs).to_contain_text("Is it lost?")
    page.unroute("**/approve")
    needs.get_by_role("button", name="Approve: Is it lost?").click()
    server.until(f"/runs/{run['id']}", lambda shown: shown["status"] == "succeeded")
    expect(needs).not_to_contain_text("Is it lost?")
