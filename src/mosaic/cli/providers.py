"""`mosaic providers`: how providers and their models are, and taking changed settings without a restart."""

import sys
from collections.abc import Iterable

import click

from mosaic.cli.client import Client
from mosaic.cli.keys import with_client
from mosaic.cli.output import json_line, note, plain, table, usd
from mosaic.core.values import JsonObject

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_KINDS = ("ai", "git", "ci", "knowledge", "projects", "automation")
_COLOURS = {"ready": "green", "ok": "green", "closed": "green", "half_open": "yellow", "unconfigured": "yellow",
    "unknown": "yellow"}  # fmt: skip


@click.group("providers")
def command() -> None:
    """Show providers with their health, breakers and figures; check them; list models; reload.

    \b
    mosaic providers list
    mosaic providers show openai
    mosaic providers check openai          send one small request
    mosaic providers models --ask          what can be called, and what it costs
    mosaic providers reload                take changed settings, without losing a request

    Figures are those of the running server, since its start. Without one, what the settings say is shown.
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("list")
@click.option("--kind", type=click.Choice(_KINDS), help="Only providers of this kind.")
@_json
@click.pass_context
def list_(ctx: click.Context, kind: str | None, json_output: bool) -> None:
    """List providers: plugin, version, health, breaker, calls since the start."""
    shown = with_client(ctx, lambda client: client.providers(kind=kind))
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            plain(row["name"]),
            plain(row["plugin"]),
            row["version"] or "-",
            _coloured(row["status"]),
            _coloured(row["breaker"]),
            *_sums(row["targets"]),
            plain(row["detail"])[:80],
        )
        for row in shown["items"]
    ]
    columns = ("provider", "plugin", "version", "status", "breaker", "open", "calls", "failed", "detail")
    table(columns, rows, empty="There is no provider.")


@command.command("show")
@click.argument("provider")
@_json
@click.pass_context
def show(ctx: click.Context, provider: str, json_output: bool) -> None:
    """Show a provider: health in parts, versions, limits of its key, and each model's figures."""
    shown = with_client(ctx, lambda client: client.provider(provider))
    if json_output:
        json_line(shown)
        return
    versions = ", ".join(
        f"{version['version'] or '?'} ({version['pin']}: {version['weight']}, {version['in_flight']} open)"
        for version in shown["versions"]
    )
    attributes = ", ".join(f"{name}={value}" for name, value in shown["attributes"].items())
    for label, text in (
        ("plugin", f"{shown['plugin']}, from {shown['origin'] or 'nowhere'}"),
        ("kinds", ", ".join(shown["kinds"])),
        ("versions", versions),
        ("attributes", attributes),
    ):
        click.echo(f"{label:<12} {plain(text) or '-'}")
    _health(shown)
    for name, limit in (shown["rate_limit"] or {}).items():
        click.echo(f"{'key limit':<12} {plain(f'{name} {limit}')}")
    for number, step in enumerate((shown["healing"] or {}).get("steps", ())):
        click.echo(plain(f"{'' if number else 'healing':<12} {step['step']}: {step['outcome']}"))
    able = shown["capabilities"] or {}
    click.echo(f"{'can':<12} {_listed(able, 'supported')}")
    if partly := _listed(able, "partial"):
        click.echo(f"{'partly':<12} {partly}")
    if shown["capabilities_error"]:
        note(plain(shown["capabilities_error"]))
    click.echo()
    table(
        ("model", "breaker", "open", "calls", "failed", "errors now", "latency", "first byte", "outlook"),
        [_figures(target) for target in shown["targets"]],
        empty="None of its models was asked since the server started.",
    )


@command.command("check")
@click.argument("provider")
@click.option("--model", help="Ask for this model.")
@_json
@click.pass_context
def check(ctx: click.Context, provider: str, model: str | None, json_output: bool) -> None:
    """Send one small request, which spends no tokens where the vendor has one that does not.

    Exit status 1 when the provider cannot be used.
    """
    shown = with_client(ctx, lambda client: client.check_provider(provider, model=model))
    if json_output:
        json_line(shown)
    else:
        _health(shown)
    sys.exit(0 if shown["status"] == "ready" else 1)


