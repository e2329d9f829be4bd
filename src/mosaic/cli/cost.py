"""`mosaic cost`: what was used and what it cost, what it will cost, what could be saved, and prices."""

import json
import sys
from pathlib import Path

import click

from mosaic.cli.keys import with_client
from mosaic.cli.output import json_line, plain, table, usd
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_where = click.option(
    "--where", multiple=True, help="dimension=value, such as project=web; several must all fit."
)
_since = click.option("--since", help="A time with its zone (default: the beginning of the month).")
_until = click.option("--until", help="A time with its zone (default: now).")


@click.group("cost")
def command() -> None:
    """Show usage and cost, forecast, export, find savings, set prices.

    \b
    mosaic cost show --by project --by model
    mosaic cost forecast
    mosaic cost export --format csv > bill.csv
    mosaic cost savings --ci-minutes 10000
    mosaic cost prices --model openai:gpt-4o
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("show")
@click.option(
    "--by", multiple=True, help="project, agent, model, provider, key, route, operation, source, run or day."
)
@_where
@_since
@_until
@_json
@click.pass_context
def show(
    ctx: click.Context,
    by: tuple[str, ...],
    where: tuple[str, ...],
    since: str | None,
    until: str | None,
    json_output: bool,
) -> None:
    """Show usage and cost, dearest first."""
    wanted = _filters(where)
    shown = with_client(ctx, lambda client: client.usage(by=by, since=since, until=until, where=wanted))
    if json_output:
        json_line(shown)
        return
    columns = (*by, "calls", "failed", "input", "output", "cost")
    items = shown["items"] if by else []
    rows = [_row(item, by) for item in items] + [_row(shown["total"], by, name="all")]
    table(columns, rows, empty="")
    if shown["total"]["unpriced"]:
        click.echo(
            f"{shown['total']['unpriced']} calls have no known price: `mosaic cost prices set`.", err=True
        )


@command.command("forecast")
@click.option("--period", type=click.Choice(["day", "month"]), default="month", show_default=True)
@_where
@_json
@click.pass_context
def forecast(ctx: click.Context, period: str, where: tuple[str, ...], json_output: bool) -> None:
    """Say what the day or month will have cost at its end."""
    wanted = _filters(where)
    shown = with_client(ctx, lambda client: client.cost_forecast(period=period, where=wanted))
    if json_output:
        json_line(shown)
        return
    click.echo(
        f"{usd(shown['spent_usd'])} so far; about {usd(shown['expected_usd'])} by {shown['ends_at'][:10]}, most likely "
        f"between {usd(shown['low_usd'])} and {usd(shown['high_usd'])}; judged by {shown['days_seen']} days."
    )


@command.command("export")
@click.option("--format", "style", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@_where
@_since
@_until
@click.pass_context
def export(
    ctx: click.Context, style: str, where: tuple[str, ...], since: str | None, until: str | None
) -> None:
    """Write every row of the ledger to stdout, as a bill: CSV or JSON lines."""
    wanted = _filters(where)
    cursor: str | None = None
    while True:
        page = with_client(
            ctx,
            lambda client, at=cursor: client.bill(
                style=style, since=since, until=until, where=wanted, cursor=at
            ),  # type: ignore[misc]  # mypy knows no defaults of a lambda
        )
        sys.stdout.write(page["text"])
        cursor = page["next_cursor"]
        if cursor is None:
            sys.stdout.flush()
            return


@command.command("savings")
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Figures as JSON: ci, items."
)
@click.option("--ci-minutes", type=click.FloatRange(0), help="Build minutes a month at a vendor.")
@click.option("--ci-large-builds", type=click.FloatRange(0), help="Builds on large machines a month.")
@click.option("--ci-bandwidth-gb", type=click.FloatRange(0), help="Gigabytes that builds load a month.")
@_json
@click.pass_context
def savings(
    ctx: click.Context,
    file: Path | None,
    ci_minutes: float | None,
    ci_large_builds: float | None,
    ci_bandwidth_gb: float | None,
    json_output: bool,
) -> None:
    """Say what could be saved in a month: compute, storage, bandwidth, API calls."""
    figures = _figures(file)
    given = {"minutes": ci_minutes, "large_builds": ci_large_builds, "bandwidth_gb": ci_bandwidth_gb}
    ci = {**(figures.get("ci") or {}), **{name: value for name, value in given.items() if value is not None}}
    if ci:
        figures["ci"] = ci
    shown = with_client(ctx, lambda client: client.savings(figures=figures))
    if json_output:
        json_line(shown)
        return
    rows = [(one["category"], plain(one["advice"]), usd(one["monthly_usd"])) for one in shown["savings"]]
    table(("category", "advice", "a month"), rows, empty="Nothing to save was found yet.")
    if rows:
        parts = " + ".join(f"{usd(amount)} {name}" for name, amount in shown["by_category"].items())
        click.echo(f"{parts} = {usd(shown['monthly_usd'])} a month")


@command.group("prices", invoke_without_command=True)
@click.option(
    "--model", multiple=True, help="provider:model, to see what it costs and where the price stands."
)
@_json
@click.pass_context
def prices(ctx: click.Context, model: tuple[str, ...], json_output: bool) -> None:
    """Show your own prices, and what a model costs; `set` and `remove` change your own."""
    if ctx.invoked_subcommand is not None:
        return
    shown = with_client(ctx, lambda client: client.prices(models=model))
    if json_output:
        json_line(shown)
        return
    rows = [(plain(price["model"]), *_price(price)) for price in shown["items"]]
    rows += [(plain(one["model"]), *_price(one["price"])) for one in shown["models"]]
    columns = ("model", "input", "output", "cached", "written", "source", "since")
    table(columns, rows, empty="You have no prices of your own; --model NAME shows what a model costs.")
    click.echo(f"Dollars for a million tokens. Public prices: {shown['list']}.", err=True)


@prices.command("set")
@click.argument("model")
@click.option(
    "--input", "of_input", type=click.FloatRange(0), required=True, help="Dollars for a million tokens."
)
@click.option("--output", "of_output", type=click.FloatRange(0), required=True)
@click.option("--cached-input", type=click.FloatRange(0))
@click.option("--cache-write", type=click.FloatRange(0))
@click.option("--source", required=True, help="Where the price stands, such as a contract.")
@_json
@click.pass_context
def set_price(
    ctx: click.Context,
    model: str,
    of_input: float,
    of_output: float,
    cached_input: float | None,
    cache_write: float | None,
    source: str,
    json_output: bool,
) -> None:
    """Set your own price of MODEL (provider:model, with * and ? as wildcards)."""
    wanted: JsonObject = {
        "model": model, "input_usd_per_mtok": of_input, "output_usd_per_mtok": of_output, "source": source,
    }  # fmt: skip
    if cached_input is not None:
        wanted["cached_input_usd_per_mtok"] = cached_input
    if cache_write is not None:
        wanted["cache_write_usd_per_mtok"] = cache_write
    shown = with_client(ctx, lambda client: client.set_price(wanted))
    if json_output:
        json_line(shown)
        return
    click.echo(
        f"{plain(shown['model'])} costs {usd(of_input)} in, {usd(of_output)} out for a million tokens."
    )


@prices.command("remove")
@click.argument("model")
@_json
@click.pass_context
def remove_price(ctx: click.Context, model: str, json_output: bool) -> None:
    """Remove your own price of MODEL."""
    shown = with_client(ctx, lambda client: client.remove_price(model))
    if json_output:
        json_line(shown)
        return
    click.echo(f"Your price of {plain(model)} is removed.")


def _row(item: JsonObject, by: tuple[str, ...], *, name: str | None = None) -> tuple[str, ...]:
    first = (name, *("" for _ in by[1:])) if name is not None and by else ()
    values = first or tuple(plain(str(item[one] if item.get(one) is not None else "-")) for one in by)
    counts = (
        f"{item['calls']:,}",
        f"{item['failed']:,}",
        f"{item['input_tokens']:,}",
        f"{item['output_tokens']:,}",
    )
    return (*map(str, values), *counts, usd(item["usd"]))


def _price(price: JsonObject | None) -> tuple[str, ...]:
    if price is None:
        return ("?", "?", "?", "?", "nobody knows", "-")
    names = (
        "input_usd_per_mtok",
        "output_usd_per_mtok",
        "cached_input_usd_per_mtok",
        "cache_write_usd_per_mtok",
    )
    return (
        *(usd(price[name]) for name in names),
        plain(str(price["source"])),
        str(price["as_of"] or "-")[:10],
    )


def _filters(where: tuple[str, ...]) -> JsonObject:
    found: JsonObject = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise InvalidInput(
                f"{text!r} is no filter.", hint="Write --where dimension=value, each dimension once."
            )
        found[name] = value
    return found


def _figures(file: Path | None) -> JsonObject:
    if file is None:
        return {}
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read as JSON: {error}.") from None
    if not isinstance(figures, dict):
        raise InvalidInput(f"{file} holds no JSON object.")
    return figures
