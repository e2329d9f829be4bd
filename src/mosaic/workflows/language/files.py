"""The files of a definition: read from its directory, or from a bundle; never from anywhere else."""

import errno
import os
import posixpath
import stat
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from mosaic.workflows.language.document import MAX_BYTES

__all__ = ["BundleFiles", "DiskFiles", "FileRefused", "Files", "Recording", "resolve"]

MAX_FILES = 200
"""Files in one bundle."""
MAX_TOTAL_BYTES = 10_000_000
"""Bytes of all files of one bundle."""


class FileRefused(Exception):
    """A file cannot be used: `message` says why. Becomes a `Problem` where the reference stands."""

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.suggestion = suggestion


class Files(Protocol):
    """Where the files of a definition come from. Paths are relative to its directory, with ``/``."""

    seen: dict[str, bytes]
    """Every file read so far: what the bundle holds."""

    def read(self, path: str) -> bytes:
        """Return the content; the same path gives the same bytes.

        Raises:
            FileRefused: if there is none, it is not a plain file, too large, or outside the directory.
        """

    def check_directory(self, path: str) -> None:
        """Check that `path` is a directory inside the definition's (a bundle holds none and checks nothing).

        Raises:
            FileRefused: if it is not.
        """


def resolve(reference: str, base: str) -> str:
    """Return the path that `reference` means in the file `base`, relative to the definition's directory.

    Raises:
        FileRefused: if it leads outside.
    """
    if not reference or "\0" in reference or "\\" in reference or len(reference) > 500:
        raise FileRefused(
            "This is not a file's name.", "a relative path with `/`, such as prompts/planner.md"
        )
    path = posixpath.normpath(posixpath.join(posixpath.dirname(base), reference))
    is_absolute = reference.startswith(("/", "~")) or reference[1:2] == ":"
    if is_absolute or path == ".." or path.startswith("../"):
        raise FileRefused(
            f"`{_short(reference)}` is outside the workflow's directory.",
            "copy it into the directory, and name it by a relative path",
        )
    return path


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "..."


class BundleFiles:
    """Files of a stored bundle."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.seen: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        """Return the content; see `Files.read`."""
        if path not in self.files:
            raise FileRefused(f"The bundle holds no file `{_short(path)}`.")
        self.seen[path] = self.files[path]
        return self.files[path]

    def check_directory(self, path: str) -> None:
        """Do nothing: a bundle holds no directories."""


class Recording:
    """The files of a child definition: read from its parent's, with a record of its own."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.seen: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        """Return the content; see `Files.read`."""
        self.seen[path] = self.files.read(path)
        return self.seen[path]

    def check_directory(self, path: str) -> None:
        """Check that `path` is a directory inside; see `Files.check_directory`."""
        self.files.check_directory(path)


class DiskFiles:
    """Files beside a definition."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.seen: dict[str, bytes] = {}
        self.total = 0

    def read(self, path: str) -> bytes:
        """Return the content; see `Files.read`."""
        if path in self.seen:
            return self.seen[path]
        if len(self.seen) >= MAX_FILES:
            raise FileRefused(f"A definition refers to at most {MAX_FILES} files.")
        content = self._content(self._inside(path), path)
        self.total += len(content)
        if self.total > MAX_TOTAL_BYTES:
            raise FileRefused(f"The files of a definition have at most {MAX_TOTAL_BYTES} bytes in all.")
        self.seen[path] = content
        return content

    def check_directory(self, path: str) -> None:
        """Check that `path` is a directory inside; see `Files.check_directory`."""
        if not self._inside(path).is_dir():
            raise FileRefused(f"`{_short(path)}` is not a directory.")

    def _inside(self, path: str) -> Path:
        try:
            real = (self.root / path).resolve(strict=True)
        except FileNotFoundError:
            raise FileRefused(f"There is no file `{_short(path)}`.", self._near(path)) from None
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
            raise FileRefused(f"`{_short(path)}` cannot be read: {_reason(error)}.") from None
        if not real.is_relative_to(self.root):
            raise FileRefused(
                f"`{_short(path)}` is a link that leads outside the workflow's directory.", "copy the file"
            )
        return real

    def _content(self, real: Path, path: str) -> bytes:
        try:
            # Not blocking: opening a named pipe would wait for a writer for ever.
            handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            with os.fdopen(handle, "rb") as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise FileRefused(f"`{_short(path)}` is not a plain file.")
                content = stream.read(MAX_BYTES + 1)
        except OSError as error:
            raise FileRefused(f"`{_short(path)}` cannot be read: {_reason(error)}.") from None
        if len(content) > MAX_BYTES:
            raise FileRefused(f"`{_short(path)}` is larger than {MAX_BYTES} bytes.")
        return content

    def _near(self, path: str) -> str | None:
        folder = (self.root / path).parent
        if not folder.is_dir() or not folder.resolve().is_relative_to(self.root):
            return None
        names = sorted(entry.name for entry in folder.iterdir())[:1000]
        near = get_close_matches(posixpath.basename(path), names, n=1)
        return f"did you mean `{posixpath.join(posixpath.dirname(path), near[0])}`?" if near else None


def _reason(error: Exception) -> str:
    if (
        isinstance(error, RuntimeError) or getattr(error, "errno", None) == errno.ELOOP
    ):  # by version of Python
        return "its links go round in a circle"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
