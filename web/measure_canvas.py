"""Prints how fast the canvas is drawn while somebody pans and zooms a large plan, in software rendering.

.venv/bin/python web/measure_canvas.py [TASKS]       (2,000 by default; against a server of its own)
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page, sync_playwright  # noqa: E402  # the checkout's own packages, found above
from tests.web.conftest import _FLAGS, CHROMIUM, start_server  # noqa: E402
from tests.web.plan_tree import operations  # noqa: E402

_CHAIN = 20
_STORIES = 50  # as many as fit one change
_COUNT = """() => {
  window.frames_ = [];
  let before = performance.now();
  const tick = (now) => { window.frames_.push(now - before); before = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}"""


def main(tasks: int) -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        server = start_server(Path(folder), "--no-example")
        try:
            plan = server.http.post("/plans", json={"name": "Large"}).json()["id"]
            for first in range(0, tasks // _CHAIN, _STORIES):
                made = operations(stories=min(_STORIES, tasks // _CHAIN - first), tasks=_CHAIN)
                server.http.post(f"/plans/{plan}/changes", json={"operations": made}).raise_for_status()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(f"{server.address}/#code={server.code()}")
                page.wait_for_selector(".rail")
                for lens in ("canvas", "dag"):
                    started = time.monotonic()
                    page.goto(f"{server.address}/plans/{plan}?lens={lens}")
                    page.wait_for_selector(".far-tile")
                    shown = time.monotonic() - started
                    sys.stdout.write(
                        f"{tasks:,} tasks, {lens}: drawn {shown:.2f} s after the address was entered\n"
                    )
                    _told("panning, far", page, _pan)
                    _told("zooming, far to near and back", page, _zoom)
                browser.close()
        finally:
            server.stop()
            server.http.close()
    return 0


def _told(what: str, page: Page, act: Callable[[Page], None]) -> None:
    page.evaluate(_COUNT)
    started = time.monotonic()
    act(page)
    taken = time.monotonic() - started
    frames = sorted(page.evaluate("window.frames_"))
    slow = frames[int(len(frames) * 0.95)] if frames else 0.0
    sys.stdout.write(f"  {what}: {len(frames) / taken:.0f} frames/s, 95 % of them within {slow:.0f} ms\n")
    sys.stdout.flush()


def _middle(page: Page) -> tuple[float, float]:
    pane = page.locator(".react-flow__pane").bounding_box()
    assert pane is not None
    return pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2


def _pan(page: Page) -> None:
    x, y = _middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(x - 3 * (step if step < 60 else 120 - step), y - (step if step < 60 else 120 - step))
    page.mouse.up()


def _zoom(page: Page) -> None:
    page.mouse.move(*_middle(page))
    for direction in (-1, 1):
        for _ in range(12):
            page.mouse.wheel(0, direction * 200)
            page.wait_for_timeout(30)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000))
