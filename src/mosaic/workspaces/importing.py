"""Copies a directory that is no git repository: regular files and inner links only, nothing outside it is read.

The walk goes by directory descriptors and never follows a link, so a tree that changes under it cannot lead it out.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mosaic.core.errors import InvalidInput

__all__ = ["ImportedTree", "copy_tree", "tree_digest"]

_CHUNK_BYTES = 1 << 20
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class ImportedTree:
    """What was found in a directory.

    Attributes:
        digest: hex digest over every path, mode and content; the same tree has the same one.
        files: how many files it holds.
        skipped: entries left out (links that lead outside, devices, nested ``.git``), at most a hundred.
    """

    digest: str
    files: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    executable: bool
    descriptor: int = -1
    link: str | None = None


def tree_digest(source: Path, *, leave_out: Path | None, max_files: int, max_bytes: int) -> ImportedTree:
    """Return what `copy_tree` would copy, without copying.

    Raises:
        InvalidInput: if `source` is no directory, or holds too much.
    """
    return _walk(source, None, leave_out=leave_out, max_files=max_files, max_bytes=max_bytes)


def copy_tree(
    source: Path, target: Path, *, leave_out: Path | None, max_files: int, max_bytes: int
) -> ImportedTree:
    """Copy the files of `source` into the new directory `target`.

    Args:
        source: the directory; links inside it are never followed.
        target: must not exist yet.
        leave_out: a directory that is skipped wherever it is (our own data).
        max_files: refuse more.
        max_bytes: refuse more.

    Raises:
        InvalidInput: if `source` is no directory, or holds too much.
    """
    target.mkdir(parents=True)
    return _walk(source, target, leave_out=leave_out, max_files=max_files, max_bytes=max_bytes)


def _walk(
    source: Path, target: Path | None, *, leave_out: Path | None, max_files: int, max_bytes: int
) -> ImportedTree:
    skipped: list[str] = []
    digest, files, size = hashlib.sha256(), 0, 0
    try:
        root = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"{source} cannot be read as a directory: {error.strerror}.") from error
    try:
        for entry in _entries(root, "", _identity(leave_out), skipped):
            files += 1
            content, length = _take(entry, target, max_bytes - size)
            size += length
            if files > max_files or size > max_bytes:
                raise InvalidInput(
                    f"{source} holds more than {max_files} files or {max_bytes} bytes.",
                    hint="Make it a git repository (git init), or name a smaller directory.",
                )
            kind = "l" if entry.link is not None else "x" if entry.executable else "f"
            digest.update(f"{kind}\0{entry.path}\0{content}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InvalidInput(
            f"{source}: {error.filename or 'a file'} cannot be read: {error.strerror}."
        ) from error
    finally:
        os.close(root)
    return ImportedTree(digest.hexdigest(), files, tuple(skipped[:100]))


def _identity(directory: Path | None) -> tuple[int, int] | None:
    if directory is None or not directory.exists():
        return None
    found = directory.stat()
    return found.st_dev, found.st_ino


def _entries(
    parent: int, prefix: str, leave_out: tuple[int, int] | None, skipped: list[str]
) -> Iterator[_Entry]:
    if prefix.count("/") > _MAX_DEPTH:
        raise InvalidInput(f"{prefix[:80]}... lies more than {_MAX_DEPTH} directories deep.")
    for name in sorted(os.listdir(parent)):
        path = f"{prefix}{name}"
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if name.lower() == ".git" or (found.st_dev, found.st_ino) == leave_out:
            skipped.append(path)
        elif stat.S_ISDIR(found.st_mode):
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                yield from _entries(inner, f"{path}/", leave_out, skipped)
            finally:
                os.close(inner)
        elif stat.S_ISLNK(found.st_mode):
            link = os.readlink(name, dir_fd=parent)
            if _stays_inside(path, link):
                yield _Entry(path, executable=False, link=link)
            else:
                skipped.append(path)
        elif stat.S_ISREG(found.st_mode):
            # O_NONBLOCK: a pipe that took the file's place meanwhile must not hang us.
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            try:
                yield _Entry(path, executable=bool(found.st_mode & stat.S_IXUSR), descriptor=opened)
            finally:
                os.close(opened)
        else:
            skipped.append(path)


def _stays_inside(path: str, link: str) -> bool:
    """Say whether a link at `path` leads to something inside the tree.

    Only ``..``s first and names after them: a ``..`` behind a name could climb out of wherever that name links to.
    """
    parts = PurePosixPath(link).parts
    climbs = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if PurePosixPath(link).is_absolute() or climbs > len(PurePosixPath(path).parts) - 1:
        return False
    names = [part.lower() for part in parts[climbs:]]
    return ".." not in names and ".git" not in names


def _take(entry: _Entry, target: Path | None, room: int) -> tuple[str, int]:
    """Hash an entry, copy it when there is a target, and return its digest and length."""
    if entry.link is not None:
        if target is not None:
            (target / entry.path).parent.mkdir(parents=True, exist_ok=True)
            (target / entry.path).symlink_to(entry.link)
        return entry.link, 0
    digest, length, copy = hashlib.sha256(), 0, None
    try:
        if target is not None:
            place = target / entry.path
            place.parent.mkdir(parents=True, exist_ok=True)
            copy = os.open(
                place,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC,
                0o755 if entry.executable else 0o644,
            )
        while length <= room and (chunk := os.read(entry.descriptor, _CHUNK_BYTES)):
            digest.update(chunk)
            length += len(chunk)
            if copy is not None:
                _write_all(copy, chunk)
    finally:
        if copy is not None:
            os.close(copy)
    return digest.hexdigest(), length


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
