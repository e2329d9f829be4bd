"""Path traversal and symlink races: a command plants links while our own tools walk the worktree."""

import asyncio
import contextlib
import os
import stat
from pathlib import Path

import pytest

from mosaic.core.errors import MosaicError
from mosaic.tools.builtin import delete_file, list_files, read_file, search_files, write_file
from tests.tools.adversarial.conftest import Attacker

pytestmark = pytest.mark.anyio

TRAVERSALS = [
    *("../../outside/secret", "a/../../../outside/secret", "./../../outside/secret", "{outside}/secret"),
    *("~/secret", "..\\..\\outside\\secret", "sub/../../../outside/secret", "link/secret", "chain/secret"),
    *(
        "file\0/secret",
        "/proc/self/root{outside}/secret",
        "/proc/self/cwd/x",
        "//{outside}/secret",
        "sub/up/secret",
    ),
]


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_no_spelling_of_a_path_leads_outside(
    attacker: Attacker, outside: Path, workspace: Path, path: str
) -> None:
    await attacker.run(
        f"mkdir sub; ln -s {outside} link; ln -s link chain; ln -s ../../../outside sub/up; true"
    )
    named = path.format(outside=outside)
    for tool, arguments in (
        (read_file, {"path": named}),
        (write_file, {"path": named, "content": "overwritten"}),
        (delete_file, {"path": named}),
        (list_files, {"path": os.path.dirname(named) or "."}),
        (search_files, {"path": named, "pattern": "secret"}),
    ):
        with contextlib.suppress(MosaicError):
            result = await tool.call(attacker.invocation, arguments)  # type: ignore[arg-type]  # plain JSON
            assert "a secret of the host" not in str(result.content)
    assert (outside / "secret").read_text() == "a secret of the host"
    assert os.listdir(outside) == ["secret"]


async def test_a_directory_of_a_command_cannot_be_outside(attacker: Attacker, outside: Path) -> None:
    await attacker.run(f"ln -s {outside} link")
    for directory in ("..", str(outside), "link", "link/.", "../../outside"):
        with pytest.raises(MosaicError):
            await attacker.run("pwd", directory=directory)


async def test_links_swapped_meanwhile_lead_nowhere(
    attacker: Attacker, outside: Path, workspace: Path
) -> None:
    """A command exchanges a directory and a file with links to the outside, as fast as it can, while we work."""
    swap = f"""
        mkdir -p d; echo mine > d/secret; ln -s {outside} l; echo mine > f; ln -s {outside}/secret k
        while :; do mv -T d x && mv -T l d && mv -T d l && mv -T x d; mv -T f y && mv -T k f && mv -T f k && mv -T y f; done
    """
    racing = asyncio.create_task(attacker.run(swap, timeout_s=4))
    async with asyncio.timeout(20):
        while not (workspace / "k").is_symlink() and not (workspace / "f").is_symlink():  # noqa: ASYNC110  # another process begins
            await asyncio.sleep(0.01)
    rounds = 0
    while not racing.done():
        for path in ("d/secret", "f", "d/new"):
            with contextlib.suppress(MosaicError):
                await write_file.call(attacker.invocation, {"path": path, "content": "overwritten"})
            with contextlib.suppress(MosaicError):
                result = await read_file.call(attacker.invocation, {"path": path})
                assert "a secret of the host" not in str(result.content)
        rounds += 1
    await racing
    assert rounds > 10
    assert (outside / "secret").read_text() == "a secret of the host"
    assert os.listdir(outside) == ["secret"]


async def test_a_link_put_where_our_draft_was_changes_nothing_outside(
    attacker: Attacker, outside: Path, workspace: Path
) -> None:
    """Before a file is in place it is a draft in the scratch directory, which commands may change too."""
    secret = outside / "secret"
    secret.chmod(0o600)
    scratch = f"{workspace}.scratch"
    swap = (
        "import os, sys\nplace, target = sys.argv[1:]\nwhile True:\n  for name in os.listdir(place):\n"
        "    if name.startswith('write-'):\n      try: os.symlink(target, place + '/x'); os.rename(place + '/x', place + '/' + name)\n"
        "      except OSError: pass"
    )
    racing = asyncio.create_task(
        attacker.run(argv=["python3", "-c", swap, scratch, str(secret)], timeout_s=4)
    )
    number = 0
    while not racing.done():
        with contextlib.suppress(MosaicError):
            await write_file.call(
                attacker.invocation, {"path": f"file{number % 50}", "content": "x" * 2_000_000}
            )
        number += 1
    await racing
    assert number > 10
    assert secret.read_text() == "a secret of the host"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


async def test_what_a_link_of_ours_names_is_not_opened_to_a_command(
    attacker: Attacker, outside: Path, workspace: Path
) -> None:
    """A command leaves links where the next one has its worktree's git, home and temporary directory."""
    scratch = f"{workspace}.scratch"
    await attacker.run(
        f"rm -rf {scratch}/home {scratch}/tmp; ln -s {outside} {scratch}/home; ln -s {outside} {scratch}/tmp;"
        f" printf 'gitdir: {outside}/worktrees/x' > .git; true"
    )
    with contextlib.suppress(MosaicError):
        seen = await attacker.run(
            f"cat ~/secret $TMPDIR/secret {outside}/secret; ls ~ {outside}; echo x > ~/secret"
        )
        assert "a secret of the host" not in seen["stdout"]
    assert (outside / "secret").read_text() == "a secret of the host"


async def test_a_git_pointer_of_a_commands_making_opens_nothing(
    attacker: Attacker, outside: Path, workspace: Path
) -> None:
    """The repository behind a worktree is readable; what a command says of it must not decide which one that is."""
    fake = f"{workspace}/fake/worktrees/x"
    await attacker.run(
        f"mkdir -p {fake} fake/objects/info; echo {outside} > fake/objects/info/alternates;"
        f" echo {workspace}/.git > {fake}/gitdir; echo 'gitdir: {fake}' > .git"
    )
    assert (await attacker.run(f"cat {outside}/secret; ls {outside}"))["stdout"] == ""
    (workspace / ".git").unlink(missing_ok=True)
    await attacker.run(f"ln -s {outside} .git")
    with contextlib.suppress(MosaicError):
        assert (await attacker.run(f"cat .git/secret {outside}/secret"))["stdout"] == ""
