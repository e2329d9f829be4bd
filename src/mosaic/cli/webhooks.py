"""`mosaic webhooks`: addresses that are told of events."""

import click

from mosaic.cli.keys import duration_s, with_client
from mosaic.cli.output import ago, json_line, note, plain, table
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")


@click.group("webhooks")
def command() -> None:
    """Have addresses told of events, signed and at least once; see what was delivered, and have it delivered again.

    \b
    mosaic webhooks add ci https://example.org/hook --events 'run.*,approval.requested'
    mosaic webhooks test ci
    mosaic webhooks deliveries ci --status dead
    mosaic webhooks replay ci --after 1200
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("add")
@click.argument("name")
@click.argument("url")
@click.option(
    "--events", default="*", show_default=True, help="Patterns of event types, separated by commas."
)
@click.option("--project", help="Only events of this project.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Deliveries in flight; one keeps the order of the journal.",
)
@click.option("--after", type=click.IntRange(0), help="Begin after this journal sequence instead of now.")
@_json
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    url: str,
    events: str,
    project: str | None,
    at_once: int,
    after: int | None,
    json_output: bool,
) -> None:
    """Have an address told of events; print the secret that its messages are signed with, this once."""
    wanted: JsonObject = {"name": name, "url": url, "events": _listed(events), "at_once": at_once}
    wanted |= {key: value for key, value in (("project", project), ("after", after)) if value is not None}
    _secret(with_client(ctx, lambda client: client.create_webhook(wanted)), json_output=json_output)


@command.command("list")
@_json
@click.pass_context
def list_(ctx: click.Context, json_output: bool) -> None:
    """List the webhooks and what each has not been told yet."""
    shown = with_client(ctx, lambda client: client.webhooks())
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            plain(hook["name"]),
            plain(hook["url"]),
            plain(", ".join(hook["events"])),
            hook["status"],
            hook["behind"] + hook["waiting"],
            hook["dead"],
            plain(hook["problem"] or hook["reason"] or ""),
        )
        for hook in shown["items"]
    ]
    empty = "There are no webhooks. Make one: mosaic webhooks add NAME URL"
    table(("webhook", "address", "events", "state", "not told", "dead", "why"), rows, empty=empty)


@command.command("show")
@click.argument("webhook")
@_json
@click.pass_context
def show(ctx: click.Context, webhook: str, json_output: bool) -> None:
    """Show a webhook and how its deliveries stand."""
    shown = with_client(ctx, lambda client: client.webhook(webhook))
    if json_output:
        json_line(shown)
        return
    for name, value in shown.items():
        text = ", ".join(value) if isinstance(value, list) else "-" if value is None else str(value)
        click.echo(f"{name.replace('_', ' '):18} {plain(text)}")


@command.command("change")
@click.argument("webhook")
@click.option("--url", help="Another address.")
@click.option("--events", help="Other patterns of event types, separated by commas.")
@click.option("--project", help="Only events of this project; empty for all.")
@click.option("--at-once", type=click.IntRange(1, 16), help="Deliveries in flight.")
@click.option("--enable/--disable", "enabled", default=None, help="Whether it is told anything.")
@_json
@click.pass_context
def change(
    ctx: click.Context,
    webhook: str,
    url: str | None,
    events: str | None,
    project: str | None,
    at_once: int | None,
    enabled: bool | None,
    json_output: bool,
) -> None:
    """Change a webhook; what waits is tried again at once."""
    given = {"url": url, "at_once": at_once, "enabled": enabled}
    changes: JsonObject = {key: value for key, value in given.items() if value is not None}
    if events is not None:
        changes["events"] = _listed(events)
    if project is not None:
        changes["project"] = project or None
    if not changes:
        raise InvalidInput("Nothing is to be changed.", hint="See `mosaic webhooks change --help`.")
    shown = with_client(ctx, lambda client: client.update_webhook(webhook, changes))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{plain(shown['name'])} is {shown['status']}: {plain(', '.join(shown['events']))}")


@command.command("rotate")
@click.argument("webhook")
@click.option("--overlap", default="1d", show_default=True, help="How long the old secret signs, too.")
@_json
@click.pass_context
def rotate(ctx: click.Context, webhook: str, overlap: str, json_output: bool) -> None:
    """Give a webhook another secret and print it, this once."""
    overlap_s = duration_s(overlap)
    shown = with_client(ctx, lambda client: client.rotate_webhook(webhook, overlap_s=overlap_s))
    _secret(shown, json_output=json_output)


@command.command("remove")
@click.argument("webhook")
@_json
@click.pass_context
def remove(ctx: click.Context, webhook: str, json_output: bool) -> None:
    """Remove a webhook and what waits for it."""
    shown = with_client(ctx, lambda client: client.remove_webhook(webhook))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{plain(shown['name'])} is told nothing any more.")


@command.command("test")
@click.argument("webhook")
@_json
@click.pass_context
def test(ctx: click.Context, webhook: str, json_output: bool) -> None:
    """Send a webhook one message now and say what came of it."""
    shown = with_client(ctx, lambda client: client.test_webhook(webhook))
    if json_output:
        json_line(shown)
    elif shown["arrived"]:
        click.echo(f"It arrived: {shown['answer']} after {shown['took_s']:.1f} s.")
    else:
        click.echo(f"It did not arrive: {plain(str(shown['error']))}.")
    if not shown["arrived"]:
        ctx.exit(1)


@command.command("deliveries")
@click.argument("webhook")
@click.option("--status", type=click.Choice(["waiting", "delivered", "dead"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@_json
@click.pass_context
def deliveries(ctx: click.Context, webhook: str, status: str | None, limit: int, json_output: bool) -> None:
    """List what was delivered, what waits, and what was given up, newest first."""
    shown = with_client(ctx, lambda client: client.webhook_deliveries(webhook, status=status, limit=limit))
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            item["id"],
            item["seq"],
            plain(item["type"]),
            item["status"],
            item["attempts"],
            item["answer"] or "",
            ago(item["created_at"]),
            plain(item["error"] or ""),
        )
        for item in shown["items"]
    ]
    columns = ("delivery", "sequence", "event", "state", "attempts", "answer", "noted", "why")
    table(columns, rows, empty="There is nothing.")


@command.command("replay")
@click.argument("webhook")
@click.option("--after", type=click.IntRange(0), help="Tell everything after this journal sequence again.")
@click.option("--delivery", help="Or make this one delivery again.")
@_json
@click.pass_context
def replay(
    ctx: click.Context, webhook: str, after: int | None, delivery: str | None, json_output: bool
) -> None:
    """Tell a webhook again what it was told, or was not; messages keep their ids."""
    if (after is None) == (delivery is None):
        raise InvalidInput("Say what is to be told again.", hint="Either --after SEQUENCE or --delivery ID.")
    if delivery is not None:
        name = delivery
        shown = with_client(ctx, lambda client: client.redeliver(webhook, name))
    else:
        start = after or 0
        shown = with_client(ctx, lambda client: client.replay_webhook(webhook, after=start))
    if json_output:
        json_line(shown)
        return
    what = f"The delivery {delivery}" if delivery is not None else f"Everything after {after}"
    click.echo(f"{what} is told again.")


def _secret(shown: JsonObject, *, json_output: bool) -> None:
    if json_output:
        json_line(shown)
        return
    note(f"{plain(shown['name'])}. Its secret is shown this once; give it to the receiver:")
    click.echo(shown["secret"])


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
