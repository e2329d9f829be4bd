"""Searching is bounded in time, whatever the pattern."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import InvalidInput, PermissionDenied, TimedOut
from mosaic.tools import Invocation
from mosaic.tools.builtin import search_files

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]


async def found(invocation: Invocation, **arguments: Any) -> list[tuple[str, int]]:
    result = await search_files.call(invocation, arguments)
    return [(match["path"], match["line"]) for match in result.content["matches"]]  # type: ignore[index,call-overload]


@pytest.fixture
def tree(workspace: Path, tmp_path: Path) -> Path:
    (workspace / "src" / "deep").mkdir(parents=True)
    (workspace / "src" / "a.py").write_text("import os\ndef total():\n    pass\n")
    (workspace / "src" / "deep" / "b.py").write_text("# TOTAL\ntotal()\n")
    (workspace / "notes.txt").write_text("total a.b\n")
    (workspace / "binary").write_bytes(b"total\0total")
    (workspace / ".git").mkdir()
    (workspace / ".git" / "config").write_text("total")
    (tmp_path / "secret").write_text("total")
    (workspace / "leak").symlink_to(tmp_path / "secret")
    (workspace / "leaks").symlink_to(tmp_path)
    os.mkfifo(workspace / "pipe")
    return workspace


@pytest.mark.usefixtures("tree")
async def test_matches_come_with_their_place_and_never_from_outside(invocation: Invocation) -> None:
    assert await found(invocation, pattern="total") == [
        ("notes.txt", 1),
        ("src/a.py", 2),
        ("src/deep/b.py", 2),
    ]
    assert await found(invocation, pattern="total", glob="**/*.py") == [("src/a.py", 2), ("src/deep/b.py", 2)]
    assert await found(invocation, pattern="total", glob="src/*.py") == [("src/a.py", 2)]
    assert await found(invocation, pattern="total", path="src/deep", ignore_case=True) == [
        ("src/deep/b.py", 1),
        ("src/deep/b.py", 2),
    ]
    assert await found(invocation, pattern="total", path="notes.txt") == [("notes.txt", 1)]
    assert await found(invocation, pattern="a.b", literal=True) == [("notes.txt", 1)]
    assert await found(invocation, pattern="^def \\w+") == [("src/a.py", 2)]


@pytest.mark.usefixtures("tree")
async def test_a_search_does_not_start_outside(invocation: Invocation) -> None:
    for path in ("..", "/etc", "leaks", "leak", ".git"):
        with pytest.raises(PermissionDenied):
            await search_files.call(invocation, {"pattern": "x", "path": path})
    with pytest.raises(InvalidInput, match="cannot be searched"):
        await search_files.call(invocation, {"pattern": "x", "path": "absent"})


async def test_a_pattern_that_never_ends_costs_its_time_limit(invoked: Invoked, workspace: Path) -> None:
    (workspace / "f").write_text("a" * 60 + "!\n")
    with pytest.raises(TimedOut, match="longer than 1 s"):
        await search_files.call(invoked(timeout_s=1.0), {"pattern": "(a+)+$"})


async def test_a_pattern_that_is_none_is_explained(invocation: Invocation) -> None:
    with pytest.raises(InvalidInput, match="no regular expression"):
        await search_files.call(invocation, {"pattern": "(unclosed"})


async def test_matches_are_bounded_and_say_so(invocation: Invocation, workspace: Path) -> None:
    (workspace / "f").write_text("x\n" * 1_000)
    result = await search_files.call(invocation, {"pattern": "x", "limit": 7})
    assert result.truncated
    assert len(result.content["matches"]) == 7  # type: ignore[index,call-overload]
