"""The file tools stay inside the worktree, whatever they are asked and whatever lies there."""

import os
import shutil
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import Conflict, InvalidInput, MosaicError, NotFound, PermissionDenied
from mosaic.tools import Invocation
from mosaic.tools.builtin import delete_file, edit_file, list_files, read_file, write_file
from mosaic.tools.builtin.files import confined
from mosaic.tools.paths import is_git_name

pytestmark = pytest.mark.anyio

Invoked = Callable[..., Invocation]


async def content(tool: Any, invocation: Invocation, **arguments: Any) -> Any:
    return (await tool.call(invocation, arguments)).content


@pytest.mark.requirement("MOZ-42")
async def test_a_file_is_written_read_edited_listed_and_deleted(
    invocation: Invocation, workspace: Path
) -> None:
    made = await content(write_file, invocation, path="src/new/app.py", content="one\ntwo\nthree\n")
    assert made == {"path": "src/new/app.py", "size_bytes": 14, "created": True}
    read = await content(read_file, invocation, path="src/new/app.py", start_line=2, end_line=2)
    assert (read["content"], read["total_lines"]) == ("two\n", 3)
    assert await content(edit_file, invocation, path="src/new/app.py", old="two", new="2") == {
        "path": "src/new/app.py",
        "replaced": 1,
    }
    assert (workspace / "src/new/app.py").read_text() == "one\n2\nthree\n"
    listed = await content(list_files, invocation, pattern="**/*.py")
    assert listed["entries"] == [{"path": "src/new/app.py", "type": "file", "size_bytes": 12}]
    assert (await content(delete_file, invocation, path="src", recursive=True))["entries"] == 3
    assert os.listdir(workspace) == []


@pytest.mark.requirement("MOZ-34")
@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "a/../../outside",
        "/etc/passwd",
        "~/x",
        "..",
        "a\\..\\b",
        ".git/config",
        ".git",
        ".GIT/hooks/pre-commit",
        "sub/.git/config",
        ".git./config",
        ".git /config",
        "git~1/config",
        ".g\u200cit/config",
        ".\uff47it/config",
        ".git::$INDEX_ALLOCATION/config",
    ],
)
async def test_a_path_outside_or_into_git_is_refused(
    invocation: Invocation, workspace: Path, path: str
) -> None:
    (workspace / "a").mkdir()
    (workspace / "sub").mkdir()
    for tool, more in ((read_file, {}), (write_file, {"content": "x"}), (delete_file, {"recursive": True})):
        with pytest.raises(PermissionDenied):
            await tool.call(invocation, {"path": path, **more})
    with pytest.raises(PermissionDenied):
        await edit_file.call(invocation, {"path": path, "old": "a", "new": "b"})


@pytest.mark.parametrize("path", ["", "a\0b", "a\nb", "x" * 5_000, "\ud800"])
async def test_a_path_that_is_none_is_refused(invocation: Invocation, path: str) -> None:
    with pytest.raises(InvalidInput):
        await write_file.call(invocation, {"path": path, "content": "x"})


@pytest.mark.parametrize("name", [".github", "git", ".gitignore", "a.git", "git~2", ".gitattributes"])
def test_names_that_only_resemble_git_are_free(name: str) -> None:
    assert not is_git_name(name)


