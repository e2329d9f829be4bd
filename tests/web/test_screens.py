"""Every screen, in both themes and three widths: WCAG by axe, nothing overflows, no tile covers another."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import Server, Watch, open_page, start_server
from tests.web.plan_tree import operations

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_OVERLAPS = """() => {
  const tiles = [...document.querySelectorAll('.tile, .top, .rail')].filter((one) => one.offsetParent !== null && !one.closest('[role=dialog]'));
  const boxes = tiles.map((one) => [one.getAttribute('aria-label') || one.className, one.getBoundingClientRect()]).filter(([, box]) => box.width && box.height);
  const found = [];
  boxes.forEach(([name, a], i) => boxes.slice(i + 1).forEach(([other, b], j) => {
    if (tiles[i].contains(tiles[i + 1 + j])) return;
    const scrolls = (one) => one.closest('.page') && !one.matches('.page');
    if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1 && scrolls(tiles[i]) === scrolls(tiles[i + 1 + j])) found.push(name + ' | ' + other);
  }));
  return found;
}"""


@pytest.fixture(scope="module")
def addresses(server: Server) -> dict[str, str]:
    """An address for every screen, with something on it."""
    plan = server.http.post("/plans", json={"name": "Ship checkout", "operations": operations()}).json()
    run = next(r for r in server.http.get("/runs").json()["items"] if r["workflow"] == "hello-team")
    waiting = server.start("screens", "do:\n  - go: {ask: {question: 'Shall it go on?'}}\n")
    asked = server.until(
        f"/approvals?status=pending&run_id={waiting['id']}", lambda found: bool(found["items"])
    )
    return {
        "home": "/",
        "board": f"/plans/{plan['id']}",
        "list": f"/plans/{plan['id']}?lens=list",
        "gantt": f"/plans/{plan['id']}?lens=gantt",
        "dependencies": f"/plans/{plan['id']}?lens=dag",
        "workflows": "/workflows",
        "workflow": "/workflows/hello-team",
        "runs": "/runs",
        "run": f"/runs/{run['id']}?step=text",
        "steps": f"/runs/{run['id']}?view=steps",
        "inbox": f"/inbox?ask={asked['items'][0]['id']}",
        "agents": "/agents",
        "cost": "/cost",
        "report": "/report",
        "providers": "/settings/providers?name=anthropic%3Aclaude-opus-5",
        "admin": "/settings/admin",
    }


@pytest.fixture(params=[("light", 1440), ("dark", 1440), ("light", 820), ("dark", 390)], ids=str)
def screen(request: pytest.FixtureRequest, browser: Browser, server: Server, watch: Watch) -> Iterator[Page]:
    theme, width = request.param
    page = open_page(
        browser,
        server,
        watch,
        color_scheme=theme,
        viewport={"width": width, "height": 900 if width > 700 else 780},
    )
    yield page
    page.context.close()


def violations(page: Page) -> list[str]:
    """What axe finds, with the first place of each."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "(tags) => axe.run(document, {runOnly: tags}).then((found) => found.violations)", TAGS
    )
    return [
        f"{item['id']}: {item['nodes'][0]['html'][:160]} {item['nodes'][0]['failureSummary'][:300]}"
        for item in found
    ]


def test_every_screen_is_accessible_and_in_its_place(
    screen: Page, server: Server, addresses: dict[str, str]
) -> None:
    wrong: dict[str, object] = {}
    for name, address in addresses.items():
        screen.goto(f"{server.address}{address}")
        expect(screen.get_by_role("heading", level=1)).to_be_visible()
        expect(screen.locator(".tesserae.busy")).to_have_count(0)
        if found := violations(screen):
            wrong[f"{name} axe"] = found
        if screen.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wrong[f"{name} overflow"] = True
        if covered := screen.evaluate(_OVERLAPS):
            wrong[f"{name} covers"] = covered
    assert not wrong, json.dumps(wrong, indent=1)


def test_dialogs_and_the_palette_are_accessible(page: Page, server: Server) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    assert violations(page) == []


def test_an_empty_installation_and_a_server_that_is_gone_are_said(browser: Browser, tmp_path: Path) -> None:
    server = start_server(tmp_path, "--no-example")
    watch = Watch(server.address, expected=["ERR_", "Failed to load"])
    page = open_page(browser, server, watch)
    try:
        expect(page.get_by_text("Nothing has run here yet")).to_be_visible()
        expect(page.get_by_role("button", name="Start the example")).to_be_visible()
        expect(page.locator(".live")).to_have_attribute("data-state", "live")
        server.stop()
        expect(page.get_by_text("The server does not answer.").first).to_be_visible()
        assert not watch.wrong
    finally:
        page.context.close()
        server.process.kill()
        server.process.wait()
        server.http.close()
