"""Searches files for a regular expression; a script of its own, because a pattern may take for ever.

Reads one line of JSON, prints one. It runs under a warden with a time limit and may change nothing.
"""

import json
import os
import re
import stat
import sys
from typing import Any

_MOST_BYTES = 4_000_000
_MOST_LINE = 400
_SKIPPED = frozenset(
    {"node_modules", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"}
)


def main() -> None:
    """Search and print."""
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        answer = _search(order)
    except (re.error, RecursionError, OverflowError) as error:
        answer = {"error": "pattern", "message": str(error)}
    except OSError as error:
        answer = {"error": "path", "message": error.strerror or str(error)}
    print(json.dumps(answer))  # noqa: T201  # that is its task


def _search(order: dict[str, Any]) -> dict[str, Any]:
    pattern = re.compile(order["pattern"], re.IGNORECASE if order["ignore_case"] else 0)
    name = re.compile(order["glob"]) if order["glob"] else None
    found: list[dict[str, Any]] = []
    files = 0
    for path, descriptor in _files(order["root"], order["start"], name):
        files += 1
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_MOST_BYTES)
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if pattern.search(line):
                if len(found) == order["limit"]:
                    return {"matches": found, "files": files, "more": True}
                found.append({"path": path, "line": number, "text": line[:_MOST_LINE]})
    return {"matches": found, "files": files, "more": False}


def _files(root: str, start: list[str], name: "re.Pattern[str] | None") -> Any:
    """Yield path and descriptor of each regular file below `start`; no link is followed."""
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for part in start[:-1]:
        top = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    prefix = "/".join(start)
    if start and not stat.S_ISDIR(os.stat(start[-1], dir_fd=top, follow_symlinks=False).st_mode):
        yield prefix, os.open(start[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=top)
        return
    for directory, directories, names, descriptor in os.fwalk(start[-1] if start else ".", dir_fd=top):
        directories[:] = sorted(
            inner for inner in directories if inner.lower() != ".git" and inner not in _SKIPPED
        )
        inside = "/".join(directory.split("/")[1:])
        for file in sorted(names):
            path = "/".join(part for part in (prefix, inside, file) if part)
            if name is not None and not name.fullmatch(path):
                continue
            try:
                opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
            except OSError:
                continue
            if stat.S_ISREG(os.fstat(opened).st_mode):
                yield path, opened
            else:
                os.close(opened)


if __name__ == "__main__":
    main()
