"""How the command line speaks: results on stdout, progress on stderr, JSON lines with `--json`."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["ago", "describe", "json_line", "note", "plain", "short_json", "show_error", "table", "usd"]

# Control characters, and those that turn the direction of text: with them a file name or a model's answer could draw
# over what a person is asked to approve. Line breaks and tabs stay.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]"
)
_COLOURS = {"succeeded": "green", "failed": "red", "waiting": "yellow", "cancelled": "magenta"}


def plain(text: str) -> str:
    """Return text from outside as it may be shown in a terminal: control characters as escapes."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def json_line(value: JsonValue) -> None:
    """Write one JSON line to stdout, at once. ASCII only: some readers break lines at other characters too."""
    sys.stdout.write(json.dumps(value, default=str) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something about the work on stderr."""
    click.echo(text, err=True)


def show_error(error: MosaicError, *, json_output: bool) -> None:
    """Say what went wrong, where, and the next step."""
    if json_output:
        json_line({"type": "error", **error.to_json()})
        return
    note(click.style("error: ", fg="red", bold=True) + plain(error.message))
    if isinstance(error, InvalidInput):
        for problem in error.problems:
            note(f"  {plain(str(problem))}")
    if error.hint:
        note(click.style("  next: ", bold=True) + plain(error.hint))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print rows under columns; `empty` is the sentence for no rows. Plain text when stdout is not a terminal."""
    if not rows:
        click.echo(empty)
        return
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(column), *(_width(row[i]) for row in texts)) for i, column in enumerate(columns)]
    click.echo(click.style(_row([column.upper() for column in columns], widths), dim=True))
    for row in texts:
        click.echo(_row(row, widths))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _width(cell: str) -> int:
    return len(click.unstyle(cell))


def usd(amount: float | str | None) -> str:
    """Return dollars for a person; a dash when nothing is known."""
    if amount is None:
        return "-"
    value = float(amount)
    return f"${value:.2f}" if value >= 0.01 or value == 0 else f"${value:.6f}".rstrip("0")


def ago(moment: str | None) -> str:
    """Return how long ago an ISO time was, in one unit."""
    if not moment:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def short_json(value: JsonValue, *, limit: int = 120) -> str:
    """Return one line of a value, safe to show, cut at `limit` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = plain(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe(run: JsonObject) -> str:
    """Return the state of a run in a few words."""
    status = str(run["status"])
    return click.style(status, fg=_COLOURS.get(status, "cyan"))
