"""How long does it take from an event in the journal to what a person sees, with fifty people looking on?

Fills an installation with 400 runs, starts `mosaic up` on it, opens the board twice in a real Chromium (the list of runs,
and the page of one run) and 48 more clients of the event stream that do what the board does: they ask for the list of runs
again, at most four times a second. Then runs end, one after the other: each waits for a signal, is sent it, and journals
`run.succeeded`. A MutationObserver in the page takes the time at which the new status is there and the frame was painted.

    python benchmarks/dashboard.py [--database sqlite|postgres] [--viewers 50] [--repeat 20] [--quiet-viewers] [--check]

The delay counts from the event's own time, which is taken just before its commit. Only loopback is used. With
`--quiet-viewers` the others listen without asking again. `--check` exits with status 1 when the 95th percentile of either
page is 500 ms or more, or an update never comes.
"""

import argparse
import contextlib
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from api_rig.seeding import seed
from api_rig.site import Server, installation, serve
from playwright.sync_api import Browser, Page, sync_playwright

from mosaic.app.requests import run_request

HERE = Path(__file__).parent
GOAL_MS = 500.0
EVENTS = 20_000
_BUILD_S = 300.0
_PATIENCE_S = 60.0
_PAGES = 2
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WORKFLOW = """mosaic: v1
kind: Workflow
metadata: {name: waits}
do:
  - pause: {listen: {signal: go}}
"""
# Resolves with the time, in ms since 1970, at which an element that fits holds a text and has been painted.
WATCH = """([selector, text]) => { window.__seen = new Promise((resolve) => {
  const look = () => [...document.querySelectorAll(selector)].some((found) => found.textContent.includes(text));
  const seen = () => { observer.disconnect(); requestAnimationFrame(() => setTimeout(() => resolve(Date.now()), 0)); };
  const observer = new MutationObserver(() => look() && seen());
  observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  if (look()) seen();
}); }"""


@contextlib.contextmanager
def viewers(server: Server, count: int, *, ask: bool) -> Iterator[None]:
    """The others who look on, in a process of their own."""
    asked = {
        "port": server.port, "token": server.token, "clients": count, "start": server.get("/journal")["head"],
        "again": "/api/v1/runs?limit=50" if ask else "",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(HERE / "api_rig" / "listeners.py"), json.dumps(asked)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
    finally:
        process.stdin.close()
        process.wait(30)


def wait_for_board(server: Server) -> None:
    """Wait until the board is built."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + _BUILD_S
    while time.monotonic() < until:
        with opener.open(server.address, timeout=10) as answer:
            if b'id="root"' in answer.read():
                return
        time.sleep(0.5)
    sys.exit("the board was never built")


def open_board(browser: Browser, server: Server, path: str) -> Page:
    """Open a page, signed in, in a browser profile of its own."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(f"{server.address}/#code={server.post('/session/codes', {})['code']}")
    page.get_by_role("navigation", name="Places").wait_for()
    page.goto(f"{server.address}{path}")
    page.get_by_role("navigation", name="Places").wait_for()
    return page


def happened(server: Server, run_id: str) -> float:
    """When a run succeeded, by its journal; ms since 1970."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        for event in server.get(f"/runs/{run_id}/events?limit=500")["items"]:
            if event["type"] == "run.succeeded":
                return datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000
        time.sleep(0.05)
    sys.exit(f"{run_id} did not succeed")


def one_round(server: Server, request: Any, listed: Page, single: Page) -> tuple[float, float]:
    """Let one run end; return how long each page took to say so, in ms."""
    run_id = server.post("/runs", request)["id"]
    single.goto(f"{server.address}/runs/{run_id}")
    single.locator(".top", has_text="running").wait_for()
    row = f'a[href*="{run_id}"]'
    listed.locator(row, has_text="running").wait_for()
    time.sleep(1.0)  # what its start has set off is over
    listed.evaluate(WATCH, [row, "succeeded"])
    single.evaluate(WATCH, [".top", "succeeded"])
    server.post(f"/runs/{run_id}/signals/go", {})
    at = [float(page.evaluate("window.__seen")) for page in (listed, single)]
    since = happened(server, run_id)
    return at[0] - since, at[1] - since


def measure(server: Server, options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Let runs end; return how long each page took, in ms."""
    folder.mkdir()
    (folder / "workflow.yaml").write_text(WORKFLOW)
    request = run_request(folder / "workflow.yaml", inputs={}, options={})
    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    wait_for_board(server)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        listed, single = open_board(browser, server, "/runs"), open_board(browser, server, "/runs")
        for page in (listed, single):
            page.set_default_timeout(_PATIENCE_S * 1000)
        with viewers(server, options.viewers - _PAGES, ask=not options.quiet_viewers):
            one_round(server, request, listed, single)  # warm
            rounds = [one_round(server, request, listed, single) for _ in range(options.repeat)]
        browser.close()
    return {"the list of runs": [one[0] for one in rounds], "the page of the run": [one[1] for one in rounds]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=20, help="runs that end (at most 100)")
    parser.add_argument("--quiet-viewers", action="store_true", help="the others do not ask again")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a goal is missed")
    options = parser.parse_args()
    options.repeat = min(options.repeat, 100)
    missed = []
    with installation(options.database) as at:
        seed(at.url, at.home, events=EVENTS, chance=random.Random(7))
        with serve(at) as server:
            figures = measure(server, options, at.home.parent / "waits")
    print(
        f"{options.database}: {options.viewers} viewers, {options.repeat} runs; from the journal to the screen"
    )
    for name, values in figures.items():
        ordered = sorted(values)
        p95 = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
        print(
            f"  {name:22} median {statistics.median(ordered):5.0f} ms, p95 {p95:5.0f} ms, most {ordered[-1]:5.0f} ms"
        )
        if p95 >= GOAL_MS:
            missed.append(f"{name}: p95 is {p95:.0f} ms, not under {GOAL_MS:.0f}")
    for line in missed:
        print(f"MISSED {line}")
    sys.exit(1 if missed and options.check else 0)


if __name__ == "__main__":
    main()
