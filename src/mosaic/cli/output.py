"""How the command line speaks: results on stdout, progress on stderr, JSON lines with `--json`."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["ago", "json_line", "note", "short_json", "show_error", "table", "usd"]


def json_line(value: JsonValue) -> None:
    """Write one JSON line to stdout, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something about the work on stderr."""
    click.echo(text, err=True)


def show_error(error: MosaicError, *, json_output: bool) -> None:
    """Say what went wrong, where, and the next step."""
    if json_output:
        json_line({"type": "error", **error.to_json()})
        return
    click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
    if isinstance(error, InvalidInput):
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
    if error.hint:
        click.echo(click.style("  next: ", bold=True) + error.hint, err=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print rows under columns; `empty` is the sentence for no rows. Plain text when stdout is not a terminal."""
    if not rows:
        click.echo(empty)
        return
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(column), *(len(row[i]) for row in texts)) for i, column in enumerate(columns)]
    click.echo(
        click.style(
            "  ".join(c.upper().ljust(w) for c, w in zip(columns, widths, strict=True)).rstrip(), dim=True
        )
    )
    for row in texts:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


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
    """Return one line of a value, cut at `limit` characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe(run: JsonObject) -> str:
    """Return the state of a run in a few words."""
    status = str(run["status"])
    colour = {"succeeded": "green", "failed": "red", "waiting": "yellow", "cancelled": "magenta"}.get(
        status, "cyan"
    )
    return click.style(status, fg=colour)
