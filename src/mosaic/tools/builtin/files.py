"""The file tools: everything stays inside the run's worktree."""

import difflib
import fnmatch
import hashlib
import json
import secrets
import stat
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from mosaic.core.errors import Conflict, InvalidInput, NotFound, PolicyDenied, ToolFailed
from mosaic.core.values import JsonObject
from mosaic.engine import Safety
from mosaic.tools.functions import tool
from mosaic.tools.interfaces import Invocation
from mosaic.tools.paths import Confined
from mosaic.tools.processes import plain_text
from mosaic.tools.schemas import RiskClass, ToolEffect, ToolResult

__all__ = ["confined", "delete_file", "edit_file", "list_files", "read_file", "write_file"]

READ_BYTES = 2_000_000
SHOWN_CHARACTERS = 60_000
EDIT_BYTES = 5_000_000
_MOST_ENTRIES = 2_000
_DEEPEST = 40
_DIFF_CHARACTERS = 20_000

FilePath = Annotated[str, Field(description="Relative to the worktree, with forward slashes.", min_length=1)]


def confined(invocation: Invocation) -> Confined:
    """Return the worktree's files.

    Raises:
        PolicyDenied: if the run has no worktree.
    """
    if invocation.workspace is None or invocation.scratch is None:
        raise PolicyDenied(
            "This run has no worktree.", hint="Give the workflow a `workspace:` with a source."
        )
    return Confined(invocation.workspace, invocation.scratch)


@tool(
    name="files.list",
    risk=RiskClass.READ_ONLY,
    effects=(ToolEffect.READ,),
    safety=Safety.REPEATABLE,
    retries=True,
)
def list_files(
    invocation: Invocation,
    path: str = ".",
    pattern: Annotated[
        str | None, Field(description="A glob below `path`, such as **/*.py; lists all levels.")
    ] = None,
    recursive: bool = False,
    limit: Annotated[int, Field(ge=1, le=_MOST_ENTRIES)] = 500,
) -> ToolResult:
    """List files and directories of the worktree, with their sizes. Links are shown, not followed."""
    deep = recursive or pattern is not None
    prefix = 0 if path in (".", "./") else len(path.rstrip("/")) + 1
    found: list[JsonObject] = []
    more = False
    for name, status in confined(invocation).entries(path, depth=_DEEPEST if deep else 1):
        if pattern is not None and not _matches(name[prefix:].split("/"), pattern.split("/")):
            continue
        if len(found) == limit:
            more = True
            break
        kind = _kind(status.st_mode)
        entry: JsonObject = {"path": name, "type": kind}
        if kind == "file":
            entry["size_bytes"] = status.st_size
        found.append(entry)
    return ToolResult({"entries": found, "more": more}, truncated=more)


@tool(
    name="files.read",
    risk=RiskClass.READ_ONLY,
    effects=(ToolEffect.READ,),
    safety=Safety.REPEATABLE,
    retries=True,
)
def read_file(
    invocation: Invocation,
    path: FilePath,
    start_line: Annotated[int, Field(ge=1, description="The first line, from 1.")] = 1,
    end_line: Annotated[int | None, Field(ge=1, description="The last line; the last one if absent.")] = None,
) -> ToolResult:
    """Read a text file of the worktree, whole or some lines. A long one is cut; read on from `next_line`."""
    data = confined(invocation).read(path, limit_bytes=READ_BYTES + 1)
    if b"\0" in data[:8192]:
        raise InvalidInput(f"{path} is a binary file.", hint="Look at it with a command, if you may run one.")
    lines = data[:READ_BYTES].decode("utf-8", "replace").splitlines(keepends=True)
    if start_line > max(1, len(lines)):
        raise InvalidInput(f"{path} has {len(lines)} lines; there is no line {start_line}.")
    text, last = _fitting(lines[start_line - 1 : end_line], start_line)
    content: JsonObject = {"path": path, "content": text, "start_line": start_line, "end_line": last}
    cut = last < min(end_line or len(lines), len(lines))
    if cut:
        content["next_line"] = last + 1
    if len(data) > READ_BYTES:
        content["note"] = f"Only the first {READ_BYTES} bytes of the file can be read."
    else:
        content["total_lines"] = len(lines)
    return ToolResult(content, truncated=cut or len(data) > READ_BYTES)


def _preview_write(invocation: Invocation, arguments: JsonObject) -> JsonObject:
    path, files = str(arguments["path"]), confined(invocation)
    return {"diff": _diff(path, _text_or_nothing(files, path), str(arguments["content"]))}


@tool(
    name="files.write",
    risk=RiskClass.GENERATIVE,
    effects=(ToolEffect.WRITE,),
    safety=Safety.REPEATABLE,
    preview=_preview_write,
)
def write_file(
    invocation: Invocation,
    path: FilePath,
    content: Annotated[str, Field(max_length=EDIT_BYTES, description="The whole new content.")],
) -> ToolResult:
    """Write a file of the worktree, with its directories; a file that was there is replaced."""
    data = content.encode("utf-8", "replace")
    created = confined(invocation).write(path, data)
    return ToolResult({"path": path, "size_bytes": len(data), "created": created})


def _preview_edit(invocation: Invocation, arguments: JsonObject) -> JsonObject:
    path, files = str(arguments["path"]), confined(invocation)
    before = _text_or_nothing(files, path)
    old, new = str(arguments["old"]), str(arguments["new"])
    found = before.count(old)
    shown: JsonObject = {"diff": _diff(path, before, before.replace(old, new))}
    if found != arguments.get("count", 1):
        shown["note"] = f"The text stands {found} times in the file, so this edit will fail."
    return shown


