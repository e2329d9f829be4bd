"""Where an installation keeps its policy: `policy.yaml` and `permissions.cedar` in the data folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from mosaic.core.errors import InvalidInput, Problem, Unavailable
from mosaic.core.values import JsonObject, canonical_json, content_hash
from mosaic.tools.policies.book import RuleBook
from mosaic.tools.policies.permissions import Permissions, load_permissions

__all__ = ["PERMISSIONS_NAME", "POLICY_NAMES", "LoadedPolicy", "Seen", "policy_of", "read_policy", "seen"]

POLICY_NAMES = ("policy.yaml", "policy.yml", "policy.json")
PERMISSIONS_NAME = "permissions.cedar"

Seen = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """One version of an installation's policy.

    Attributes:
        book: its rules and limits.
        permissions: who may call what at all; None permits everything.
        texts: file name -> content.
        version: the hash of that; None when there is no file.
    """

    book: RuleBook = field(default_factory=RuleBook)
    permissions: Permissions | None = None
    texts: JsonObject = field(default_factory=dict)
    version: str | None = None

    @property
    def content(self) -> bytes:
        """The bytes that are kept: the files by name, as JSON; their hash is the version."""
        return canonical_json(self.texts)


def read_policy(home: Path) -> LoadedPolicy:
    """Return the policy of the installation at `home`; one that says nothing when it has none.

    Raises:
        InvalidInput: naming every problem of both files with file, line and column.
        Unavailable: if a file cannot be read.
    """
    name = next((name for name in POLICY_NAMES if (home / name).is_file()), None)
    texts = {name: _text(home / name) for name in (name, PERMISSIONS_NAME) if name and (home / name).exists()}
    return policy_of(texts, shown_as={name: str(home / name) for name in texts}) if texts else LoadedPolicy()


def policy_of(texts: JsonObject, *, shown_as: Mapping[str, str] = MappingProxyType({})) -> LoadedPolicy:
    """Return the policy that files of these names and contents make.

    Args:
        texts: file name -> content.
        shown_as: file name -> what messages call it.

    Raises:
        InvalidInput: naming every problem of both.
    """
    from mosaic.tools.policies.loading import load_policy  # noqa: PLC0415  # 50 ms, and many have no policy file

    problems: list[Problem] = []
    book, permissions = RuleBook(), None
    for name, text in texts.items():
        shown = shown_as.get(name, name)
        try:
            if name == PERMISSIONS_NAME:
                permissions = load_permissions(text, shown)
            else:
                book = load_policy(text, shown)
        except InvalidInput as error:
            problems += error.problems or [Problem(error.message, file=shown, line=1, column=1)]
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise InvalidInput(f"The policy of this installation has {count}.", problems=problems)
    return LoadedPolicy(book, permissions, texts, content_hash(canonical_json(texts)))


def seen(home: Path) -> Seen:
    """Return what tells one state of the files from another."""
    found = []
    for name in (*POLICY_NAMES, PERMISSIONS_NAME):
        try:
            status = (home / name).stat()
        except OSError:
            continue
        found.append((name, status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read: {error.strerror}.", hint="Check its owner and mode."
        ) from None