async def test_links_that_stay_inside_are_followed_and_others_are_not(
    invocation: Invocation, workspace: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (workspace / "real").mkdir()
    (workspace / "real" / "file").write_text("inside")
    (workspace / "inner").symlink_to("real/file")
    (workspace / "real" / "up").symlink_to("../inner")
    (workspace / "directory").symlink_to("real")
    (workspace / "absolute").symlink_to(secret)
    (workspace / "climbing").symlink_to("real/../../../secret")
    (workspace / "loop").symlink_to("loop")
    (workspace / "into-git").symlink_to(".git")
    for path in ("inner", "real/up", "directory/file", "directory/up"):
        assert (await content(read_file, invocation, path=path))["content"] == "inside"
    for path in ("absolute", "climbing", "loop", "into-git/config"):
        with pytest.raises(PermissionDenied):
            await read_file.call(invocation, {"path": path})
        with pytest.raises(PermissionDenied):
            await write_file.call(invocation, {"path": path, "content": "x"})
    await write_file.call(invocation, {"path": "inner", "content": "through the link"})
    assert (workspace / "real" / "file").read_text() == "through the link"
    await delete_file.call(invocation, {"path": "absolute"})
    assert secret.read_text() == "secret", "the link is gone, not its target"
    listed = await content(list_files, invocation, recursive=True)
    assert "secret" not in str([entry for entry in listed["entries"] if entry["type"] == "file"])


async def test_links_planted_meanwhile_do_not_lead_outside(
    invocation: Invocation, workspace: Path, tmp_path: Path
) -> None:
    """An agent's own background process swaps a directory for a link, as fast as it can."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    (workspace / "real").mkdir()
    (workspace / "real" / "file").write_text("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for step in (
                lambda: os.rename(workspace / "real", workspace / "parked"),
                lambda: os.symlink(outside, workspace / "real"),
                lambda: os.unlink(workspace / "real"),
                lambda: os.rename(workspace / "parked", workspace / "real"),
            ):
                with suppress(OSError):  # the writes below make directories too
                    step()

    files = confined(invocation)
    seen = {files.read("real/file", limit_bytes=100)}
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(3_000):
            with suppress(MosaicError):
                seen.add(files.read("real/file", limit_bytes=100))
            with suppress(MosaicError):
                files.write("real/file", b"inside")
    finally:
        stop.set()
        thread.join()
    assert seen == {b"inside"}
    assert (outside / "file").read_text() == "outside"
    assert sorted(file.name for file in outside.iterdir()) == ["file"]


async def test_pipes_and_devices_do_not_hang_a_read(invocation: Invocation, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    for tool, more in ((read_file, {}), (write_file, {"content": "x"})):
        with pytest.raises(InvalidInput, match="not a regular file"):
            await tool.call(invocation, {"path": "pipe", **more})


async def test_replacing_a_file_keeps_its_mode_and_leaves_its_hard_links_alone(
    invocation: Invocation, workspace: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    outside.chmod(0o755)
    os.link(outside, workspace / "linked")
    await write_file.call(invocation, {"path": "linked", "content": "new"})
    assert outside.read_text() == "precious"
    assert stat.S_IMODE((workspace / "linked").stat().st_mode) == 0o755


async def test_a_long_file_is_read_in_parts(invocation: Invocation, workspace: Path) -> None:
    (workspace / "long").write_text("".join(f"line {number}\n" for number in range(1, 20_001)))
    seen, start = 0, 1
    while start:
        part = await content(read_file, invocation, path="long", start_line=start)
        assert part["content"].startswith(f"line {start}\n")
        seen += part["end_line"] - start + 1
        start = part.get("next_line", 0)
    assert seen == 20_000


async def test_what_cannot_be_read_as_text_says_so(invocation: Invocation, workspace: Path) -> None:
    (workspace / "binary").write_bytes(b"\x7fELF\0\0")
    (workspace / "latin").write_bytes("caf\xe9".encode("latin-1"))
    with pytest.raises(InvalidInput, match="binary"):
        await read_file.call(invocation, {"path": "binary"})
    assert (await content(read_file, invocation, path="latin"))["content"] == "caf\ufffd"
    with pytest.raises(InvalidInput, match="not UTF-8"):
        await edit_file.call(invocation, {"path": "latin", "old": "c", "new": "d"})
    with pytest.raises(InvalidInput, match="no line 9"):
        await read_file.call(invocation, {"path": "latin", "start_line": 9})
    with pytest.raises(NotFound):
        await read_file.call(invocation, {"path": "absent"})


async def test_an_edit_must_meet_its_count(invoked: Invoked, workspace: Path) -> None:
    (workspace / "f").write_text("def total(a, b):\n    return a - b\nx\nx\n")
    with pytest.raises(Conflict, match="stands 2 times in f, not 1"):
        await edit_file.call(invoked(), {"path": "f", "old": "x", "new": "y"})
    with pytest.raises(Conflict) as caught:
        await edit_file.call(invoked(), {"path": "f", "old": "def total(a,b):", "new": "y"})
    assert caught.value.hint == "The nearest line is: 'def total(a, b):'"
    await edit_file.call(invoked(), {"path": "f", "old": "x", "new": "y", "count": 2})
    assert (workspace / "f").read_text().endswith("y\ny\n")


async def test_an_edit_that_a_crash_cut_short_is_recognised_when_it_is_repeated(
    invoked: Invoked, workspace: Path
) -> None:
    (workspace / "f").write_text("one")
    edit = {"path": "f", "old": "one", "new": "one one"}
    await edit_file.call(invoked(idempotency_key="a"), edit)
    await edit_file.call(invoked(idempotency_key="a"), edit)
    assert (workspace / "f").read_text() == "one one", "the same call again changes nothing"
    with pytest.raises(Conflict):
        await edit_file.call(invoked(idempotency_key="b"), edit)


async def test_a_delete_that_a_crash_cut_short_is_recognised_when_it_is_repeated(
    invoked: Invoked, workspace: Path
) -> None:
    (workspace / "f").write_text("x")
    for _ in range(2):
        assert (await content(delete_file, invoked(idempotency_key="a"), path="f"))["deleted"]
    with pytest.raises(NotFound):
        await delete_file.call(invoked(idempotency_key="b"), {"path": "f"})
    shutil.rmtree(invoked().scratch or "")
    with pytest.raises(NotFound):
        await delete_file.call(invoked(idempotency_key="a"), {"path": "f"})


async def test_a_directory_is_deleted_only_when_that_is_said_and_the_root_never(
    invocation: Invocation, workspace: Path
) -> None:
    (workspace / "d").mkdir()
    (workspace / "d" / "f").touch()
    with pytest.raises(InvalidInput, match="directory with entries"):
        await delete_file.call(invocation, {"path": "d"})
    for path in (".", "./", "./."):
        with pytest.raises(PermissionDenied, match="itself"):
            await delete_file.call(invocation, {"path": path, "recursive": True})
    assert (workspace / "d" / "f").exists()


async def test_a_preview_shows_the_change_and_makes_none(invocation: Invocation, workspace: Path) -> None:
    (workspace / "f").write_text("one\ntwo\n")
    shown = await edit_file.preview(invocation, {"path": "f", "old": "two", "new": "2"})
    assert shown["diff"] == "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    shown = await edit_file.preview(invocation, {"path": "f", "old": "three", "new": "3"})
    assert "will fail" in shown["note"]
    shown = await delete_file.preview(invocation, {"path": "f"})
    assert "-one\n-two\n" in shown["diff"]
    (workspace / "d").mkdir()
    (workspace / "d" / "g").touch()
    assert (await delete_file.preview(invocation, {"path": "d", "recursive": True}))["deletes"] == [
        "d",
        "d/g",
    ]
    assert "does not exist" in (await delete_file.preview(invocation, {"path": "x"}))["note"]
    assert "+new\n" in (await write_file.preview(invocation, {"path": "n", "content": "new\n"}))["diff"]
    assert (workspace / "f").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.py", ["a.py"]),
        ("**/*.py", ["a.py", "s/b.py", "s/t/c.py"]),
        ("s/**", ["s", "s/b.py", "s/t", "s/t/c.py"]),
        ("s/*", ["s/b.py", "s/t"]),
        ("**/t/**/c.*", ["s/t/c.py"]),
        ("?.py", ["a.py"]),
    ],
)
async def test_globs(invocation: Invocation, workspace: Path, pattern: str, names: list[str]) -> None:
    (workspace / "s" / "t").mkdir(parents=True)
    for name in ("a.py", "s/b.py", "s/t/c.py"):
        (workspace / name).touch()
    (workspace / ".git").write_text("gitdir: elsewhere")
    listed = await content(list_files, invocation, pattern=pattern)
    assert [entry["path"] for entry in listed["entries"]] == names
    assert len((await content(list_files, invocation, path="s", pattern="*.py"))["entries"]) == 1


async def test_a_listing_is_bounded_and_says_so(invocation: Invocation, workspace: Path) -> None:
    for number in range(30):
        (workspace / f"{number:02}").touch()
    listed = await list_files.call(invocation, {"limit": 10})
    assert listed.truncated
    assert len(listed.content["entries"]) == 10  # type: ignore[index,call-overload]


async def test_without_a_worktree_nothing_is_touched(invoked: Invoked) -> None:
    with pytest.raises(PermissionDenied, match="no worktree"):
        await read_file.call(invoked(workspace=None), {"path": "x"})
