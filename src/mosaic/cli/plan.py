"""`mosaic plan`: work breakdowns, changed by reviewable diffs, and runs that work on their items."""

import json
from pathlib import Path
from typing import Any

import click

from mosaic.cli.client import Client
from mosaic.cli.keys import with_client
from mosaic.cli.output import json_line, note, plain
from mosaic.cli.plan_history import diff, undo
from mosaic.cli.plan_names import dry_option, json_option, note_option, plan_id
from mosaic.cli.plan_run import run
from mosaic.cli.plan_view import show_change, show_item, show_path, show_plans, show_tree
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]

_before = click.option("--before", help="Stand before this sibling.")
_after = click.option("--after", help="Stand after this sibling.")
_STATUS = click.Choice(["todo", "running", "needs_you", "blocked", "done", "failed", "cancelled"])


@click.group("plan")
def command() -> None:
    """Make, show, change, import and run plans. PLAN is a plan's id or its name; ITEM an item's key or id.

    \b
    mosaic plan import examples/plans/checkout.yaml
    mosaic plan show Checkout --levels 2
    mosaic plan add Checkout "Retry a declined card" --under S.001.02.01 --hours 3 --dry-run
    mosaic plan link Checkout T.001.02.01.03 T.001.02.01.01
    mosaic plan path Checkout
    mosaic plan run Checkout T.001.02.01.01 implement.yaml -i goal="Add the form"
    mosaic plan undo Checkout
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


for _part in (run, diff, undo):
    command.add_command(_part)


@command.command("new")
@click.argument("name")
@click.option("--description", default="")
@click.option("--project", help="Default: this installation's project.")
@json_option
@click.pass_context
def new(ctx: click.Context, name: str, description: str, project: str | None, json_output: bool) -> None:
    """Make an empty plan."""
    wanted = {"name": name, "description": description, **({"project": project} if project else {})}
    _show_made(with_client(ctx, lambda client: client.create_plan(wanted)), json_output=json_output)


@command.command("list")
@click.option("--project", help="Only plans of this project.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--cursor", help="Go on where the page before ended.")
@json_option
@click.pass_context
def list_(ctx: click.Context, project: str | None, limit: int, cursor: str | None, json_output: bool) -> None:
    """List plans, newest first."""
    page = with_client(ctx, lambda client: client.plans(project=project, limit=limit, cursor=cursor))
    if json_output:
        for plan in page["items"]:
            json_line(plan)
    else:
        show_plans(page["items"])
    if page["next_cursor"]:
        note(f"more: --cursor '{page['next_cursor']}'")


@command.command("show")
@click.argument("plan")
@click.argument("item", required=False)
@click.option("--levels", type=click.IntRange(1, 6), help="How many levels of the tree; all without it.")
@click.option("--tree", is_flag=True, help="With ITEM: everything below it, as a tree.")
@json_option
@click.pass_context
def show(
    ctx: click.Context, plan: str, item: str | None, levels: int | None, tree: bool, json_output: bool
) -> None:
    """Show a plan as a tree with progress bars, or one ITEM. ◆ marks what decides the finish."""

    async def read(client: Client) -> tuple[JsonObject, JsonObject]:
        found = await plan_id(client, plan)
        if item is not None and not tree:
            return {}, await client.plan_item(found, item)
        if item is not None:
            await client.plan_item(found, item)  # says when there is none
        return await client.plan(found), await client.plan_graph(found)

    shown, detail = with_client(ctx, read)
    if json_output:
        json_line({**shown, "graph": detail} if shown else detail)
    elif shown:
        show_tree(shown, detail, under=item, levels=levels)
    else:
        show_item(detail)


@command.command("path")
@click.argument("plan")
@json_option
@click.pass_context
def path(ctx: click.Context, plan: str, json_output: bool) -> None:
    """Show the critical path: the items that decide when the plan is done."""

    async def read(client: Client) -> tuple[JsonObject, JsonObject]:
        found = await plan_id(client, plan)
        return await client.plan(found), await client.plan_graph(found)

    shown, graph = with_client(ctx, read)
    if json_output:
        by_id = {item["id"]: item for item in graph["items"]}
        for one in shown["critical_path"]:
            json_line(by_id.get(one, {"id": one}))
        return
    show_path(shown, graph["items"])


@command.command("add")
@click.argument("plan")
@click.argument("title")
@click.option("--under", help="The item it is a part of; an epic without it.")
@click.option("--description")
@click.option("--hours", type=click.FloatRange(0), help="Estimated hours of work.")
@click.option("--tokens", type=click.IntRange(0), help="Estimated tokens.")
@click.option("--usd", "dollars", type=click.FloatRange(0), help="Estimated cost in dollars.")
@click.option("--assignee", help="agent:NAME or person:NAME.")
@click.option("--label", "labels", multiple=True)
@click.option("--accept", "criteria", multiple=True, help="Something that must be true before it is done.")
@click.option("--depends-on", "others", multiple=True, help="An item that must be done before it starts.")
@_before
@_after
@note_option
@dry_option
@json_option
@click.pass_context
def add(
    ctx: click.Context, /, plan: str, title: str, note: str, dry_run: bool, json_output: bool, **given: Any
) -> None:
    """Add an item called TITLE. What it is follows from where it stands: a child of a story is a task."""
    operation: JsonObject = {
        "op": "add",
        "item": {"title": title, **_fields(given)},
        "depends_on": list(given["others"]),
        **_place(given),
    }
    if given["under"] is not None:
        operation["parent"] = given["under"]
    _change(ctx, plan, [operation], note=note, dry_run=dry_run, json_output=json_output)


@command.command("edit")
@click.argument("plan")
@click.argument("item", required=False)
@click.option("--title")
@click.option("--description")
@click.option("--status", type=_STATUS)
@click.option("--reason", help="Why it is blocked or failed.")
@click.option("--priority", type=click.IntRange(1, 5), help="1 is the highest.")
@click.option("--phase")
@click.option("--target-version")
@click.option("--hours", type=click.FloatRange(0))
@click.option("--tokens", type=click.IntRange(0))
@click.option("--usd", "dollars", type=click.FloatRange(0))
@click.option("--assignee", help="agent:NAME or person:NAME; empty for nobody.")
@click.option("--label", "labels", multiple=True, help="Replaces the labels.")
@click.option("--accept", "criteria", multiple=True, help="Replaces the acceptance criteria.")
@note_option
@dry_option
@json_option
@click.pass_context
def edit(
    ctx: click.Context,
    /,
    plan: str,
    item: str | None,
    note: str,
    dry_run: bool,
    json_output: bool,
    **given: Any,
) -> None:
    """Set fields of an ITEM, or without one the plan's title and description."""
    fields = _fields(given)
    if not fields:
        raise InvalidInput(
            "Nothing is to be set.", hint="Such as --status done, --hours 3. `mosaic plan edit -h`."
        )
    if item is None:
        names = {"title": "name", "description": "description"}
        if others := [name for name in fields if name not in names]:
            raise InvalidInput(f"A plan has no {others[0]}.", hint="Name the item to set it of.")
        operation = {"op": "update_plan", "set": {names[name]: value for name, value in fields.items()}}
    else:
        operation = {"op": "update", "item": item, "set": fields}
    _change(ctx, plan, [operation], note=note, dry_run=dry_run, json_output=json_output)


