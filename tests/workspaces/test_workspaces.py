"""A run gets its own checkout, and its commits arrive where a person looks for them."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.workspaces import Workspace, Workspaces, WorkspaceSettings

pytestmark = pytest.mark.anyio

Run = Callable[..., str]


async def test_a_run_works_on_its_own_branch_and_its_commit_appears_in_the_users_repository(
    workspaces: Workspaces, repository: Path, git: Run
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "app.py").write_text("print('two')\n")
    (workspace.path / "new.py").write_text("a\nb\n")

    made = await workspaces.commit(workspace, "Fix it")

    assert made is not None
    assert (made.files, made.files_changed, made.insertions, made.deletions) == (
        ("app.py", "new.py"),
        2,
        3,
        1,
    )
    assert git("rev-parse", "mosaic/run_1", cwd=repository) == made.sha
    assert git("show", "mosaic/run_1:new.py", cwd=repository) == "a\nb"
    assert (
        git("log", "-1", "--format=%an <%ae> %s", "mosaic/run_1", cwd=repository)
        == "MosAIc <mosaic@localhost> Fix it"
    )
    assert git("fsck", "--strict", cwd=repository) == ""
    assert git("status", "--porcelain", cwd=repository) == "", "the user's own checkout is left alone"
    assert git("status", "--porcelain", cwd=workspace.path) == ""
    assert git("rev-parse", "--abbrev-ref", "HEAD", cwd=repository) == "main"


async def test_a_directory_that_is_no_repository_is_imported_as_a_first_commit(
    workspaces: Workspaces, tmp_path: Path, git: Run
) -> None:
    source = tmp_path / "plain"
    (source / "pkg").mkdir(parents=True)
    (source / "pkg" / "tool").write_text("#!/bin/sh\n")
    (source / "pkg" / "tool").chmod(0o755)
    (source / "inner").symlink_to("pkg/tool")
    (source / "secret").symlink_to("/etc/passwd")
    (source / "sneaky").symlink_to("inner/../../../etc/passwd")
    os.mkfifo(source / "pipe")

    workspace = await workspaces.prepare("run_1", source)

    assert sorted(file.name for file in workspace.path.iterdir()) == [".git", "inner", "pkg"]
    assert (workspace.path / "inner").read_text() == "#!/bin/sh\n"
    assert os.access(workspace.path / "pkg" / "tool", os.X_OK)
    assert git("log", "--format=%s", cwd=workspace.path) == "Import plain"
    assert workspace.repository.parent.name == "repositories"


async def test_the_same_content_is_imported_once_and_two_runs_share_its_history(
    workspaces: Workspaces, tmp_path: Path, data_dir: Path
) -> None:
    source = tmp_path / "plain"
    source.mkdir()
    (source / "a").write_text("a")
    one, two = await asyncio.gather(workspaces.prepare("run_1", source), workspaces.prepare("run_2", source))
    assert one.base_commit == two.base_commit
    assert one.store == two.store
    (source / "a").write_text("changed")
    assert (await workspaces.prepare("run_3", source)).base_commit != one.base_commit
    assert [path for path in (data_dir / "repositories").iterdir() if path.name.startswith(".")] == []


async def test_a_directory_inside_somebody_elses_repository_is_imported_not_taken_for_it(
    workspaces: Workspaces, repository: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository / "tests")
    assert [file.name for file in workspace.path.iterdir() if file.name != ".git"] == ["test_app.py"]


async def test_preparing_again_returns_the_same_workspace_although_the_source_moved_on(
    workspaces: Workspaces, data_dir: Path, repository: Path, git: Run
) -> None:
    first = await workspaces.prepare("run_1", repository)
    (first.path / "kept").write_text("uncommitted work")
    git("commit", "--quiet", "--allow-empty", "-m", "second", cwd=repository)
    again = await Workspaces(data_dir).prepare("run_1", repository)
    assert again == first
    assert (first.path / "kept").read_text() == "uncommitted work"
    assert Workspace.from_json(first.to_json()) == first


async def test_a_run_starts_from_the_named_revision(
    workspaces: Workspaces, repository: Path, git: Run
) -> None:
    first = git("rev-parse", "HEAD", cwd=repository)
    git("commit", "--quiet", "--allow-empty", "-m", "second", cwd=repository)
    assert (await workspaces.prepare("run_1", repository, base="HEAD~1")).base_commit == first


@pytest.mark.parametrize("base", ["nowhere", "--output=/tmp/x", "-h"])
async def test_a_revision_that_names_nothing_is_refused(
    workspaces: Workspaces, repository: Path, base: str
) -> None:
    with pytest.raises(NotFound, match="has no commit named"):
        await workspaces.prepare("run_1", repository, base=base)


async def test_a_commit_with_nothing_to_commit_makes_none(workspaces: Workspaces, repository: Path) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    assert await workspaces.commit(workspace, "Nothing") is None
    assert await workspaces.head(workspace) == workspace.base_commit


async def test_repeating_a_commit_with_its_key_returns_the_commit_already_made(
    workspaces: Workspaces, repository: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "new").write_text("x")
    made = await workspaces.commit(workspace, "Work", key="run_1/commit#1")
    assert made is not None
    assert await workspaces.commit(workspace, "Work", key="run_1/commit#1") == made
    assert await workspaces.commit(workspace, "Work", key="run_1/commit#2") is None


async def test_a_missing_worktree_is_rebuilt_from_the_last_commit(
    workspaces: Workspaces, repository: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "new").write_text("kept")
    await workspaces.commit(workspace, "Work")
    shutil.rmtree(workspace.path)
    await workspaces.ensure(workspace)
    assert (workspace.path / "new").read_text() == "kept"


async def test_a_diff_shows_new_changed_and_deleted_files_and_is_bounded(
    data_dir: Path, repository: Path
) -> None:
    workspaces = Workspaces(data_dir, WorkspaceSettings(diff_bytes=20_000))
    workspace = await workspaces.prepare("run_1", repository)
    (workspace.path / "app.py").unlink()
    (workspace.path / "new.py").write_text("fresh\n")
    (workspace.path / "__pycache__").mkdir()
    (workspace.path / "__pycache__" / "x.pyc").write_text("junk")
    diff = await workspaces.diff(workspace)
    assert "-print('one')" in diff
    assert "+fresh" in diff
    assert "junk" not in diff
    (workspace.path / "big").write_text("line\n" * 100_000)
    diff = await workspaces.diff(workspace)
    assert len(diff) < 21_000
    assert diff.endswith("[cut: the diff is longer than 20000 bytes]\n")


async def test_removing_a_workspace_leaves_its_commits_and_nothing_else(
    workspaces: Workspaces, repository: Path, data_dir: Path, git: Run
) -> None:
    worked, idle = (
        await workspaces.prepare("run_1", repository),
        await workspaces.prepare("run_2", repository),
    )
    (worked.path / "new").write_text("x")
    (worked.path / "closed").mkdir(mode=0o000)
    await workspaces.commit(worked, "Work")
    for workspace in (worked, idle, idle):
        await workspaces.remove(workspace)
    left = [path.name for path in (data_dir / "workspaces").iterdir() if path.suffix != ".lock"]
    assert left == []
    assert git("branch", "--format=%(refname:short)", cwd=repository).split() == ["main", "mosaic/run_1"]


async def test_the_data_directory_ignores_itself_and_is_left_out_of_an_import(
    tmp_path: Path, git: Run
) -> None:
    source = tmp_path / "project"
    source.mkdir()
    (source / "a").write_text("a")
    workspaces = Workspaces(source / ".mosaic")
    first = await workspaces.prepare("run_1", source)
    second = await workspaces.prepare("run_2", source)
    assert first.base_commit == second.base_commit, "our own data is no part of the content"
    git("init", "--quiet", cwd=source)
    assert git("status", "--porcelain", cwd=source) == "?? a"


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".git", "a b", "x" * 200, "run\n1"])
async def test_a_run_id_that_is_no_plain_name_is_refused(
    workspaces: Workspaces, repository: Path, run_id: str
) -> None:
    with pytest.raises(InvalidInput, match="cannot name a workspace"):
        await workspaces.prepare(run_id, repository)


async def test_a_source_that_cannot_be_used_says_why(data_dir: Path, tmp_path: Path, git: Run) -> None:
    workspaces = Workspaces(data_dir, WorkspaceSettings(import_files=3))
    with pytest.raises(NotFound, match="not a directory"):
        await workspaces.prepare("run_1", tmp_path / "absent")
    empty = tmp_path / "empty"
    empty.mkdir()
    git("init", "--quiet", cwd=empty)
    with pytest.raises(InvalidInput, match="has no commit yet"):
        await workspaces.prepare("run_1", empty)
    broken = tmp_path / "broken"
    (broken / ".git").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="git cannot use"):
        await workspaces.prepare("run_1", broken)
    many = tmp_path / "many"
    many.mkdir()
    for number in range(4):
        (many / f"{number}").touch()
    with pytest.raises(InvalidInput, match="more than 3 files"):
        await workspaces.prepare("run_1", many)
    with pytest.raises(InvalidInput, match="lie inside each other"):
        await workspaces.prepare("run_1", data_dir / "workspaces")


async def test_a_workspace_of_another_data_directory_is_not_touched(
    workspaces: Workspaces, repository: Path, tmp_path: Path
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    with pytest.raises(NotFound, match="knows no workspace"):
        await Workspaces(tmp_path / "other").commit(workspace, "x")


async def test_a_branch_that_somebody_else_moved_is_not_overwritten(
    workspaces: Workspaces, repository: Path, git: Run
) -> None:
    workspace = await workspaces.prepare("run_1", repository)
    git("checkout", "--quiet", "mosaic/run_1", cwd=repository)
    git("commit", "--quiet", "--allow-empty", "-m", "mine", cwd=repository)
    mine = git("rev-parse", "HEAD", cwd=repository)
    (workspace.path / "new").write_text("x")
    with pytest.raises(Conflict, match="Somebody moved the branch"):
        await workspaces.commit(workspace, "Work")
    assert git("rev-parse", "mosaic/run_1", cwd=repository) == mine
    git("checkout", "--quiet", "main", cwd=repository)
    git("branch", "-m", "mosaic/run_1", "mine", cwd=repository)
    made = await workspaces.commit(workspace, "Work", key="k")
    assert git("rev-parse", "mosaic/run_1", cwd=repository) == await workspaces.head(workspace)
    assert made is None or made.sha == await workspaces.head(workspace)


async def test_many_runs_of_one_repository_prepare_and_commit_at_once(
    workspaces: Workspaces, repository: Path, git: Run
) -> None:
    async def work(number: int) -> str:
        workspace = await workspaces.prepare(f"run_{number}", repository)
        (workspace.path / "new").write_text(f"{number}\n")
        made = await workspaces.commit(workspace, f"Work {number}")
        assert made is not None
        return made.sha

    made = await asyncio.gather(*(work(number) for number in range(8)))
    assert len(set(made)) == 8
    for number, sha in enumerate(made):
        assert git("rev-parse", f"mosaic/run_{number}", cwd=repository) == sha


async def test_a_linked_worktree_and_a_shallow_clone_are_repositories_too(
    workspaces: Workspaces, repository: Path, tmp_path: Path, git: Run
) -> None:
    git("commit", "--quiet", "--allow-empty", "-m", "second", cwd=repository)
    linked, shallow = tmp_path / "linked", tmp_path / "shallow"
    git("worktree", "add", "--quiet", "-b", "side", str(linked), cwd=repository)
    git("clone", "--quiet", "--depth=1", f"file://{repository}", str(shallow), cwd=tmp_path)
    for number, root in enumerate((linked, shallow)):
        workspace = await workspaces.prepare(f"run_{number}", root)
        (workspace.path / "new").write_text("x")
        made = await workspaces.commit(workspace, "Work")
        assert made is not None
        assert git("rev-parse", f"mosaic/run_{number}", cwd=root) == made.sha
