"""Our own repository behind the worktrees of one source.

A worktree never hangs on the user's ``.git``: it hangs on a bare repository of ours that borrows the user's objects
(``objects/info/alternates``). So neither git in a worktree nor the orchestrator's git reads the configuration, hooks
or attributes that came with the source, and nothing an agent does to the repository it can see reaches the user's.
Only three commands ever run on the source, none of which executes anything: ``rev-parse``, ``index-pack`` and
``update-ref``, the last two to hand over a finished commit and its branch.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mosaic.core.errors import Conflict, InvalidInput, NotFound, Unavailable
from mosaic.core.git import LIST_CONFIG_KEYS, driver_overrides
from mosaic.workspaces.git import Git, GitFailed
from mosaic.workspaces.importing import ImportedTree, copy_tree, tree_digest
from mosaic.workspaces.settings import WorkspaceSettings

__all__ = [
    "Source",
    "Store",
    "borrow",
    "hand_over",
    "identity",
    "import_directory",
    "is_repository",
    "open_source",
    "resolve_commit",
    "take_back",
    "write_file",
]

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_IMPORT_DATE = "2000-01-01T00:00:00Z"
_CONFIG = """\
# Written by MosAIc before every use; changes are lost.
[core]
\trepositoryformatversion = {version}
\tbare = true
\tfilemode = true
\tsymlinks = true
[gc]
\tauto = 0
[receive]
\tdenyCurrentBranch = refuse
"""
_SHA256 = "[extensions]\n\tobjectFormat = sha256\n"
_IGNORED = "__pycache__/\n*.pyc\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.hypothesis/\n.DS_Store\n"


@dataclass(frozen=True, slots=True)
class Source:
    """The user's repository.

    Attributes:
        root: as the user knows it.
        git: git on it, with its drivers emptied.
        common_dir: where its objects and branches are.
    """

    root: Path
    git: Git
    common_dir: Path


@dataclass(frozen=True, slots=True)
class Store:
    """A bare repository of ours; `source` is None when the content was imported into it."""

    path: Path
    source: Source | None

    def git(self, settings: WorkspaceSettings, *keep_open: int) -> Git:
        """Return git on this repository."""
        return Git(self.path, timeout_s=settings.git_timeout_s, keep_open=keep_open)

    def restore_configuration(self) -> None:
        """Write the repository's configuration anew: agents may have reached it."""
        config = _CONFIG.format(version=0)
        if (self.path / "sha256").exists():
            config = _CONFIG.format(version=1) + _SHA256
        write_file(self.path / "config", config)
        write_file(self.path / "info" / "exclude", _IGNORED)
        for leftover in ("info/attributes", "info/sparse-checkout", "config.worktree", "info/grafts"):
            (self.path / leftover).unlink(missing_ok=True)


def is_repository(directory: Path) -> bool:
    """Say whether `directory` itself is a repository; one further up does not count."""
    if (directory / ".git").exists():
        return True
    return all((directory / part).exists() for part in ("HEAD", "objects", "refs"))


async def open_source(root: Path, settings: WorkspaceSettings) -> Source:
    """Return git on the user's repository at `root`, with every program its configuration names emptied.

    Raises:
        InvalidInput: if git cannot read it.
    """
    git_dir = root / ".git" if (root / ".git").exists() else root
    plain = Git(git_dir, timeout_s=settings.git_timeout_s)
    try:
        listing, _ = await plain.bounded(*LIST_CONFIG_KEYS)
        common = await plain.text("rev-parse", "--path-format=absolute", "--git-common-dir")
    except GitFailed as error:
        raise InvalidInput(
            f"{root} has a .git that git cannot use: {error.message}", hint="Try: git -C PATH status"
        ) from error
    git = Git(git_dir, timeout_s=settings.git_timeout_s, overrides=driver_overrides(listing))
    if git_dir.is_file():
        await _check_pointer(root, git)
    elif not _same(Path(common), git_dir):
        raise InvalidInput(
            f"{git_dir} is part of another repository, {common}.", hint="Name that one instead."
        )
    return Source(root, git, Path(common))


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


