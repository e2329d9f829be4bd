"""Gives each run its own checkout and makes its commits: the orchestrator owns git, agents never do."""

import asyncio
import json
import re
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mosaic.core.errors import Conflict, InvalidInput, NotFound
from mosaic.workspaces.git import Git, GitFailed
from mosaic.workspaces.locking import file_lock
from mosaic.workspaces.schemas import CommitInfo, Workspace
from mosaic.workspaces.settings import WorkspaceSettings
from mosaic.workspaces.store import (
    Store,
    borrow,
    hand_over,
    identity,
    import_directory,
    is_repository,
    open_source,
    resolve_commit,
    take_back,
    write_file,
)

__all__ = ["Workspaces"]

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_KEY_TRAILER = "MosAIc-Key"
_LISTED_FILES = 1_000


class Workspaces:
    """Worktrees under one data directory, one per run, each on its own branch ``mosaic/<run_id>``.

    Every verb may be repeated after a crash at any moment, also from another process.
    """

    def __init__(self, data_dir: Path, settings: WorkspaceSettings | None = None) -> None:
        self._settings = settings or WorkspaceSettings()
        self._data_dir = data_dir.resolve()
        self._workspaces = self._data_dir / "workspaces"
        self._repositories = self._data_dir / "repositories"

    async def prepare(
        self, run_id: str, source: Path, *, base: str | None = None, checkpoint: str | None = None
    ) -> Workspace:
        """Return the run's checkout of `source`, made on the first call.

        Args:
            run_id: names the worktree and the branch.
            source: a git repository, or a directory whose files are imported as the first commit of a repository
                of ours. A directory inside somebody else's repository is imported. Only committed content of a
                repository is used. The repository that a directory was imported into (`Workspace.repository`)
                stands for what was imported, whatever became of the directory.
            base: the revision to start from; HEAD when None. Ignored once the workspace exists.
            checkpoint: a commit that `checkpoint` of another run on the same source returned: its files are where
                this run begins.

        Raises:
            InvalidInput: if the source cannot be used or the run id is no name.
            NotFound: if the source or `base` does not exist.
            Conflict: if somebody else uses the branch.
            Locked: if another process works on the same repository for too long.
        """
        if not _RUN_ID.fullmatch(run_id):
            raise InvalidInput(f"{run_id!r} cannot name a workspace.")
        self._prepare_directories()
        known = self._record(run_id)
        if known is None:
            known = await self._begin(run_id, source, base, checkpoint)
        workspace = Workspace.from_json(known["workspace"])
        await self.ensure(workspace)
        return workspace

    async def ensure(self, workspace: Workspace) -> None:
        """Make sure that the worktree is there and whole; a missing one is rebuilt from the last commit.

        Raises:
            NotFound: if this data directory knows nothing of the workspace.
        """
        async with self._locked(workspace) as (store, git, record):
            if not self._is_whole(workspace):
                await self._build(workspace, git, str(record["tip"]))
            workspace.scratch.mkdir(exist_ok=True)
            tip = str(record["tip"])
            await self._publish(workspace, store, git, tip)
            if not self._has_shared(workspace, tip):
                # A kill between the commit and its last act: what git in the worktree compares with is older.
                await replace(git, index=self._admin(workspace) / "index").text("read-tree", tip)
                self._mark_shared(workspace, tip)

    async def commit(
        self, workspace: Workspace, message: str, *, key: str | None = None
    ) -> CommitInfo | None:
        """Commit everything that changed in the worktree; None when nothing did.

        Args:
            workspace: what `prepare` returned.
            message: the commit message.
            key: an idempotency key; repeating a commit with the same key returns the commit already made.

        Raises:
            Conflict: if the worktree is not on its branch any more, or holds a repository of its own.
        """
        async with self._locked(workspace) as (store, git, record):
            self._check(workspace)
            tree = await self._snapshot(workspace, git)
            tip = str(record["tip"])
            if tree == await git.text("rev-parse", f"{tip}^{{tree}}"):
                await self._publish(workspace, store, git, tip)
                return await self._made_before(git, tip, key)
            trailer = f"\n\n{_KEY_TRAILER}: {key}" if key else ""
            author = replace(git, variables=identity(self._settings))
            text = f"{message.strip() or 'Work of ' + workspace.run_id}{trailer}\n".encode()
            made = await author.text("commit-tree", tree, "-p", tip, stdin=text)
            # The record is the truth: refs follow it, here or in the next call.
            self._save(workspace, tip=made)
            await self._publish(workspace, store, git, made)
            self._share_index(workspace)
            self._mark_shared(workspace, made)
            return await self._describe(git, made)

    async def checkpoint(self, workspace: Workspace, *, label: str) -> str:
        """Keep the worktree's files as they are, beside the branch, and return the commit that holds them.

        The branch does not move. The last commit is returned when nothing changed since.

        Raises:
            Conflict: if the worktree is not on its branch any more, or holds a repository of its own.
        """
        async with self._locked(workspace) as (_store, git, record):
            self._check(workspace)
            tree, tip = await self._snapshot(workspace, git), str(record["tip"])
            if tree == await git.text("rev-parse", f"{tip}^{{tree}}"):
                return tip
            author = replace(git, variables=identity(self._settings))
            text = f"Checkpoint of {workspace.run_id} before {label}\n".encode()
            made = await author.text("commit-tree", tree, "-p", tip, stdin=text)
            # A ref of its own keeps it from being collected for as long as the repository lives.
            await git.text("update-ref", f"refs/mosaic/checkpoints/{workspace.run_id}/{made[:16]}", made)
            return made

    async def diff(self, workspace: Workspace, *, since: str | None = None) -> str:
        """Return what the worktree changed since `since` (the base commit when None), new files included.

        A diff past the bound is cut and says so.
        """
        async with self._locked(workspace) as (_store, git, _record):
            self._check(workspace)
            tree = await self._snapshot(workspace, git)
            start = since or workspace.base_commit
            output, more = await git.bounded(
                "diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--end-of-options", start, tree,
                limit_bytes=self._settings.diff_bytes,
            )  # fmt: skip
            text = output.decode("utf-8", "replace")
            return (
                f"{text}\n[cut: the diff is longer than {self._settings.diff_bytes} bytes]\n"
                if more
                else text
            )

    def worktree(self, run_id: str) -> Path | None:
        """Return the run's checkout on this machine, when there is one."""
        record = self._record(run_id) if _RUN_ID.fullmatch(run_id) else None
        path = Workspace.from_json(record["workspace"]).path if record is not None else None
        return path if path is not None and path.is_dir() else None

    async def head(self, workspace: Workspace) -> str:
        """Return the last commit of the workspace; the base commit when there is none yet.

        Raises:
            NotFound: if this data directory knows nothing of the workspace.
        """
        return str(self._known(workspace)["tip"])

    async def remove(self, workspace: Workspace) -> None:
        """Delete the worktree and its scratch directory; commits and their branch stay. May be repeated."""
        if self._record(workspace.run_id) is None:
            return
        async with self._locked(workspace) as (store, git, record):
            for directory in (workspace.path, workspace.scratch, self._admin(workspace)):
                await asyncio.to_thread(_delete, directory)
            if record["tip"] == workspace.base_commit:
                await take_back(store, branch=workspace.branch, base=workspace.base_commit)
                ours = replace(git, git_dir=workspace.store, work_tree=None, index=None)
                await ours.text("update-ref", "-d", f"refs/heads/{workspace.branch}")
            self._index(workspace).unlink(missing_ok=True)
            self._sidecar(workspace.run_id).unlink(missing_ok=True)

    # -- making -------------------------------------------------------------------------------------------------

    def _prepare_directories(self) -> None:
        for directory in (self._data_dir, self._workspaces, self._repositories):
            directory.mkdir(parents=True, exist_ok=True)
            if directory.resolve() != directory:
                raise InvalidInput(f"{directory} is a link that leads out of the data directory.")
        ignore = self._data_dir / ".gitignore"
        if not ignore.exists():
            write_file(ignore, "# MosAIc's data is never part of a repository.\n*\n")

    async def _begin(
        self, run_id: str, source: Path, base: str | None, checkpoint: str | None
    ) -> dict[str, Any]:
        root = self._usable(source)
        async with file_lock(self._repositories / "making.lock", timeout_s=self._settings.lock_timeout_s):
            if root.parent == self._repositories:
                store, repository = Store(root, None), root
                store.restore_configuration()
                git = store.git(self._settings)
                commit = base or await git.text("rev-parse", "--verify", "refs/heads/main^{commit}")
            elif is_repository(root):
                found = await open_source(root, self._settings)
                commit = await resolve_commit(found, base)
                store, repository = await borrow(found, self._repositories, self._settings), root
            else:
                store, commit = await import_directory(
                    root, self._repositories, self._settings, data_dir=self._data_dir
                )
                repository = store.path
        workspace = Workspace(
            run_id=run_id,
            path=self._workspaces / run_id,
            repository=repository,
            branch=f"mosaic/{run_id}",
            base_commit=commit,
            store=store.path,
        )
        if checkpoint is not None:
            await self._require_checkpoint(store, checkpoint)
        self._save(workspace, tip=checkpoint or commit, borrowed=store.source is not None)
        return self._known(workspace)

    async def _require_checkpoint(self, store: Store, checkpoint: str) -> None:
        git = replace(store.git(self._settings), git_dir=store.path, work_tree=None, index=None)
        try:
            await git.text("cat-file", "-e", f"{checkpoint}^{{commit}}")
        except GitFailed as error:
            raise NotFound(f"The checkpoint {checkpoint} is not kept any more.") from error

    def _usable(self, source: Path) -> Path:
        root = source.expanduser().resolve()
        if not root.is_dir():
            raise NotFound(f"The workspace source {source} is not a directory.")
        if root.parent == self._repositories:
            return root
        if root.is_relative_to(self._data_dir) or self._data_dir.is_relative_to(root / ".git"):
            raise InvalidInput(f"{source} and the data directory {self._data_dir} lie inside each other.")
        return root

    async def _build(self, workspace: Workspace, git: Git, tip: str) -> None:
        """Check out `tip` afresh: whatever a killed attempt left is cleared first."""
        plain = replace(git, git_dir=workspace.store, work_tree=None, index=None)
        lock = workspace.store.with_name(f"{workspace.store.name}.lock")
        async with file_lock(lock, timeout_s=self._settings.lock_timeout_s):
            await asyncio.to_thread(_delete, workspace.path)
            _delete(self._admin(workspace))
            self._index(workspace).unlink(missing_ok=True)
            await plain.text("update-ref", f"refs/heads/{workspace.branch}", tip)
            await plain.text("worktree", "add", "--force", "--quiet", str(workspace.path), workspace.branch)
        shutil.copyfile(self._admin(workspace) / "index", self._index(workspace))
        # Written last: its presence is what makes a worktree whole.
        write_file(self._admin(workspace) / "mosaic-whole", f"{tip}\n")

    def _is_whole(self, workspace: Workspace) -> bool:
        return (
            workspace.path.is_dir()
            and (self._admin(workspace) / "mosaic-whole").exists()
            and self._index(workspace).exists()
        )

    # -- acting -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _locked(self, workspace: Workspace) -> AsyncIterator[tuple[Store, Git, dict[str, Any]]]:
        """Hold the repository's lock; yields the store, git on the worktree, and the record."""
        record = self._known(workspace)
        lock = self._workspaces / f"{workspace.run_id}.lock"
        async with file_lock(lock, timeout_s=self._settings.lock_timeout_s) as held:
            record = self._known(workspace)
            source = None
            if record["borrowed"]:
                source = await open_source(workspace.repository, self._settings)
                source = replace(source, git=replace(source.git, keep_open=(held,)))
            store = Store(workspace.store, source)
            store.restore_configuration()
            self._clear_stale_locks(workspace, store)
            git = replace(
                store.git(self._settings, held),
                git_dir=self._admin(workspace),
                work_tree=workspace.path,
                index=self._index(workspace),
            )
            yield store, git, record

    def _clear_stale_locks(self, workspace: Workspace, store: Store) -> None:
        """Remove the lock files of a git that was killed: the lock we hold passes to git, so it is gone."""
        index, branch = self._index(workspace), f"refs/heads/{workspace.branch}.lock"
        stale = [index.with_name(f"{index.name}.lock"), store.path / branch]
        if store.source is not None:
            stale.append(store.source.common_dir / branch)
        for file in stale:
            file.unlink(missing_ok=True)

    def _check(self, workspace: Workspace) -> None:
        """Assert that path, pointer and branch are the ones we made.

        Raises:
            Conflict: if one is not.
        """
        admin = self._admin(workspace)
        expected = {
            workspace.path / ".git": f"gitdir: {admin}",
            admin / "HEAD": f"ref: refs/heads/{workspace.branch}",
            admin / "commondir": "../..",
        }
        for file, wanted in expected.items():
            try:
                found = file.read_text().strip() if not file.is_symlink() else "a link"
            except OSError as error:
                found = error.strerror or "unreadable"
            if found != wanted:
                raise Conflict(
                    f"The worktree of {workspace.run_id} is not as it was made: {file} holds {found[:200]!r}, "
                    f"not {wanted!r}.",
                    hint="An agent's command changed it; look at the run's last commands.",
                )

    async def _snapshot(self, workspace: Workspace, git: Git) -> str:
        """Bring the index up to the worktree and return the tree it makes."""
        try:
            await git.text("add", "--all", ".")
        except GitFailed as error:
            raise Conflict(
                f"The worktree of {workspace.run_id} cannot be committed: {error.message}",
                hint="Usually a repository inside the worktree, or a file nobody may read.",
            ) from error
        changed = await git.text("diff-index", "--cached", "--raw", "-z", workspace.base_commit)
        for entry in changed.split("\0:"):
            fields, _, rest = entry.lstrip(":").partition("\0")
            if fields.split(" ")[1:2] == ["160000"]:
                inner = rest.partition("\0")[0]
                # Or git would take it for a submodule for ever, also without its .git.
                await git.text("update-index", "--force-remove", "--", inner)
                raise Conflict(
                    f"{inner} in the worktree of {workspace.run_id} is a repository of its own.",
                    hint="Delete its .git directory, or ignore it in .gitignore.",
                )
        return await git.text("write-tree")

    async def _publish(self, workspace: Workspace, store: Store, git: Git, tip: str) -> None:
        """Point our branch and the user's at `tip`."""
        await git.text("update-ref", f"refs/heads/{workspace.branch}", tip)
        await hand_over(
            store, self._settings, branch=workspace.branch, commit=tip, base=workspace.base_commit
        )

    async def _made_before(self, git: Git, tip: str, key: str | None) -> CommitInfo | None:
        if key is None:
            return None
        message = await git.text("cat-file", "commit", tip)
        return await self._describe(git, tip) if message.endswith(f"\n{_KEY_TRAILER}: {key}") else None

    async def _describe(self, git: Git, commit: str) -> CommitInfo:
        listing = await git.text(
            "diff-tree", "-r", "--root", "--no-commit-id", "--numstat", "-z", "--no-renames", commit
        )
        files, insertions, deletions = [], 0, 0
        for line in filter(None, listing.split("\0")):
            added, removed, path = line.split("\t", 2)
            insertions += int(added) if added != "-" else 0
            deletions += int(removed) if removed != "-" else 0
            files.append(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        return CommitInfo(commit, tuple(files[:_LISTED_FILES]), len(files), insertions, deletions)

    def _share_index(self, workspace: Workspace) -> None:
        """Let git in the worktree see the commit as made: our index becomes its index."""
        # A name nobody can have put a link at.
        made = self._admin(workspace) / f"index.{secrets.token_hex(8)}"
        shutil.copyfile(self._index(workspace), made)
        made.replace(self._admin(workspace) / "index")
        (self._admin(workspace) / "index.lock").unlink(missing_ok=True)

    def _has_shared(self, workspace: Workspace, tip: str) -> bool:
        mark = self._admin(workspace) / "mosaic-shared"
        return mark.is_file() and mark.read_text() == f"{tip}\n"

    def _mark_shared(self, workspace: Workspace, tip: str) -> None:
        write_file(self._admin(workspace) / "mosaic-shared", f"{tip}\n")

    # -- records ------------------------------------------------------------------------------------------------

    def _admin(self, workspace: Workspace) -> Path:
        return workspace.store / "worktrees" / workspace.run_id

    def _index(self, workspace: Workspace) -> Path:
        """Our own index: an agent cannot lock it, nor mark files in it as not to be looked at."""
        return self._workspaces / f"{workspace.run_id}.index"

    def _sidecar(self, run_id: str) -> Path:
        return self._workspaces / f"{run_id}.json"

    def _record(self, run_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._sidecar(run_id).read_text())
        except FileNotFoundError:
            return None
        return found

    def _known(self, workspace: Workspace) -> dict[str, Any]:
        inside = workspace.path.parent == self._workspaces and workspace.store.parent == self._repositories
        record = self._record(workspace.run_id) if inside else None
        if record is None or record["workspace"] != workspace.to_json():
            raise NotFound(
                f"{self._data_dir} knows no workspace of {workspace.run_id} at {workspace.path}.",
                hint="Nodes that share runs must share the data directory.",
            )
        return record

    def _save(self, workspace: Workspace, *, tip: str, borrowed: bool | None = None) -> None:
        if borrowed is None:
            borrowed = bool(self._known(workspace)["borrowed"])
        record = {"workspace": workspace.to_json(), "tip": tip, "borrowed": borrowed}
        write_file(self._sidecar(workspace.run_id), json.dumps(record, indent=1))


def _delete(directory: Path) -> None:
    """Delete a tree without following links, also where an agent took away the right to list it."""

    def let_in(function: Callable[..., Any], path: str, _error: object) -> None:
        target = Path(path)
        target.parent.chmod(stat.S_IRWXU)
        if not target.is_symlink():
            target.chmod(stat.S_IRWXU)
        function(path)

    if directory.is_symlink():
        directory.unlink()
    elif directory.exists():
        shutil.rmtree(directory, onerror=let_in)
