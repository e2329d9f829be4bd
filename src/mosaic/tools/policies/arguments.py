"""What the arguments of a call name: values at a pointer, paths, hosts."""

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mosaic.core.values import JsonObject, JsonValue
from mosaic.tools.policies.patterns import RuleFailed

__all__ = ["hosts_of", "paths_of", "pointer_parts", "values_at"]

_MOST_VALUES = 2_000
_DEEPEST = 40
_LONGEST_URL = 2_000
_PATHS = frozenset(
    {
        "path", "paths", "file", "files", "filename", "filenames", "filepath", "filepaths", "directory", "directories",
        "dir", "dirs", "folder", "folders", "cwd", "root", "roots", "source", "destination", "workdir",
    }
)  # fmt: skip
_PATH_ENDINGS = ("_path", "_paths", "_file", "_files", "_dir", "_directory", "_filename")
_CAMEL_ENDINGS = ("Path", "Paths", "File", "Files", "Dir", "Directory", "Filename")
_URLS = frozenset({"url", "urls", "uri", "uris", "endpoint", "endpoints", "href"})
_URL_ENDINGS = ("_url", "_urls", "_uri", "_endpoint", "Url", "Urls", "Uri", "URL")
_HOSTS = frozenset({"host", "hosts", "hostname", "hostnames"})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_UNREADABLE = re.compile(r"[\x00-\x20\\\x7f]")
_SCP = re.compile(r"[^/@:\s]+@([^/:\s]+):")


def pointer_parts(pointer: str) -> tuple[str, ...]:
    """Return the parts of a JSON pointer; a name without a slash in front is an argument of that name."""
    if not pointer.startswith("/"):
        return (pointer,)
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def values_at(arguments: JsonObject, parts: Sequence[str]) -> list[JsonValue]:
    """Return what stands at a pointer, with ``*`` for each item; empty when nothing does.

    Raises:
        RuleFailed: if there are too many.
    """
    found: list[JsonValue] = [arguments]
    for part in parts:
        found = [item for value in found for item in _step(value, part)]
        if len(found) > _MOST_VALUES:
            raise RuleFailed(f"an argument has more than {_MOST_VALUES} items")
    return found


def _step(value: JsonValue, part: str) -> Sequence[JsonValue]:
    if isinstance(value, dict):
        if part == "*":
            return list(value.values())
        return [value[part]] if part in value else ()
    if isinstance(value, list):
        if part == "*":
            return value
        if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(value):
            return [value[int(part)]]
    return ()


def paths_of(arguments: JsonObject, schema: JsonObject, workspace: Path | None) -> list[tuple[str, ...]]:
    """Return the paths that a call names; each as it is written and, when links lead elsewhere, where they lead.

    An argument is a path when its name says so (`path`, `files`, `repo_path`), or its schema's `format`. Paths are
    shown from the worktree; what lies outside is absolute or begins with ``..``.

    Raises:
        RuleFailed: if a path cannot be read.
    """
    said = schema.get("properties")
    formats = {
        name
        for name, item in (said.items() if isinstance(said, dict) else ())
        if isinstance(item, dict) and item.get("format") in ("path", "file-path", "directory-path")
    }
    found = []
    for name, text in _texts(arguments):
        if name in formats or _is_path_name(name):
            local = unquote(text[7:]) if text.startswith("file://") else text
            if local and not _SCHEME.match(local):
                found.append(_spellings(local, workspace))
    return found


def _is_path_name(name: str) -> bool:
    return name.lower() in _PATHS or name.lower().endswith(_PATH_ENDINGS) or name.endswith(_CAMEL_ENDINGS)


def _spellings(text: str, workspace: Path | None) -> tuple[str, ...]:
    if "\0" in text:
        raise RuleFailed("a path holds a zero byte")
    if workspace is None:
        return (_normal(text),)
    root = os.fspath(workspace)
    written = _within(text if text.startswith("/") else posixpath.join(root, text), root)
    try:
        real_root = os.path.realpath(root)
        led = _within(os.path.realpath(os.path.join(root, text)), real_root)
    except (OSError, ValueError) as error:
        raise RuleFailed(f"a path cannot be read: {error}") from None
    return (written,) if led == written else (written, led)


def _normal(path: str) -> str:
    plain = posixpath.normpath(path)
    return plain[1:] if plain.startswith("//") else plain


def _within(path: str, root: str) -> str:
    """Return an absolute path as seen from `root`; absolute still when it is not inside."""
    plain, top = _normal(path), _normal(root)
    if plain == top:
        return "."
    return plain[len(top) + 1 :] if plain.startswith(f"{top}/") else plain


def hosts_of(arguments: JsonObject) -> list[str]:
    """Return the hosts of the URLs that a call names, in lower case, without port; text with a scheme is a URL.

    Raises:
        RuleFailed: if a URL cannot be read in one way only.
    """
    found = []
    for name, text in _texts(arguments):
        lowered = name.lower()
        if lowered in _HOSTS:
            found.append(_host(f"//{text}"))
        elif lowered in _URLS or name.endswith(_URL_ENDINGS):
            if not text.startswith("file://"):
                found.append(_host(_full(text)))
        elif (url := _url_in(text)) is not None:
            found.append(_host(url))
    return found


def _full(text: str) -> str:
    """Return the text of an argument that is a URL by its name as one with a scheme, or with ``//`` in front."""
    if _SCHEME.match(text) or text.startswith("//"):
        return text
    scp = _SCP.match(text)
    return f"//{scp[1] if scp else text}"


def _url_in(text: str) -> str | None:
    """Return the URL that an argument of any name is, or begins with; what is longer or has several lines is prose."""
    first = text.strip()[:_LONGEST_URL]
    if len(text) > _LONGEST_URL or "\n" in first or not _SCHEME.match(first) or first.startswith("file://"):
        return None
    return first.split(maxsplit=1)[0]


def _host(url: str) -> str:
    if _UNREADABLE.search(url):
        raise RuleFailed("a URL holds white space, a backslash or a control character")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018  # raises for one that is none
        plain = host.rstrip(".")
        return plain if plain.isascii() else plain.encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise RuleFailed("a URL cannot be read") from None


def _texts(arguments: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield every text with the name it stands under; those in a list stand under the list's name."""
    stack: list[tuple[str, JsonValue, int]] = [("", arguments, 0)]
    seen = 0
    while stack:
        name, value, depth = stack.pop()
        seen += 1
        if seen > _MOST_VALUES or depth > _DEEPEST:
            raise RuleFailed("the arguments hold too much to be looked through")
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, dict):
            stack.extend((key, item, depth + 1) for key, item in value.items())
        elif isinstance(value, list):
            stack.extend((name, item, depth + 1) for item in value)