@command.command("models")
@click.option("--provider", help="Only models of this provider.")
@click.option("--ask", is_flag=True, help="Ask the providers for models that the catalogue does not know.")
@click.option("--all", "all_", is_flag=True, help="Models of providers that cannot be used now, too.")
@_json
@click.pass_context
def models(ctx: click.Context, provider: str | None, ask: bool, all_: bool, json_output: bool) -> None:
    """List models: what to write as `model`, what each can do, and what a million tokens cost."""
    shown = with_client(ctx, lambda client: client.models(provider=provider, ask=ask))
    items = [item for item in shown["items"] if all_ or item["ready"]]
    if json_output:
        json_line({**shown, "items": items})
        return
    rows = [
        (
            plain(item["id"]),
            "-" if item["context_tokens"] is None else f"{item['context_tokens']:,}",
            usd(item["input_usd_per_mtok"]),
            usd(item["output_usd_per_mtok"]),
            plain(", ".join(item["capabilities"])),
        )
        for item in items
    ]
    empty = "No provider can be used. `mosaic providers list` says why; --all shows its models all the same."
    table(("model", "context", "in $/M", "out $/M", "can"), rows, empty=empty)
    for name in shown["unanswered"]:
        note(f"{plain(name)} did not say which models it has.")


@command.command("reload")
@_json
@click.pass_context
def reload(ctx: click.Context, json_output: bool) -> None:
    """Take what settings, plugin folders and routes say now.

    New calls go to the new providers at once; calls that run finish on the old ones. When something is wrong, all of it
    is named and nothing changes.
    """

    async def work(client: Client) -> tuple[JsonObject, str | None]:
        return await client.reload_providers(), client.address

    shown, address = with_client(ctx, work)
    if json_output:
        json_line(shown)
        return
    for change in ("added", "changed", "removed"):
        if shown[change]:
            click.echo(f"{change:<8} {plain(', '.join(shown[change]))}")
    if not any(shown[change] for change in ("added", "changed", "removed")):
        click.echo("No provider changed; the routes were read again.")
    if shown["draining"]:
        note(f"{shown['draining']} calls finish on what was replaced.")
    if address is None:
        note("No server runs here: what the settings say is right, and is taken when one starts.")


def _health(shown: JsonObject) -> None:
    click.echo(f"{'status':<12} {_coloured(shown['status'])}: {plain(shown['detail']) or 'nothing to add'}")
    for part, found in shown["parts"].items():
        click.echo(f"{part.replace('_', ' '):<12.12} {_coloured(found)}")
    if shown["limited_until"]:
        click.echo(f"{'waits until':<12} {shown['limited_until']}")
    if shown["hint"]:
        note(plain(shown["hint"]))


def _sums(targets: list[JsonObject]) -> tuple[object, ...]:
    if not targets:
        return "-", "-", "-"
    return tuple(sum(target[name] for target in targets) for name in ("active", "finished", "failed"))


def _figures(target: JsonObject) -> tuple[object, ...]:
    waits = f", tries in {target['retry_in_s']:.0f} s" if target["retry_in_s"] else ""
    return (
        plain(target["id"]),
        _coloured(target["breaker"]) + waits,
        target["active"],
        target["finished"],
        target["failed"],
        f"{target['error_rate']:.0%}",
        f"{target['latency_s'] * 1000:.0f} ms",
        f"{target['first_byte_s'] * 1000:.0f} ms",
        "about to fail" if target["risk"] >= 1 else "good",
    )


def _listed(able: JsonObject, level: str) -> str:
    names: Iterable[str] = (name for name, support in able.items() if support["level"] == level)
    return plain(", ".join(names))


def _coloured(state: str | None) -> str:
    return "-" if state is None else click.style(state.replace("_", "-"), fg=_COLOURS.get(state, "red"))