@command.command("move")
@click.argument("plan")
@click.argument("item")
@click.option("--under", help="The item it shall be a part of.")
@_before
@_after
@note_option
@dry_option
@json_option
@click.pass_context
def move(
    ctx: click.Context, /, plan: str, item: str, note: str, dry_run: bool, json_output: bool, **given: Any
) -> None:
    """Move an ITEM with everything below it: under another item, or among its siblings."""
    operation = {"op": "move", "item": item, **_place(given)}
    if given["under"] is not None:
        operation["parent"] = given["under"]
    if len(operation) == 2:
        raise InvalidInput("Where shall it go?", hint="Give --under, --before or --after.")
    _change(ctx, plan, [operation], note=note, dry_run=dry_run, json_output=json_output)


@command.command("link")
@click.argument("plan")
@click.argument("item")
@click.argument("others", nargs=-1, required=True)
@note_option
@dry_option
@json_option
@click.pass_context
def link(
    ctx: click.Context,
    plan: str,
    item: str,
    others: tuple[str, ...],
    note: str,
    dry_run: bool,
    json_output: bool,
) -> None:
    """Have an ITEM wait for OTHERS; one of another plan is PLAN_ID:KEY."""
    operations = [{"op": "link", "item": item, "depends_on": other} for other in others]
    _change(ctx, plan, operations, note=note, dry_run=dry_run, json_output=json_output)


@command.command("unlink")
@click.argument("plan")
@click.argument("item")
@click.argument("others", nargs=-1, required=True)
@note_option
@dry_option
@json_option
@click.pass_context
def unlink(
    ctx: click.Context,
    plan: str,
    item: str,
    others: tuple[str, ...],
    note: str,
    dry_run: bool,
    json_output: bool,
) -> None:
    """Have an ITEM no longer wait for OTHERS."""
    operations = [{"op": "unlink", "item": item, "depends_on": other} for other in others]
    _change(ctx, plan, operations, note=note, dry_run=dry_run, json_output=json_output)


