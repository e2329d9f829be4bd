"""A real server with the board built from this checkout, and Debian's chromium in front of it."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from mosaic.app.requests import run_request
from mosaic.core.values import JsonObject
from tests.app.site import write_workflow

WAIT_S = 90.0
_PAUSE = threading.Event()  # between two looks at another process, which sets no event of ours
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

expect.set_options(timeout=30_000)


@dataclass
class Server:
    """`mosaic up`, and the owner's own client to it."""

    process: subprocess.Popen[str]
    address: str
    sign_in: str
    http: httpx2.Client
    folder: Path

    def code(self) -> str:
        """A fresh code for one browser."""
        code: str = self.http.post("/session/codes").json()["code"]
        return code

    def start(self, name: str, text: str, **options: Any) -> JsonObject:
        """Start a workflow of this text, as a program would."""
        request = run_request(write_workflow(self.folder / "flows" / name, text), inputs={}, options=options)
        answer = self.http.post("/runs", json=request)
        assert answer.status_code == 201, answer.text
        started: JsonObject = answer.json()
        return started

    def until(self, path: str, fits: Callable[[JsonObject], bool]) -> JsonObject:
        """Ask until an answer fits."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            answer: JsonObject = self.http.get(path).json()
            if fits(answer):
                return answer
            _PAUSE.wait(0.1)
        raise AssertionError(f"{path} never became what was waited for: {answer}")

    def stop(self) -> None:
        """End it, as a person at the terminal would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


def start_server(folder: Path, *arguments: str) -> Server:
    """Start `mosaic up` and wait until it shows the board."""
    home = folder / "home"
    process = subprocess.Popen(
        [sys.executable, "-m", "mosaic.cli", "up", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "MOSAIC_HOME": str(home)},
    )
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    said: list[str] = []

    def line(start: str) -> str:
        while True:
            said.append(lines.get(timeout=WAIT_S))
            if said[-1].startswith(start):
                return said[-1].split(start)[1].split()[0]

    try:
        address, sign_in = line("MosAIc answers on "), line("Open the board: ")
        token = (home / "owner-token").read_text().strip()
        http = httpx2.Client(
            base_url=f"{address}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=WAIT_S,
            trust_env=False,
        )
        server = Server(process, address, sign_in, http, folder)
        deadline = time.monotonic() + 3 * WAIT_S
        while 'id="root"' not in http.get(f"{address}/").text:
            assert time.monotonic() < deadline, f"the board was never there: {said}"
            _PAUSE.wait(0.2)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return server


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for text in process.stdout:
        lines.put(text)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One installation for every journey; the example team has run in it."""
    server = start_server(tmp_path_factory.mktemp("board"))
    server.until("/runs", lambda page: any(run["status"] == "succeeded" for run in page["items"]))
    yield server
    server.stop()
    server.http.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's chromium."""
    assert Path(CHROMIUM).exists(), "chromium is missing: apt-get install -y --no-install-recommends chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that no page may do.

    Attributes:
        wrong: errors in the console, exceptions, requests to elsewhere.
        expected: parts of messages that a journey provokes on purpose.
    """

    address: str
    wrong: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def on(self, context: BrowserContext) -> None:
        context.on("console", lambda message: message.type == "error" and self._say(message.text))
        context.on("weberror", lambda error: self._say(f"exception: {error.error}"))
        context.on("request", lambda request: self._request(request.url))

    def _request(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self._say(f"request to {url}")

    def _say(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.wrong.append(text)


def open_page(browser: Browser, server: Server, watch: Watch, **options: Any) -> Page:
    """Open the board, signed in."""
    context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    watch.on(context)
    page = context.new_page()
    page.goto(f"{server.address}/#code={server.code()}")
    expect(page.get_by_role("navigation", name="Places")).to_be_visible()
    return page


@pytest.fixture
def watch(server: Server) -> Iterator[Watch]:
    """Fails a journey that left an error in the console or asked another host."""
    watch = Watch(server.address)
    yield watch
    assert not watch.wrong


@pytest.fixture
def page(browser: Browser, server: Server, watch: Watch) -> Iterator[Page]:
    """A signed-in page of its own context."""
    page = open_page(browser, server, watch)
    yield page
    page.context.close()
