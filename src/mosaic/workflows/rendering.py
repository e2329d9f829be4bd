"""Problems as a person reads them: place, message, the line of the file with a caret, suggestion."""

from collections.abc import Sequence
from pathlib import Path

from mosaic.core.errors import Problem
from mosaic.core.redaction import looks_secret, names_secret
from mosaic.workflows.language.document import MAX_BYTES

__all__ = ["render_problems"]

_WIDTH = 120


def render_problems(problems: Sequence[Problem]) -> str:
    """Return the problems as plain text, a blank line between two; source lines are read from their files.

    A line that may hold a secret is not shown.
    """
    sources: dict[str, list[str]] = {}
    return "\n\n".join(_render(problem, sources) for problem in problems)


def _render(problem: Problem, sources: dict[str, list[str]]) -> str:
    place = f"{problem.file}:{problem.line}:{problem.column}: " if problem.file else ""
    if not place and problem.path:
        place = f"{problem.path}: "
    lines = [place + problem.message]
    if problem.file and problem.line:
        if problem.file not in sources:
            sources[problem.file] = _read(problem.file)
        lines += _source(sources[problem.file], problem)
    if problem.suggestion:
        lines.append(f"      = {problem.suggestion}")
    return "\n".join(lines)


def _read(file: str) -> list[str]:
    try:
        path = Path(file)
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return []
        return path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError:
        return []


def _source(rows: list[str], problem: Problem) -> list[str]:
    if problem.line > len(rows):
        return []
    row = "".join(char if char.isprintable() else " " for char in rows[problem.line - 1].rstrip("\r"))
    if not row.strip() or looks_secret(row) or names_secret(row) or "secret" in problem.message:
        return []
    start = max(0, problem.column - _WIDTH)
    shown = row[start : start + _WIDTH * 2]
    number = str(problem.line).rjust(4)
    return [f"{number} | {shown}", f"     | {' ' * max(0, problem.column - 1 - start)}^"]