@command.command("remove")
@click.argument("plan")
@click.argument("item", required=False)
@click.option("--yes", is_flag=True, help="Remove a whole plan without asking.")
@note_option
@dry_option
@json_option
@click.pass_context
def remove(
    ctx: click.Context, plan: str, item: str | None, yes: bool, note: str, dry_run: bool, json_output: bool
) -> None:
    """Remove an ITEM with everything below it, or the whole plan."""
    if item is not None:
        operation = {"op": "remove", "item": item}
        _change(ctx, plan, [operation], note=note, dry_run=dry_run, json_output=json_output)
        return
    if dry_run or not yes:
        raise InvalidInput(
            f"This removes the whole plan {plan!r}, with its history; it cannot be undone.",
            hint="Export it first: `mosaic plan export`. Then say --yes.",
        )

    async def work(client: Client) -> JsonObject:
        return await client.remove_plan(await plan_id(client, plan))

    gone = with_client(ctx, work)
    json_line(gone) if json_output else click.echo(f"Removed {gone['id']}.")


@command.command("apply")
@click.argument("plan")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@note_option
@dry_option
@json_option
@click.pass_context
def apply(ctx: click.Context, plan: str, file: Path, note: str, dry_run: bool, json_output: bool) -> None:
    """Apply the change set in a JSON FILE: `operations`, and perhaps `base_version` and `note`."""
    try:
        wanted = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} is no JSON: {error}.") from None
    if not isinstance(wanted, dict):
        wanted = {"operations": wanted}
    if unknown := sorted(set(wanted) - {"operations", "base_version", "note"}):
        raise InvalidInput(
            f"A change set has no {unknown[0]!r}.", hint="It has operations, base_version, note."
        )
    _change(ctx, plan, wanted.get("operations"), note=note or str(wanted.get("note") or ""), dry_run=dry_run,
            json_output=json_output, base_version=wanted.get("base_version"))  # fmt: skip


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--project", help="Default: this installation's project.")
@click.option("--check", is_flag=True, help="Only look for problems.")
@json_option
@click.pass_context
def import_(ctx: click.Context, file: Path, project: str | None, check: bool, json_output: bool) -> None:
    """Make a plan from a YAML FILE; every problem is named with its line."""
    from mosaic.planning.documents import read_plan

    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8 text.") from None
    read = read_plan(text, str(file))
    if check:
        found = {"name": read.name, "items": len(read.operations), "valid": True}
        json_line(found) if json_output else click.echo(f"{file} is a plan of {found['items']} items.")
        return
    wanted = {**read.to_json(), **({"project": project} if project else {})}
    _show_made(with_client(ctx, lambda client: client.create_plan(wanted)), json_output=json_output)


@command.command("export")
@click.argument("plan")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@json_option
@click.pass_context
def export(ctx: click.Context, plan: str, output: Path | None, json_output: bool) -> None:
    """Write a plan as YAML that `mosaic plan import` reads."""

    async def work(client: Client) -> JsonObject:
        return await client.export_plan(await plan_id(client, plan))

    shown = with_client(ctx, work)
    if output is not None:
        output.write_text(shown["document"], encoding="utf-8")
        note(f"Written to {output}.")
    if json_output:
        json_line(shown)
    elif output is None:
        click.echo(shown["document"], nl=False)


def _fields(given: JsonObject) -> JsonObject:
    """Return the fields of an item that options set; an empty text clears one."""
    names = ("title", "description", "status", "reason", "priority", "phase", "target_version", "assignee")
    fields: JsonObject = {
        name: given[name] or None for name in names if name in given and given[name] is not None
    }
    estimate = {"hours": given["hours"], "tokens": given["tokens"], "usd": given["dollars"]}
    if known := {name: value for name, value in estimate.items() if value is not None}:
        fields["estimate"] = known
    if given["labels"]:
        fields["labels"] = list(given["labels"])
    if given["criteria"]:
        fields["acceptance"] = [{"text": text} for text in given["criteria"]]
    return fields


def _place(given: JsonObject) -> JsonObject:
    return {name: given[name] for name in ("before", "after") if given[name] is not None}


def _change(
    ctx: click.Context,
    plan: str,
    operations: Any,
    *,
    note: str,
    dry_run: bool,
    json_output: bool,
    base_version: int | None = None,
) -> None:
    async def work(client: Client) -> JsonObject:
        wanted: JsonObject = {"operations": operations, "note": note}
        if base_version is not None:
            wanted["base_version"] = base_version
        return await client.change_plan(await plan_id(client, plan), wanted, dry_run=dry_run)

    _show_change(with_client(ctx, work), json_output=json_output)


def _show_change(change: JsonObject, *, json_output: bool) -> None:
    json_line(change) if json_output else show_change(change)


def _show_made(plan: JsonObject, *, json_output: bool) -> None:
    if json_output:
        json_line(plan)
        return
    click.echo(plan["id"])
    note(f"{plain(plan['name'])}: {sum(plan['items'].values())} items. Next: mosaic plan show {plan['id']}")