@tool(
    name="files.edit",
    risk=RiskClass.GENERATIVE,
    effects=(ToolEffect.READ, ToolEffect.WRITE),
    safety=Safety.REPEATABLE,
    preview=_preview_edit,
)
def edit_file(
    invocation: Invocation,
    path: FilePath,
    old: Annotated[str, Field(min_length=1, description="The exact text to replace, with its indentation.")],
    new: Annotated[str, Field(max_length=EDIT_BYTES, description="What takes its place.")],
    count: Annotated[int, Field(ge=1, description="How many times `old` must stand in the file.")] = 1,
) -> ToolResult:
    """Replace exact text in a file of the worktree. It fails unless the text stands there exactly `count` times."""
    files = confined(invocation)
    before = files.read(path, limit_bytes=EDIT_BYTES + 1)
    if len(before) > EDIT_BYTES:
        raise InvalidInput(f"{path} is larger than {EDIT_BYTES} bytes.", hint="Change it with a command.")
    # One edit is one key: after a crash the note says whether this very edit is in the file already.
    if _noted(invocation, path) == _digest(before):
        return ToolResult({"path": path, "replaced": count})
    try:
        text = before.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text.", hint="Change it with a command.") from None
    found = text.count(old)
    if found != count:
        raise Conflict(f"The text stands {found} times in {path}, not {count}.", hint=_hint(text, old, found))
    after = text.replace(old, new).encode("utf-8", "replace")
    _note(invocation, path, _digest(after))
    files.write(path, after)
    return ToolResult({"path": path, "replaced": count})


def _preview_delete(invocation: Invocation, arguments: JsonObject) -> JsonObject:
    path, files = str(arguments["path"]), confined(invocation)
    mode = files.mode(path)
    if mode is None:
        return {"note": f"{path} does not exist, so this will fail."}
    if stat.S_ISDIR(mode):
        names = [name for name, _ in files.entries(path, depth=_DEEPEST)]
        return {"deletes": [path, *names[:100]], "entries": 1 + len(names)}
    return {"diff": _diff(path, _text_or_nothing(files, path), None)}


@tool(
    name="files.delete",
    risk=RiskClass.DESTRUCTIVE,
    effects=(ToolEffect.WRITE, ToolEffect.DESTRUCTIVE),
    safety=Safety.REPEATABLE,
    preview=_preview_delete,
)
def delete_file(
    invocation: Invocation,
    path: FilePath,
    recursive: Annotated[bool, Field(description="Delete a directory with all it holds.")] = False,
) -> ToolResult:
    """Delete a file or directory of the worktree."""
    files = confined(invocation)
    if _noted(invocation, path) == "deleting" and files.mode(path) is None:
        return ToolResult({"path": path, "deleted": True})
    if files.mode(path) is not None:
        _note(invocation, path, "deleting")
    entries = files.delete(path, recursive=recursive)
    return ToolResult({"path": path, "deleted": True, "entries": entries})


def _kind(mode: int) -> Literal["file", "directory", "link", "other"]:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Match path parts with glob parts, ``**`` standing for any number of them; one row of a table per part."""
    reachable = {0}
    for position in range(len(parts) + 1):
        while more := {place + 1 for place in reachable if pattern[place : place + 1] == ["**"]} - reachable:
            reachable |= more
        if position == len(parts):
            break
        reachable = {
            place if pattern[place] == "**" else place + 1
            for place in reachable
            if place < len(pattern)
            and (pattern[place] == "**" or fnmatch.fnmatchcase(parts[position], pattern[place]))
        }
    return len(pattern) in reachable


def _fitting(lines: Sequence[str], start_line: int) -> tuple[str, int]:
    """Return as many lines as fit, and the number of the last one."""
    taken: list[str] = []
    size = 0
    for line in lines:
        if size + len(line) > SHOWN_CHARACTERS and taken:
            break
        taken.append(line[:SHOWN_CHARACTERS])
        size += len(line)
    return plain_text("".join(taken).encode("utf-8", "replace")), start_line + max(0, len(taken) - 1)


def _text_or_nothing(files: Confined, path: str) -> str:
    try:
        return plain_text(files.read(path, limit_bytes=READ_BYTES))
    except (NotFound, InvalidInput, ToolFailed):
        return ""


def _diff(path: str, before: str, after: str | None) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True)[:5_000],
        (after or "").splitlines(keepends=True)[:5_000],
        f"a/{path}",
        "/dev/null" if after is None else f"b/{path}",
    )
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
    return text if len(text) <= _DIFF_CHARACTERS else f"{text[:_DIFF_CHARACTERS]}\n[cut]\n"


def _hint(text: str, old: str, found: int) -> str:
    if found:
        return "Give more of the text around it, or say how many times it stands there."
    first = old.strip().splitlines()[:1]
    near = difflib.get_close_matches(first[0], text.splitlines()[:5_000], n=1) if first and first[0] else []
    return f"The nearest line is: {near[0][:200]!r}" if near else "Read the file again; it may have changed."


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _note_name(invocation: Invocation) -> str:
    return f"call-{_digest(invocation.idempotency_key.encode())[:32]}.json"


def _note(invocation: Invocation, path: str, state: str) -> None:
    """Write down what this call is about to make of `path`."""
    if invocation.scratch is not None:
        notes = invocation.scratch / "calls"
        notes.mkdir(parents=True, exist_ok=True)
        draft = notes / secrets.token_hex(8)
        draft.write_text(json.dumps({"path": path, "state": state}))
        draft.replace(notes / _note_name(invocation))


def _noted(invocation: Invocation, path: str) -> str | None:
    """Return what an earlier attempt of this call wrote down."""
    if invocation.scratch is None:
        return None
    try:
        note = json.loads((invocation.scratch / "calls" / _note_name(invocation)).read_text())
    except (OSError, ValueError):
        return None
    return str(note["state"]) if note.get("path") == path else None
