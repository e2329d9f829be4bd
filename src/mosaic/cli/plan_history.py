"""`mosaic plan diff` and `undo`: what was changed, and back again."""

import click

from mosaic.cli.client import Client
from mosaic.cli.keys import with_client
from mosaic.cli.output import json_line
from mosaic.cli.plan_names import dry_option, json_option, note_option, plan_id
from mosaic.cli.plan_view import show_change, show_changes
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject

__all__ = ["diff", "undo"]

_PAGE = 500


@click.command("diff")
@click.argument("plan")
@click.argument("change", required=False)
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@json_option
@click.pass_context
def diff(ctx: click.Context, plan: str, change: str | None, limit: int, json_output: bool) -> None:
    """Show a plan's history, or the diff of one CHANGE (its id, or `last`)."""

    async def work(client: Client) -> list[JsonObject]:
        found = await plan_id(client, plan)
        return await _history(client, found, change, limit=limit)

    items = with_client(ctx, work)
    if json_output:
        for one in items:
            json_line(one)
    elif change is None:
        show_changes(items)
    else:
        show_change(items[0])


async def _history(client: Client, found: str, change: str | None, *, limit: int) -> list[JsonObject]:
    if change is None:
        listed: list[JsonObject] = (await client.plan_changes(found, limit=limit))["items"]
        return listed
    cursor: str | None = None
    while True:
        page = await client.plan_changes(found, limit=_PAGE if change != "last" else 1, cursor=cursor)
        for one in page["items"]:
            if change in ("last", one["id"]):
                return [one]
        cursor = page["next_cursor"]
        if cursor is None:
            raise NotFound(
                f"The plan has no change {change}.", hint=f"`mosaic plan diff {found}` shows its changes."
            )


@click.command("undo")
@click.argument("plan")
@click.argument("change", required=False)
@note_option
@dry_option
@json_option
@click.pass_context
def undo(
    ctx: click.Context, plan: str, change: str | None, note: str, dry_run: bool, json_output: bool
) -> None:
    """Take a CHANGE back; without one the last that was not taken back and takes none back."""

    async def work(client: Client) -> JsonObject:
        found = await plan_id(client, plan)
        chosen = change or await _last_effective(client, found)
        return await client.undo_change(found, chosen, {"note": note}, dry_run=dry_run)

    shown = with_client(ctx, work)
    json_line(shown) if json_output else show_change(shown)


async def _last_effective(client: Client, found: str) -> str:
    page = await client.plan_changes(found, limit=_PAGE)
    for one in page["items"]:
        if one["undone_by"] is None and one["undoes"] is None and one["base_version"] > 0:
            return str(one["id"])
    raise NotFound("There is no change to take back.", hint=f"`mosaic plan diff {found}` shows the history.")
