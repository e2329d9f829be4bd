"""A checkpoint holds the files as they were, and another run can begin there."""

from pathlib import Path

import pytest

from mosaic.core.errors import NotFound
from mosaic.workspaces import Workspaces

pytestmark = pytest.mark.anyio


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.txt").write_text("first\n")
    return folder


@pytest.mark.requirement("MAOS-18")
async def test_a_run_can_begin_where_another_run_was_before_a_step(tmp_path: Path, source: Path) -> None:
    workspaces = Workspaces(tmp_path / "data")
    old = await workspaces.prepare("run_old", source)
    assert await workspaces.checkpoint(old, label="plan") == old.base_commit
    (old.path / "a.txt").write_text("second\n")
    kept = await workspaces.checkpoint(old, label="code")
    (old.path / "a.txt").write_text("third\n")
    await workspaces.commit(old, "the end")
    new = await workspaces.prepare("run_new", source, checkpoint=kept)
    assert (new.path / "a.txt").read_text() == "second\n"
    assert (old.path / "a.txt").read_text() == "third\n"


@pytest.mark.requirement("MAOS-18", "ENT-26")
async def test_a_checkpoint_does_not_move_the_branch(tmp_path: Path, source: Path) -> None:
    workspaces = Workspaces(tmp_path / "data")
    workspace = await workspaces.prepare("run_one", source)
    (workspace.path / "a.txt").write_text("second\n")
    await workspaces.checkpoint(workspace, label="code")
    assert await workspaces.head(workspace) == workspace.base_commit


async def test_a_checkpoint_that_is_gone_is_named(tmp_path: Path, source: Path) -> None:
    workspaces = Workspaces(tmp_path / "data")
    with pytest.raises(NotFound, match="0123456789"):
        await workspaces.prepare("run_two", source, checkpoint="0123456789" * 4)
