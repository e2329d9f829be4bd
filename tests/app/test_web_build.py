"""Building the board: only what has changed, whole or not at all, and never at the server's cost."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from mosaic.app.node import find_node
from mosaic.app.web_build import Board

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")]

# A `vite` and an npm of three lines: what is built is not the point, that it is swapped in and survives errors is.
_VITE = """
import {{ mkdirSync, readFileSync, writeFileSync }} from "node:fs";
const out = process.argv[process.argv.indexOf("--outDir") + 1];
const text = readFileSync("main.js", "utf8");
if (text.includes("broken")) {{ console.error("main.js:1: broken"); process.exit(1); }}
if (text.includes("slow")) await new Promise((done) => setTimeout(done, {slow_ms}));
mkdirSync(out, {{ recursive: true }});
writeFileSync(out + "/index.html", text);
"""


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources whose packages an npm of ours installs."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "package-lock.json").write_text("{}")
    (folder / "main.js").write_text("one")
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "vite.js").write_text(_VITE.format(slow_ms=60_000))
    npm = programs / "npm"
    npm.write_text(
        f"#!/bin/sh\n[ \"$1\" = --version ] && echo 11.0.0 && exit\necho x >>'{tmp_path}/installs'\n"
        f"mkdir -p node_modules/vite/bin && cp '{tmp_path}/vite.js' node_modules/vite/bin/vite.js\n"
        'echo \'{"type": "module"}\' >node_modules/vite/package.json\n'
    )
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return folder


def board_of(sources: Path) -> Board:
    return Board(sources=sources, cache=sources.parent / "cache" / "board")


async def prepared(sources: Path) -> tuple[Board, str]:
    """Prepare the board; return it and what was said."""
    board, said = board_of(sources), []
    await board.prepare(said.append)
    return board, "\n".join(said)


async def test_a_build_is_made_once_and_again_when_the_sources_change(sources: Path) -> None:
    board, said = await prepared(sources)
    first = board.state.folder
    assert (board.state.status, "ready" in said) == ("ready", True)
    assert first is not None
    assert (first / "index.html").read_text() == "one"
    board, said = await prepared(sources)
    assert (board.state.folder, said) == (first, "")
    (sources / "main.js").write_text("two")
    (sources / "main.test.ts").write_text("not part of a build")
    board, said = await prepared(sources)
    assert board.state.folder is not None
    assert (board.state.folder / "index.html").read_text() == "two"
    # The lock of the packages has not changed: they were installed once.
    assert (sources.parent / "installs").read_text() == "x\n"


async def test_a_broken_build_leaves_the_older_board_and_says_what_the_compiler_said(sources: Path) -> None:
    board, _ = await prepared(sources)
    older = board.state.folder
    (sources / "main.js").write_text("broken")
    board, said = await prepared(sources)
    assert (board.state.status, board.state.folder) == ("failed", older)
    assert "main.js:1: broken" in said
    assert "The API works" in said
    (sources / "main.js").write_text("mended")
    board, _ = await prepared(sources)
    assert board.state.status == "ready"


async def test_without_any_build_there_is_none_and_a_reason(sources: Path) -> None:
    (sources / "main.js").write_text("broken")
    board, said = await prepared(sources)
    assert (board.state.status, board.state.folder) == ("failed", None)
    assert "there is no board" in said
    assert board_of(sources.parent / "nowhere").state.status == "missing"


async def test_two_servers_build_once(sources: Path) -> None:
    both = await asyncio.gather(prepared(sources), prepared(sources))
    assert {board.state.status for board, _ in both} == {"ready"}
    assert (sources.parent / "installs").read_text() == "x\n"


async def test_stopping_in_the_middle_of_a_build_leaves_nothing_behind(sources: Path) -> None:
    (sources / "main.js").write_text("slow")
    board = board_of(sources)
    building = asyncio.create_task(board.prepare(lambda _: None))
    async with asyncio.timeout(60):
        while not (sources / "node_modules" / ".mosaic-lock").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert board.state.status == "building"
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    (sources / "main.js").write_text("quick")
    board, _ = await prepared(sources)
    assert board.state.status == "ready"


def test_a_node_that_is_too_old_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in (("node", "v18.0.0"), ("npm", "9.0.0")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert find_node(tmp_path / "none") is None
    (tmp_path / "node").write_text("#!/bin/sh\necho v22.1.0\n")
    found = find_node(tmp_path / "none")
    assert found is not None
    assert found.npm == (str(tmp_path / "npm"),)
