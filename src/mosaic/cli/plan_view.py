"""Plans in a terminal: the tree with progress bars, the critical path, diffs and what a change means."""

from collections.abc import Iterable

import click

from mosaic.cli.output import ago, note, plain, short_json, table, usd
from mosaic.core.values import JsonObject

__all__ = ["hours", "show_change", "show_changes", "show_item", "show_path", "show_plans", "show_tree"]

_MARKS = {
    "todo": ("○", "bright_black"),
    "ready": ("◔", "blue"),
    "running": ("●", "cyan"),
    "needs_you": ("▲", "yellow"),
    "blocked": ("◌", "magenta"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("-", "bright_black"),
}
_BAR = 10
_MOST_LINES = 60
_SHORT = 70


def hours(value: float | None) -> str:
    """Return hours of work for a person."""
    if value is None:
        return "-"
    return f"{value:.0f} h" if value >= 10 or value == int(value) else f"{value:.1f} h"


def _mark(status: str) -> str:
    mark, colour = _MARKS.get(status, ("?", "white"))
    return click.style(mark, fg=colour)


def _bar(progress: float) -> str:
    filled = int(progress * _BAR) if progress < 1 else _BAR
    return click.style("█" * filled, fg="green") + click.style("░" * (_BAR - filled), dim=True)


def show_plans(items: Iterable[JsonObject]) -> None:
    """Print a table of plans."""
    rows = [
        (
            plan["id"],
            short_json(plan["name"], limit=40),
            f"{_bar(plan['progress'])} {plan['progress']:.0%}",
            sum(plan["items"].values()),
            hours(plan["finish_hours"]),
            f"{usd(plan['actual']['usd'])} of {usd(plan['estimate']['usd'])}",
            ago(plan["updated_at"]),
        )
        for plan in items
    ]
    table(
        ("plan", "name", "progress", "items", "left", "cost", "changed"),
        rows,
        empty="No plans yet. Make one: mosaic plan import examples/plans/checkout.yaml",
    )


def show_tree(
    plan: JsonObject, graph: JsonObject, *, under: str | None = None, levels: int | None = None
) -> None:
    """Print a plan as a tree.

    Args:
        plan: the plan.
        graph: its items.
        under: the id or key of the item to begin with; the whole plan without.
        levels: how many levels to show.
    """
    click.echo(
        click.style(plain(plan["name"]), bold=True)
        + click.style(f"  {plan['id']} v{plan['version']}", dim=True)
    )
    counts = ", ".join(f"{count} {status}" for status, count in plan["statuses"].items()) or "no items"
    click.echo(f"{_bar(plan['progress'])} {plan['progress']:.0%}  {counts}")
    click.echo(
        f"left {hours(plan['finish_hours'])}, cost {usd(plan['actual']['usd'])} of {usd(plan['estimate']['usd'])}"
    )
    items: list[JsonObject] = graph["items"]
    by_id = {item["id"]: item for item in items}
    depths: dict[str, int] = {}
    for item in items:
        if under is None or under in (item["id"], item["key"]):
            depths[item["id"]] = depths.get(str(item["parent"]), -1) + 1 if under is None else 0
        elif item["parent"] in depths:
            depths[item["id"]] = depths[item["parent"]] + 1
        depth = depths.get(item["id"])
        if depth is not None and (levels is None or depth < levels):
            click.echo(_line(item, depth, by_id))


def _line(item: JsonObject, depth: int, by_id: dict[str, JsonObject]) -> str:
    has_parts = item["kind"] in ("epic", "feature", "story") or item["progress"] not in (0, 1)
    name = click.style(plain(item["title"]), bold=depth == 0)
    critical = click.style(" ◆", fg="yellow") if item["critical"] else ""
    bar = f" {_bar(item['progress'])} {item['progress']:.0%}" if has_parts else ""
    waits = [
        by_id[other]["key"]
        for other in item["depends_on"]
        if other in by_id and by_id[other]["status"] != "done"
    ]
    after = click.style(f" after {', '.join(waits)}", dim=True) if waits and item["status"] == "todo" else ""
    why = click.style(f" {short_json(item['reason'], limit=_SHORT)}", fg="magenta") if item["reason"] else ""
    who = click.style(f" @{plain(item['assignee'].partition(':')[2])}", fg="blue") if item["assignee"] else ""
    cost = f" {usd(item['actual_usd'])}" if item["actual_usd"] else ""
    time = click.style(f" {hours(item['estimate_hours'])}", dim=True) if item["estimate_hours"] else ""
    return f"{'  ' * depth}{_mark(item['status'])} {click.style(item['key'], dim=True)} {name}{critical}{bar}{time}{cost}{who}{after}{why}"


def show_item(item: JsonObject) -> None:
    """Print everything about one item."""
    click.echo(
        f"{_mark(item['status'])} {click.style(item['key'], bold=True)} {plain(item['title'])}  ({item['status']})"
    )
    for name in ("reason", "assignee", "phase", "target_version", "description"):
        if item[name]:
            click.echo(f"  {name.replace('_', ' ')}: {plain(item[name])}")
    planned, actual = item["planned"], item["actual"]
    click.echo(
        f"  estimate: {hours(planned['hours'])}, {usd(planned['usd'])}; actual: {hours(actual['hours'])}, {usd(actual['usd'])}"
    )
    slack = f", {hours(item['slack_hours'])} slack" if item["slack_hours"] is not None else ""
    click.echo(f"  earliest: {hours(item['start_hours'])} to {hours(item['finish_hours'])} from now{slack}")
    if item["labels"]:
        click.echo(f"  labels: {plain(', '.join(item['labels']))}")
    for criterion in item["acceptance"]:
        click.echo(f"  {'☑' if criterion['met'] else '☐'} {plain(criterion['text'])}")
    for other in item["waits_for"]:
        click.echo(f"  waits for {other['key']} {plain(other['title'])} ({other['status']})")
    for run in item["runs"]:
        click.echo(f"  run {run['run_id']} {run['status']}, {usd(run['actual']['usd'])}")


def show_path(plan: JsonObject, items: list[JsonObject]) -> None:
    """Print the items that decide the finish."""
    by_id = {item["id"]: item for item in items}
    rows = [
        (
            item["key"],
            _mark(item["status"]) + " " + short_json(item["title"], limit=_SHORT),
            hours(item["start_hours"]),
            hours(item["finish_hours"]),
            plain(item["assignee"] or "-"),
        )
        for item in (by_id[one] for one in plan["critical_path"] if one in by_id)
    ]
    table(("item", "title", "start", "finish", "by"), rows, empty="Nothing is left to do.")
    if others := len(plan["critical_path"]) - len(rows):
        note(f"{others} more are items of other plans.")


def show_changes(items: Iterable[JsonObject]) -> None:
    """Print a plan's history."""
    rows = [
        (
            change["id"],
            f"v{change['version']}",
            _counts(change["diff"]),
            short_json(change["note"], limit=_SHORT) or "-",
            plain(change["created_by"]),
            ago(change["created_at"]) + (" (undone)" if change["undone_by"] else ""),
        )
        for change in items
    ]
    table(("change", "version", "what", "note", "by", "when"), rows, empty="The plan has not been changed.")


def _counts(diff: list[JsonObject]) -> str:
    signs = {"added": "+", "changed": "~", "removed": "-"}
    counted = {sign: sum(one["change"] == change for one in diff) for change, sign in signs.items()}
    return " ".join(f"{sign}{count}" for sign, count in counted.items() if count) or "nothing"


def show_change(change: JsonObject) -> None:
    """Print a change: its diff, and what it means."""
    lines = [line for one in change["diff"] for line in _diff_lines(one)]
    for line in lines[:_MOST_LINES]:
        click.echo(line)
    if len(lines) > _MOST_LINES:
        click.echo(click.style(f"… and {len(lines) - _MOST_LINES} more lines; --json shows all", dim=True))
    if not lines:
        click.echo("This changes nothing.")
        return
    means: JsonObject = change["consequences"]
    finish, cost = means["finish_hours"], means["estimate_usd"]
    if finish["before"] != finish["after"]:
        click.echo(f"finish: {hours(finish['before'])} → {hours(finish['after'])} from now")
    if cost["before"] != cost["after"]:
        click.echo(f"estimate: {usd(cost['before'])} → {usd(cost['after'])}")
    for name, colour in (("unblocked", "green"), ("blocked", "magenta")):
        if means[name]:
            keys = ", ".join(one["key"] for one in means[name][:10])
            click.echo(click.style(f"{name}: {keys}", fg=colour))
    for warning in means["warnings"]:
        note(click.style(f"advice: {plain(warning)}", fg="yellow"))
    said = (
        "Nothing was written (dry run)."
        if change["dry_run"]
        else f"{change['id']}: version {change['version']}."
    )
    note(said)


def _diff_lines(one: JsonObject) -> Iterable[str]:
    title = plain(f"{one['key']} {one['title']}".strip())
    if one["change"] == "added":
        yield click.style(f"+ {title}", fg="green")
        return
    if one["change"] == "removed":
        yield click.style(f"- {title}", fg="red")
        return
    yield click.style(f"~ {title}", fg="yellow")
    for name, field in one["fields"].items():
        if name in ("parent", "number", "rank"):
            continue  # the key tells where it stands
        yield f"    {name}: {short_json(field['before'], limit=_SHORT)} → {short_json(field['after'], limit=_SHORT)}"
    if set(one["fields"]) <= {"rank"}:
        yield "    stands elsewhere among its siblings"
