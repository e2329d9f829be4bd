"""Opens files inside one directory and nowhere else, also while somebody plants links there.

Every path is walked from the directory's descriptor, part by part, without letting the kernel follow a link. Links
that stay inside are followed by hand; one that is absolute or climbs out ends the walk. What was opened is then what
is read or replaced, whatever the names mean a moment later.
"""

import errno
import os
import secrets
import stat
import unicodedata
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from mosaic.core.errors import InvalidInput, NotFound, PermissionDenied, StorageFull, ToolFailed

__all__ = ["Confined", "is_git_name"]

_MOST_LINKS = 20
_MOST_CHARACTERS = 4_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe must not wait for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Confined:
    """The files under one directory.

    Args:
        root: the directory.
        scratch: where a file is written before it takes its place; on the same file system as `root`.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self._root = root
        self._scratch = scratch

    def read(self, path: str, *, limit_bytes: int) -> bytes:
        """Return at most `limit_bytes` of a file, from its beginning.

        Raises:
            NotFound: if there is none.
            PermissionDenied: if it lies outside, or is git's own.
            InvalidInput: if it is no regular file.
        """
        with self.parent(path) as (directory, name), _explained(path):
            return _read(directory, name, path, limit_bytes)

    def mode(self, path: str) -> int | None:
        """Return the mode of what is at `path`, a link not followed; None when nothing is."""
        try:
            with self.parent(path, follow_last=False) as (directory, name), _explained(path):
                return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        except NotFound:
            return None

    def write(self, path: str, data: bytes) -> bool:
        """Put a file in place, whole or not at all, with its directories; true when it is new.

        A file that was there keeps its permissions. The file itself is replaced, so other names of it (hard
        links) keep the old content.
        """
        with self.parent(path, make=True) as (directory, name), _explained(path):
            try:
                found: os.stat_result | None = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                found = None
            if found is not None and not stat.S_ISREG(found.st_mode):
                raise InvalidInput(f"{path} is not a regular file.")
            draft = self._scratch / f"write-{secrets.token_hex(8)}"
            self._scratch.mkdir(parents=True, exist_ok=True)
            try:
                # By its descriptor: a command that runs beside us could put a link where the draft was.
                opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
                with os.fdopen(opened, "wb") as file:
                    file.write(data)
                    os.fchmod(opened, stat.S_IMODE(found.st_mode) if found is not None else 0o644)
                os.rename(draft, name, dst_dir_fd=directory)
            finally:
                draft.unlink(missing_ok=True)
            return found is None

    def delete(self, path: str, *, recursive: bool) -> int:
        """Delete a file, a link (not what it points to) or a directory; returns how many entries are gone.

        Raises:
            InvalidInput: if it is a directory with entries and `recursive` is not set.
        """
        with self.parent(path, follow_last=False) as (directory, name), _explained(path):
            if name == ".":
                raise PermissionDenied("The worktree itself cannot be deleted.")
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=directory)
                return 1
            if not recursive:
                os.rmdir(name, dir_fd=directory)
                return 1
            return _delete_tree(directory, name)

    def entries(self, path: str, *, depth: int) -> Iterator[tuple[str, os.stat_result]]:
        """Yield what is under a directory, links not followed, git's own left out: paths from the root, in order."""
        with self.parent(path) as (directory, name), _explained(path):
            opened = os.open(name, _DIRECTORY, dir_fd=directory)
        prefix = "" if name == "." else f"{PurePosixPath(path)}/"
        try:
            with _explained(path):
                yield from _below(opened, prefix, depth)
        finally:
            os.close(opened)

    @contextmanager
    def parent(self, path: str, *, make: bool = False, follow_last: bool = True) -> Iterator[tuple[int, str]]:
        """Open the directory that holds `path`; yields its descriptor and the last name, which is no link.

        Raises:
            InvalidInput: if `path` is not a usable relative path.
            PermissionDenied: if it leads outside, or is git's own.
            NotFound: if a directory on the way is missing.
        """
        parts = _parts(path, self._root)
        with _explained(path):
            stack = [os.open(self._root, _DIRECTORY)]
        try:
            with _explained(path):
                name = _walk(stack, deque(parts), path, make=make, follow_last=follow_last)
            yield stack[-1], name
        finally:
            for descriptor in stack:
                os.close(descriptor)


