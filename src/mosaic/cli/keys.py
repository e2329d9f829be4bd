"""`mosaic keys`: virtual keys of outside clients."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import click

from mosaic.cli.client import Client, connect
from mosaic.cli.output import ago, json_line, note, plain, table, usd
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command", "duration_s", "with_client"]

T = TypeVar("T")
_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def with_client(ctx: click.Context, work: Callable[[Client], Awaitable[T]]) -> T:
    """Run `work` with a client on the installation the command was given."""

    async def session() -> T:
        async with connect(ctx.obj) as client:
            return await work(client)

    return asyncio.run(session())


def duration_s(text: str) -> float:
    """Return the seconds that ``90s``, ``15m``, ``12h``, ``30d`` or ``4w`` means.

    Raises:
        InvalidInput: if it means none.
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS_S or not number.isdigit():
        raise InvalidInput(f"{text!r} is no time span.", hint="Such as 90s, 15m, 12h, 30d, 4w.")
    return float(int(number) * _UNITS_S[unit])


@click.group("keys")
def command() -> None:
    """Make, list, rotate and revoke the keys of clients that call models through the gateway.

    \b
    mosaic keys create editor --models 'fast,smart-*' --expires 30d --usd 20 --period month
    mosaic keys list
    mosaic keys rotate KEY --grace 1h
    mosaic keys revoke KEY
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("create")
@click.argument("name")
@click.option("--project", help="Who pays (default: this installation's project).")
@click.option("--models", default="", help="Patterns of model names, separated by commas; all without it.")
@click.option("--routes", default="", help="Patterns of routes, separated by commas; all without it.")
@click.option(
    "--scopes",
    default="",
    help="Of chat, embed, count_tokens, models; all of these without it. And tools, for /mcp.",
)
@click.option("--expires", help="After this time, such as 30d.")
@click.option("--rpm", type=click.IntRange(1), help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(1), help="Tokens a minute.")
@click.option("--concurrency", type=click.IntRange(1), help="Calls at once.")
@click.option("--usd", "dollars", type=click.FloatRange(0), help="A budget of its own, in dollars.")
@click.option("--tokens", type=click.IntRange(0), help="A budget of its own, in tokens.")
@click.option("--period", type=click.Choice(["total", "day", "month"]), default="total", show_default=True)
@_json
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    project: str | None,
    models: str,
    routes: str,
    scopes: str,
    expires: str | None,
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    dollars: float | None,
    tokens: int | None,
    period: str,
    json_output: bool,
) -> None:
    """Make a key and print its secret, this once."""
    limits = {"requests_per_minute": rpm, "tokens_per_minute": tpm, "concurrency": concurrency}
    wanted: JsonObject = {
        "name": name,
        "models": _listed(models),
        "routes": _listed(routes),
        "scopes": _listed(scopes),
    }
    wanted["limits"] = {key: value for key, value in limits.items() if value is not None}
    if project is not None:
        wanted["project"] = project
    if expires is not None:
        wanted["expires_at"] = (datetime.now(UTC) + timedelta(seconds=duration_s(expires))).isoformat()
    amounts = {key: value for key, value in (("usd", dollars), ("tokens", tokens)) if value is not None}
    if amounts:
        wanted["budget"] = {**amounts, "period": period}
    _secret(with_client(ctx, lambda client: client.create_key(wanted)), json_output=json_output)


@command.command("list")
@click.option("--project", help="Only keys of this project.")
@_json
@click.pass_context
def list_(ctx: click.Context, project: str | None, json_output: bool) -> None:
    """List the keys, newest first."""
    shown = with_client(ctx, lambda client: client.keys(project=project))
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            key["id"],
            plain(key["name"]),
            f"{key['prefix']}…",
            key["status"],
            plain(key["project"]),
            plain(", ".join(key["models"])) or "all",
            ago(key["created_at"]),
        )
        for key in shown["items"]
    ]
    empty = "There are no keys. Make one: mosaic keys create NAME"
    table(("key", "name", "secret", "state", "project", "models", "made"), rows, empty=empty)


@command.command("show")
@click.argument("key")
@_json
@click.pass_context
def show(ctx: click.Context, key: str, json_output: bool) -> None:
    """Show a key, its limits and its budgets."""
    shown = with_client(ctx, lambda client: client.key(key))
    if json_output:
        json_line(shown)
        return
    for name in ("id", "name", "prefix", "status", "project", "created_at", "created_by", "expires_at"):
        click.echo(f"{name:12} {plain(str(shown[name] if shown[name] is not None else '-'))}")
    for name in ("models", "routes", "scopes"):
        click.echo(f"{name:12} {plain(', '.join(shown[name])) or 'all'}")
    for name, limit in shown["limits"].items():
        click.echo(f"{name.replace('_', ' '):20} {limit if limit is not None else 'no limit'}")
    for budget in shown["budgets"]:
        click.echo(
            f"budget       {usd(budget['spent_usd'])} of {usd(budget['limit_usd'])}, {budget['current_period']}"
        )


@command.command("rotate")
@click.argument("key")
@click.option("--grace", default="1h", show_default=True, help="How long the old secret stays good.")
@_json
@click.pass_context
def rotate(ctx: click.Context, key: str, grace: str, json_output: bool) -> None:
    """Give a key another secret and print it, this once."""
    grace_s = duration_s(grace)
    _secret(with_client(ctx, lambda client: client.rotate_key(key, grace_s=grace_s)), json_output=json_output)


@command.command("revoke")
@click.argument("key")
@_json
@click.pass_context
def revoke(ctx: click.Context, key: str, json_output: bool) -> None:
    """Make a key useless, on every node, at once."""
    shown = with_client(ctx, lambda client: client.revoke_key(key))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{shown['id']} ({plain(shown['name'])}) is revoked.")


def _secret(shown: JsonObject, *, json_output: bool) -> None:
    if json_output:
        json_line(shown)
        return
    note(
        f"{shown['id']} ({plain(shown['name'])}). Its secret is shown this once; keep it where secrets belong:"
    )
    click.echo(shown["secret"])


def _listed(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