async def _check_pointer(root: Path, git: Git) -> None:
    """Check that the repository a ``.git`` file points to points back: a planted file could name anyone's."""
    git_dir = Path(await git.text("rev-parse", "--absolute-git-dir"))
    try:
        points_back = Path((git_dir / "gitdir").read_text().strip())
    except OSError:
        try:  # a submodule
            points_back = git_dir / await git.text("config", "--get", "core.worktree") / ".git"
        except GitFailed:
            points_back = git_dir
    if points_back.resolve() != (root / ".git").resolve():
        raise InvalidInput(
            f"{root}/.git points to {git_dir}, which belongs to another directory.",
            hint="Repair it with: git worktree repair",
        )


async def resolve_commit(source: Source, revision: str | None) -> str:
    """Return the commit that `revision` (HEAD when None) names.

    Raises:
        NotFound: if it names none.
    """
    wanted = revision or "HEAD"
    try:
        return await source.git.text(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}"
        )
    except GitFailed:
        if revision is None:
            raise InvalidInput(
                f"{source.root} has no commit yet.", hint="Commit once, then run again."
            ) from None
        raise NotFound(
            f"{source.root} has no commit named {revision!r}.", hint="List them: git log"
        ) from None


async def borrow(source: Source, repositories: Path, settings: WorkspaceSettings) -> Store:
    """Return our repository that borrows the objects of `source`; makes it at the first use."""
    objects = Path(await source.git.text("rev-parse", "--path-format=absolute", "--git-path", "objects"))
    if "\n" in str(objects):
        raise InvalidInput("The path of the repository holds a line break.")
    digest = hashlib.sha256(os.fsencode(source.common_dir.resolve())).hexdigest()[:12]
    store = Store(repositories / f"{_plain(source.root.name)}-{digest}.git", source)
    if not store.path.exists():
        form = await source.git.text("rev-parse", "--show-object-format")
        await _initialise(store.path, settings, object_format=form)
    store.restore_configuration()
    write_file(store.path / "objects" / "info" / "alternates", f"{objects}\n")
    with contextlib.suppress(FileNotFoundError):
        # A shallow clone's boundary is needed wherever its objects are read.
        write_file(store.path / "shallow", (source.common_dir / "shallow").read_text())
    return store


async def import_directory(
    source: Path, repositories: Path, settings: WorkspaceSettings, *, data_dir: Path
) -> tuple[Store, str]:
    """Return a repository whose one commit is the content of `source`, and that commit.

    The same content always gives the same repository and commit.

    Args:
        source: the directory, resolved.
        repositories: where our repositories live.
        settings: the bounds.
        data_dir: left out of the import when it lies in `source`.

    Raises:
        InvalidInput: if the directory cannot be read or holds too much.
        Unavailable: if it changes while it is copied.
    """
    bounds = partial(_bounded, leave_out=data_dir, settings=settings)
    tree = await asyncio.to_thread(bounds, source, None)
    store = Store(repositories / f"{_plain(source.name)}-{tree.digest[:12]}.git", None)
    if not store.path.exists():
        work = repositories / f".import-{secrets.token_hex(8)}"
        try:
            copied = await asyncio.to_thread(bounds, source, work / "tree")
            if copied.digest != tree.digest:
                raise Unavailable(
                    f"{source} changed while it was copied.", hint="Run again when it is at rest."
                )
            await _commit_tree(work, settings, name=source.name)
            with contextlib.suppress(OSError):  # another process made the same one in the meantime
                (work / "repository").rename(store.path)
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    store.restore_configuration()
    return store, await store.git(settings).text("rev-parse", "--verify", "refs/heads/main^{commit}")


def _bounded(
    source: Path, target: Path | None, *, leave_out: Path, settings: WorkspaceSettings
) -> ImportedTree:
    max_files, max_bytes = settings.import_files, settings.import_bytes
    if target is None:
        return tree_digest(source, leave_out=leave_out, max_files=max_files, max_bytes=max_bytes)
    return copy_tree(source, target, leave_out=leave_out, max_files=max_files, max_bytes=max_bytes)