def is_git_name(name: str) -> bool:
    """Say whether some file system could take `name` for ``.git``."""
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKC", name)
        if unicodedata.category(character) != "Cf"
    )
    return plain.casefold().partition(":")[0].rstrip(" .") in (".git", "git~1")


def _parts(path: str, root: Path) -> tuple[str, ...]:
    if not path or len(path) > _MOST_CHARACTERS:
        raise InvalidInput("The path is empty or far too long.")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        raise InvalidInput(f"The path {path!r} holds control characters.")
    if path.startswith(("/", "~")) or "\\" in path:
        hint = "Give it relative to the worktree, with forward slashes."
        if Path(path).is_relative_to(root):
            hint = f"Give it relative to the worktree: {Path(path).relative_to(root)}"
        raise PermissionDenied(f"{path} is not a relative path.", hint=hint)
    parts = PurePosixPath(path).parts
    if ".." in parts:
        raise PermissionDenied(f"{path} climbs with '..'.", hint="Name the path from the worktree's root.")
    return parts


def _walk(stack: list[int], todo: deque[str], path: str, *, make: bool, follow_last: bool) -> str:
    """Descend; leaves the descriptor of the last directory on top of `stack` and returns the last name."""
    links = 0
    while todo:
        part = todo.popleft()
        if is_git_name(part):
            raise PermissionDenied(
                f"{path} belongs to git.", hint="Use the git tools; MosAIc makes the commits."
            )
        if part == "..":
            if len(stack) == 1:
                raise _outside(path)
            os.close(stack.pop())
            continue
        link = _link(stack[-1], part) if todo or follow_last else None
        if link is not None:
            links += 1
            if links > _MOST_LINKS or PurePosixPath(link).is_absolute():
                raise _outside(path)
            todo.extendleft(reversed(PurePosixPath(link).parts))
        elif not todo:
            return part
        else:
            if make:
                _make(stack[-1], part)
            stack.append(os.open(part, _DIRECTORY, dir_fd=stack[-1]))
    return "."


def _link(directory: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # no link, or nothing yet
            return None
        raise


def _make(directory: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=directory)


def _outside(path: str) -> PermissionDenied:
    return PermissionDenied(f"{path} leads out of the worktree by a link.", hint="Name the file itself.")


def _read(directory: int, name: str, path: str, limit_bytes: int) -> bytes:
    opened = os.open(name, _FILE, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise InvalidInput(f"{path} is not a regular file.", hint="List a directory with files.list.")
        data = bytearray()
        while len(data) < limit_bytes and (chunk := os.read(opened, min(1 << 20, limit_bytes - len(data)))):
            data += chunk
        return bytes(data)
    finally:
        os.close(opened)


def _below(directory: int, prefix: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    for name in sorted(os.listdir(directory)):
        if is_git_name(name):
            continue
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield f"{prefix}{name}", found
        if depth > 1 and stat.S_ISDIR(found.st_mode):
            try:
                opened = os.open(name, _DIRECTORY, dir_fd=directory)
            except OSError:
                continue
            try:
                yield from _below(opened, f"{prefix}{name}/", depth - 1)
            finally:
                os.close(opened)


def _delete_tree(directory: int, name: str) -> int:
    gone = 1
    opened = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        for inner in os.listdir(opened):
            if stat.S_ISDIR(os.stat(inner, dir_fd=opened, follow_symlinks=False).st_mode):
                gone += _delete_tree(opened, inner)
            else:
                os.unlink(inner, dir_fd=opened)
                gone += 1
    finally:
        os.close(opened)
    os.rmdir(name, dir_fd=directory)
    return gone


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn the kernel's refusals into ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist.", hint="List the directory with files.list.") from error
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise InvalidInput(f"{path}: {error.strerror}.") from error
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise InvalidInput(
                f"{path} is a directory with entries.", hint="Set recursive to delete it."
            ) from error
        if error.errno == errno.ELOOP:
            raise _outside(path) from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("The disk is full.", hint="Free some space.") from error
        raise ToolFailed(f"{path}: {error.strerror}.") from error
