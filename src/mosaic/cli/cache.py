"""`mosaic cache`: answers that are kept for the next who asks."""

import click

from mosaic.cli.keys import with_client
from mosaic.cli.output import json_line, plain, table

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")


@click.group("cache")
def command() -> None:
    """See how often answers were known, forget them, bring them into memory.

    A route keeps answers when it says `cache: 1h` in routes.yaml.

    \b
    mosaic cache show
    mosaic cache purge --route support
    mosaic cache purge --tag model:gpt-5
    mosaic cache warm --hours-ahead 1
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("show")
@_json
@click.pass_context
def show(ctx: click.Context, json_output: bool) -> None:
    """Show hit rates by route since the server started, and what each tier holds."""
    shown = with_client(ctx, lambda client: client.cache())
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            plain(one["route"]),
            str(one["lookups"]),
            f"{one['hit_rate']:.1%}",
            str(one["memory"]),
            str(one["redis"] + one["objects"]),
            str(one["joined"]),
            str(one["similar"]),
            str(one["fetched"]),
        )
        for one in shown["routes"]
    ]
    head = ("route", "look-ups", "hit rate", "memory", "below", "joined", "similar", "asked")
    table(head, rows, empty="Nothing was looked up yet: no route with `cache` was asked since the start.")
    for tier in shown["tiers"]:
        held = "?" if tier["entries"] is None else f"{tier['entries']:,}"
        size = "" if tier["size_bytes"] is None else f", {tier['size_bytes'] / 1e6:,.1f} MB"
        state = "" if tier["open"] else ", left alone for now: it could not be reached"
        click.echo(f"{tier['name']}: {held} answers{size}{state}")


@command.command("purge")
@click.option("--route", help="Only answers of this route.")
@click.option("--tag", help="Only answers with this tag, such as provider:openai or model:gpt-5.")
@click.option("--all", "everything", is_flag=True, help="All answers of this tenant.")
@_json
@click.pass_context
def purge(
    ctx: click.Context, route: str | None, tag: str | None, everything: bool, json_output: bool
) -> None:
    """Forget answers, on every node."""
    if sum((route is not None, tag is not None, everything)) != 1:
        raise click.UsageError("Say what to forget: one of --route, --tag and --all.")
    shown = with_client(ctx, lambda client: client.purge_cache(route=route, tag=tag))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{shown['forgotten']} answers are forgotten.")


@command.command("warm")
@click.option("--hours-ahead", type=click.IntRange(0, 168), default=0, show_default=True)
@_json
@click.pass_context
def warm(ctx: click.Context, hours_ahead: int, json_output: bool) -> None:
    """Bring what was popular at an hour, in the weeks before, from the tiers below into memory."""
    shown = with_client(ctx, lambda client: client.warm_cache(hours_ahead=hours_ahead))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{shown['warm']} answers are in memory, {shown['missing']} are in no tier any more.")
