"""Which places of the host a command may read, and which part of its worktree is git's."""

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import mosaic
from mosaic.core.errors import PermissionDenied
from mosaic.tools.processes.environment import program_path

__all__ = ["ETC", "GitPlaces", "git_places", "installation_of", "program_places"]

ETC = (
    *(
        "alternatives",
        "ca-certificates",
        "ca-certificates.conf",
        "crypto-policies",
        "debian_version",
        "fonts",
    ),
    *(
        "gai.conf",
        "group",
        "hosts",
        "inputrc",
        "java-17-openjdk",
        "java-21-openjdk",
        "ld.so.cache",
        "ld.so.conf",
    ),
    *("ld.so.conf.d", "localtime", "locale.conf", "lsb-release", "magic", "mime.types", "nsswitch.conf"),
    *(
        "os-release",
        "passwd",
        "perl",
        "pki/ca-trust",
        "pki/tls/certs",
        "pki/tls/cert.pem",
        "profile",
        "protocols",
    ),
    *(
        "python3",
        "python3.11",
        "resolv.conf",
        "services",
        "shells",
        "ssl/cert.pem",
        "ssl/certs",
        "ssl/openssl.cnf",
    ),
    *("terminfo", "timezone", "bash.bashrc", "bashrc", "rpc", "ethertypes", "gitattributes"),
)
"""What of `/etc` programs need; the rest may hold secrets."""

# A directory that holds one of these, or is one, is never opened as a whole.
_COMMON = frozenset(
    "/ /etc /home /media /mnt /opt /root /run /srv /tmp /var /var/tmp".split()  # noqa: SIM905  # easier to read
)


def program_places(workspace: Path | None, extra: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Return what a command needs besides the system's own: this Python, MosAIc, directories of PATH, `extra`.

    A directory that holds a home directory, other worktrees or a whole branch of the system is left out.
    """
    installation = [Path(sys.prefix), Path(sys.base_prefix), Path(*Path(mosaic.__file__).parts[:-2])]
    executables = [Path(entry) for entry in program_path(workspace).split(os.pathsep)]
    found: dict[Path, None] = {}
    for place in (*installation, *executables, *extra):
        for form in (place, place.resolve()):
            if form.exists() and not _holds_more(form, workspace):
                found[form] = None
    return tuple(found)


def installation_of(argument: str, workspace: Path | None) -> tuple[Path, ...]:
    """Return what a program named by its absolute path needs to be read with it; nothing for other texts.

    That is the virtual environment or the folder above `node_modules` that it belongs to, or else its directory.
    """
    path = Path(argument)
    if not path.is_absolute() or not path.exists():
        return ()
    found = []
    for form in dict.fromkeys((path, path.resolve())):
        near = form if form.is_dir() else form.parent
        if "node_modules" in form.parts:
            near = Path(*form.parts[: form.parts.index("node_modules") + 1])
        for above in form.parents[:4]:
            if (above / "pyvenv.cfg").is_file():
                near = above
        found.append(form if _holds_more(near, workspace) else near)
    return tuple(place for place in found if not _holds_more(place, workspace))


@dataclass(frozen=True, slots=True)
class GitPlaces:
    """What of git a worktree has.

    Attributes:
        entry: the worktree's ``.git``, a file or a directory; None when it has none.
        readable: the repository behind a linked worktree, and the objects that it borrows.
    """

    entry: Path | None = None
    readable: tuple[Path, ...] = ()


def git_places(workspace: Path | None) -> GitPlaces:
    """Return the places of git for a worktree.

    What a ``.git`` file says counts only when the repository points back to it: a command may have written it.

    Raises:
        PermissionDenied: if ``.git`` is a link: nothing can be mounted over one.
    """
    if workspace is None:
        return GitPlaces()
    entry = workspace / ".git"
    try:
        mode = entry.lstat().st_mode
    except OSError:
        return GitPlaces()
    if stat.S_ISLNK(mode):
        raise PermissionDenied(
            f"{entry} is a link, and could not be kept from changes.", hint="Remove it; a worktree has none."
        )
    if not stat.S_ISREG(mode):
        return GitPlaces(entry)
    return GitPlaces(entry, _repository_behind(entry))


def _repository_behind(entry: Path) -> tuple[Path, ...]:
    try:
        admin = Path(_line(entry).removeprefix("gitdir: "))
        points_back = Path(_line(admin / "gitdir"))
        if not admin.is_absolute() or admin.parent.name != "worktrees" or not points_back.samefile(entry):
            return ()
        repository = admin.parent.parent
        # A repository inside the worktree could be of the command's own making, and name anything.
        if repository.resolve().is_relative_to(entry.parent.parent.resolve()):
            return ()
        return (repository, *_borrowed(repository / "objects"))
    except (OSError, UnicodeDecodeError):
        return ()


def _borrowed(objects: Path, depth: int = 5) -> list[Path]:
    """Return the object directories that these borrow from, and so on."""
    try:
        lines = (objects / "info" / "alternates").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = [Path(line) for line in lines if line.startswith("/") and Path(line).name == "objects"]
    if depth:
        found += [deeper for place in tuple(found) for deeper in _borrowed(place, depth - 1)]
    return found


def _line(file: Path) -> str:
    with file.open(encoding="utf-8") as opened:
        return opened.read(4_096).strip()


def _holds_more(place: Path, workspace: Path | None) -> bool:
    """Say whether a directory holds what must stay hidden: a home, other worktrees, a branch of the system."""
    if str(place) in _COMMON:
        return True
    guarded = [Path.home(), Path(pwd.getpwuid(os.getuid()).pw_dir)]
    if workspace is not None:
        guarded.append(workspace.parent)
    return any(one.is_relative_to(place) for one in guarded)
