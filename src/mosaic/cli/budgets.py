"""`mosaic budgets`: what may be spent, and what is."""

import click

from mosaic.cli.keys import with_client
from mosaic.cli.output import ago, json_line, note, plain, table, usd
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_SCOPES = ("tenant", "project", "run", "agent", "key")


@click.group("budgets")
def command() -> None:
    """Set, show and remove budgets of the tenant, its projects, runs, agents and keys.

    \b
    mosaic budgets set tenant --usd 500 --period month
    mosaic budgets set project web --usd 50 --period day --alert 50 --alert 90
    mosaic budgets list
    mosaic budgets reconcile               after a crash: what was leased, and is it spent?
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("set")
@click.argument("scope", type=click.Choice(_SCOPES))
@click.argument("subject", required=False)
@click.option("--usd", "dollars", type=click.FloatRange(0), help="The limit in dollars.")
@click.option("--tokens", type=click.IntRange(0), help="The limit in tokens.")
@click.option("--period", type=click.Choice(["total", "day", "month"]), default="total", show_default=True)
@click.option(
    "--alert",
    type=click.IntRange(1, 1000),
    multiple=True,
    help="Percent at which to alert (default 50, 80, 100).",
)
@_json
@click.pass_context
def set_(
    ctx: click.Context,
    scope: str,
    subject: str | None,
    dollars: float | None,
    tokens: int | None,
    period: str,
    alert: tuple[int, ...],
    json_output: bool,
) -> None:
    """Set the budget of SCOPE, which SUBJECT names except for the tenant. What is spent of it stays spent."""
    given = {"subject": subject, "usd": dollars, "tokens": tokens, "alert_at": list(alert) or None}
    wanted: JsonObject = {"scope": scope, "period": period}
    wanted |= {name: value for name, value in given.items() if value is not None}
    shown = with_client(ctx, lambda client: client.set_budget(wanted))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{shown['id']}: {_what(shown)} may spend {_limit(shown)} ({shown['current_period']}).")


@command.command("list")
@click.option("--scope", type=click.Choice(_SCOPES))
@click.option("--subject", help="Only budgets of this project, run, agent or key.")
@_json
@click.pass_context
def list_(ctx: click.Context, scope: str | None, subject: str | None, json_output: bool) -> None:
    """List budgets with what is spent of them in their present periods."""
    shown = with_client(ctx, lambda client: client.budgets(scope=scope, subject=subject))
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            budget["id"],
            _what(budget),
            budget["current_period"],
            _limit(budget),
            usd(budget["spent_usd"])
            if budget["limit_usd"] is not None
            else f"{budget['spent_tokens']:,} tokens",
            usd(budget["leased_usd"])
            if budget["limit_usd"] is not None
            else f"{budget['leased_tokens']:,} tokens",
            _share(budget),
        )
        for budget in shown["items"]
    ]
    empty = "There are no budgets. Set one: mosaic budgets set tenant --usd 100 --period month"
    table(("budget", "of", "period", "limit", "spent", "leased", "used"), rows, empty=empty)


@command.command("remove")
@click.argument("budget")
@_json
@click.pass_context
def remove(ctx: click.Context, budget: str, json_output: bool) -> None:
    """Remove a budget; the ledger keeps what was spent."""
    shown = with_client(ctx, lambda client: client.remove_budget(budget))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{budget} is removed.")


@command.command("reconcile")
@click.option("--as-spent", "verdict", flag_value="spent", help="Count them as spent for good.")
@click.option("--give-back", "verdict", flag_value="back", help="Give them back: the calls were not billed.")
@_json
@click.pass_context
def reconcile(ctx: click.Context, verdict: str | None, json_output: bool) -> None:
    """Show what processes that are gone had leased, or end it.

    A process that is killed leaves leases behind. They count as spent, because it may have spent them. Compare with
    the provider's bill, then say which it was.
    """
    if verdict is None:
        shown = with_client(ctx, lambda client: client.lost_leases())
    else:
        shown = with_client(ctx, lambda client: client.reconcile_budgets(as_spent=verdict == "spent"))
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            lease["budget"],
            _what(lease),
            lease["period"],
            usd(lease["usd"]),
            f"{lease['tokens']:,}",
            ago(lease["last_seen"]),
        )
        for lease in shown["items"]
    ]
    table(
        ("budget", "of", "period", "leased", "tokens", "seen"),
        rows,
        empty="No process has left a lease behind.",
    )
    if rows:
        done = {"spent": "They count as spent.", "back": "They were given back."}
        note(done.get(verdict or "", "They count as spent until you say --as-spent or --give-back."))


def _what(shown: JsonObject) -> str:
    return plain(f"{shown['scope']} {shown['subject'] or ''}".strip())


def _limit(budget: JsonObject) -> str:
    limits = []
    if budget["limit_usd"] is not None:
        limits.append(usd(budget["limit_usd"]))
    if budget["limit_tokens"] is not None:
        limits.append(f"{budget['limit_tokens']:,} tokens")
    if not limits:
        raise InvalidInput("A budget has a limit.")
    return " and ".join(limits)


def _share(budget: JsonObject) -> str:
    shares = [
        budget[spent] / budget[limit]
        for spent, limit in (("spent_usd", "limit_usd"), ("spent_tokens", "limit_tokens"))
        if budget[limit]
    ]
    return f"{max(shares):.0%}" if shares else "-"