async def _commit_tree(work: Path, settings: WorkspaceSettings, *, name: str) -> None:
    await _initialise(work / "repository", settings, object_format="sha1")
    dates = {"GIT_AUTHOR_DATE": _IMPORT_DATE, "GIT_COMMITTER_DATE": _IMPORT_DATE, **identity(settings)}
    git = Git(work / "repository", work_tree=work / "tree", timeout_s=settings.git_timeout_s, variables=dates)
    await git.text("add", "--all")
    tree = await git.text("write-tree")
    commit = await git.text("commit-tree", tree, "-m", f"Import {name}")
    await git.text("update-ref", "refs/heads/main", commit)
    (work / "repository" / "index").unlink(missing_ok=True)


async def _initialise(path: Path, settings: WorkspaceSettings, *, object_format: str) -> None:
    """Make a bare repository at `path`; it appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".init-{secrets.token_hex(8)}")
    made.mkdir()
    try:
        git = Git(made, timeout_s=settings.git_timeout_s)
        await git.text(
            "init",
            "--bare",
            "--quiet",
            "--template=",
            "--initial-branch=main",
            f"--object-format={object_format}",
        )
        (made / "info").mkdir(exist_ok=True)
        if object_format == "sha256":
            (made / "sha256").touch()
        Store(made, None).restore_configuration()
        with contextlib.suppress(OSError):  # another process was first
            made.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


async def hand_over(
    store: Store, settings: WorkspaceSettings, *, branch: str, commit: str, base: str
) -> None:
    """Give the user's repository the objects of `commit` and point `branch` at it; may be repeated.

    Raises:
        Conflict: if somebody else moved the branch.
    """
    if store.source is None:
        return
    git = store.source.git
    current = await _ref(git, branch)
    if current == commit:
        return
    ours = store.git(settings)
    if current is not None and not await ours.succeeds("merge-base", "--is-ancestor", current, commit):
        raise Conflict(
            f"Somebody moved the branch {branch} of {store.source.root} to {current[:12]}.",
            hint=f"Rename it, then run again: git -C {store.source.root} branch -m {branch} my-{branch}",
        )
    if not await git.succeeds("cat-file", "-e", f"{commit}^{{commit}}"):
        pack = store.path / f".pack-{secrets.token_hex(8)}"
        try:
            wanted = f"{commit}\n^{base}\n".encode()
            name = await ours.text("pack-objects", "--revs", "--quiet", str(pack), stdin=wanted)
            await git.text("index-pack", "--stdin", stdin=Path(f"{pack}-{name}.pack"))
        finally:
            for left in store.path.glob(f"{pack.name}-*"):
                left.unlink(missing_ok=True)
    # The old value makes it a compare-and-swap; forty (or sixty-four) zeros say that it must not exist.
    expected = current or "0" * len(commit)
    await git.text("update-ref", "-m", "mosaic", f"refs/heads/{branch}", commit, expected)


async def take_back(store: Store, *, branch: str, base: str) -> None:
    """Delete `branch` from the user's repository when nothing was ever committed on it."""
    if store.source is not None and await _ref(store.source.git, branch) == base:
        await store.source.git.text("update-ref", "-d", f"refs/heads/{branch}", base)


async def _ref(git: Git, branch: str) -> str | None:
    try:
        return await git.text("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}")
    except GitFailed:
        return None


def identity(settings: WorkspaceSettings) -> dict[str, str]:
    """Return the variables that say who commits."""
    return {
        "GIT_AUTHOR_NAME": settings.author_name,
        "GIT_AUTHOR_EMAIL": settings.author_email,
        "GIT_COMMITTER_NAME": settings.author_name,
        "GIT_COMMITTER_EMAIL": settings.author_email,
    }


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name).strip(".-")[:60] or "repository"


def write_file(path: Path, text: str) -> None:
    """Replace a file, whole or not at all, never writing through a link that was put there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    made.write_text(text)
    made.replace(path)
