"""`mosaic routes`: which routes there are, why a request goes where it goes, what is wrong, what was learned."""

import asyncio
import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mosaic.cli.output import json_line, plain, table
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject, JsonValue

if TYPE_CHECKING:
    from mosaic.routing import Pick, Router, RouteRequest, RoutingSettings

__all__ = ["command"]

_FILE = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Routes to use instead of the installation's.",
)
_JSON = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_MANY = 8


@click.group("routes")
def command() -> None:
    """List, explain, check and report on routes.

    \b
    mosaic routes list
    mosaic routes explain fast --project internal-web --input-tokens 3000
    mosaic routes check --file routes.yaml

    Works without a server: from `routes.yaml` in the data folder, or the section `routing` of the settings.
    """  # noqa: D301


@command.command("list")
@_FILE
@_JSON
@click.pass_context
def show(ctx: click.Context, file: Path | None, json_output: bool) -> None:
    """List routes, their targets, and rules."""
    settings = _settings(ctx.obj, file)
    router = _router(ctx.obj, settings)
    rows = [_row(router, name) for name in settings.routes]
    if json_output:
        json_line(
            {
                "routes": rows,
                "rules": [_rule(rule) for rule in settings.rules],
                "default": dict(settings.default),
            }
        )
        return
    table(
        ("route", "kind", "strategy", "targets", "fallback", "learned"),
        [
            (
                row["name"],
                row["kind"],
                row["strategy"],
                _few(row["targets"]),
                _few(row["fallback"]),
                row["learned"],
            )
            for row in rows
        ],
        empty="No routes yet: requests name a model as provider:model. docs/howto/route-models.md shows how to add some.",
    )
    if settings.rules:
        click.echo(f"{len(settings.rules)} rule{'s' if len(settings.rules) > 1 else ''}:")
        for rule in sorted(settings.rules, key=lambda rule: -rule.priority):
            shown = _rule(rule)
            click.echo(
                plain(
                    f"  {rule.name} ({rule.priority}): {shown['does']}{f', {rule.reason}' if rule.reason else ''}"
                )
            )


def _row(router: "Router", name: str) -> JsonObject:
    route = router.settings.routes[name]
    return {
        "name": name,
        "kind": route.kind,
        "description": route.description,
        "strategy": route.strategy or ("time-of-day" if route.windows else router.settings.default_strategy),
        "targets": [target.id for target in router.targets.picked(route.targets, route.kind)],
        "fallback": [entry if isinstance(entry, str) else entry.target for entry in route.fallback],
        "learned": route.learned,
        "windows": [window.name for window in route.windows],
    }


def _rule(rule: Any) -> JsonObject:
    does = [f"route {rule.route}"] if rule.route else []
    does += [f"targets {_few([pick.target for pick in rule.targets])}"] if rule.targets else []
    does += [f"strategy {rule.strategy}"] if rule.strategy else []
    does += ["preferences"] if rule.prefer else []
    return {
        "name": rule.name,
        "priority": rule.priority,
        "does": ", ".join(does) or "requirements",
        "reason": rule.reason,
    }


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _MANY} more" if len(listed) > _MANY else ""
    return (", ".join(listed[:_MANY]) or "-") + more


@command.command("explain")
@click.argument("name", default="")
@click.option("--kind", default="ai", show_default=True, help="The provider kind.")
@click.option("--tenant", help="Default: the installation's.")
@click.option("--project", help="Default: the installation's.")
@click.option("--operation", default="chat", show_default=True, help="What is asked, such as chat or embed.")
@click.option("--agent", help="The agent that asks.")
@click.option("--key", "key_id", help="The id of the virtual key.")
@click.option(
    "--need", "needs", multiple=True, help="A capability, such as vision or tools. May be repeated."
)
@click.option(
    "--input-tokens", default=1000, show_default=True, type=click.IntRange(0), help="Size of the question."
)
@click.option(
    "--max-output-tokens", default=1000, show_default=True, type=click.IntRange(0), help="Most it may write."
)
@click.option(
    "--privacy",
    type=click.Choice(["any", "strict"]),
    default="any",
    show_default=True,
    help="strict: local only.",
)
@click.option("--residency", multiple=True, help="A region where data may be kept. May be repeated.")
@click.option("--compliance", multiple=True, help="A certificate that is needed. May be repeated.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Anything rules match. May be repeated.",
)
@click.option("--session", help="What sticky routes keep together.")
@click.option("--region", help="Where the caller is.")
@click.option("--budget-usd", type=float, help="The most it may cost.")
@click.option("--request-id", default="explain", show_default=True, help="Decides shares such as a canary's.")
@click.option("--at", help="The moment, such as 2026-11-20T22:30:00+01:00. Default: now.")
@_FILE
@_JSON
@click.pass_context
def explain(ctx: click.Context, /, name: str, file: Path | None, json_output: bool, **given: Any) -> None:
    """Say where a request goes and why.

    Shows the rules that hold, what is required, who is refused and who comes first. Nothing is sent.

    NAME is what a client asks for: a route, provider:model, or any name that rules know.
    Exit status 1 when nobody may take the request.
    """
    settings = _settings(ctx.obj, file)
    router = _router(ctx.obj, settings, at=_moment(given.pop("at")))
    shown = router.explain(_request(ctx.obj, name, **given))
    if json_output:
        json_line(shown)
    else:
        for line in shown["summary"]:
            click.echo(plain(line))
    sys.exit(0 if shown["decision"] else 1)


def _request(
    home: Path | None, name: str, *, attributes: Iterable[str], budget_usd: float | None, **given: Any
) -> "RouteRequest":
    from mosaic.app.settings import load_settings
    from mosaic.core.money import Money
    from mosaic.routing import RouteRequest

    if not given["tenant"] or not given["project"]:
        known = load_settings(home)
        given["tenant"] = given["tenant"] or known.tenant
        given["project"] = given["project"] or known.project
    for field in ("needs", "residency", "compliance"):
        given[field] = frozenset(given[field])
    return RouteRequest(
        name=name,
        attributes=dict(_attribute(text) for text in attributes),
        budget_left_nanos=None if budget_usd is None else Money.usd(budget_usd).nanos,
        **given,
    )


def _attribute(text: str) -> tuple[str, JsonValue]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--attribute")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; write 2026-11-20T22:30:00+01:00.", param_hint="--at"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@command.command("check")
@_FILE
@_JSON
@click.pass_context
def check(ctx: click.Context, file: Path | None, json_output: bool) -> None:
    """Check the routes and where they lead.

    Every problem with its line, and every route that leads nowhere. Exit status 2 for a problem.
    """
    from dataclasses import asdict

    try:
        settings = _settings(ctx.obj, file)
    except InvalidInput as error:
        if not json_output:
            raise
        for problem in error.problems:
            json_line({"type": "problem", **asdict(problem)})
        json_line({"type": "result", "valid": False, "problems": len(error.problems)})
        sys.exit(2)
    router = _router(ctx.obj, settings)
    empty = [name for name in settings.routes if not _leads_anywhere(router, name)]
    if json_output:
        json_line(
            {
                "type": "result",
                "valid": True,
                "problems": 0,
                "routes": len(settings.routes),
                "leads_nowhere": empty,
            }
        )
        return
    for name in empty:
        click.echo(f"! {name} leads nowhere: no provider or model of this installation is what it names.")
    click.echo(
        f"{settings.file or 'No routes file'}: valid, {len(settings.routes)} routes, {len(settings.rules)} rules"
    )


def _leads_anywhere(router: "Router", name: str) -> bool:
    route = router.settings.routes[name]
    picks: list[Pick] = [
        *route.targets,
        *(pick for window in route.windows for pick in (*window.targets, *window.backup)),
    ]
    return bool(router.targets.picked(picks, route.kind))


@command.command("report")
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="JSON lines of decisions with outcomes; trains on them.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A learned state to start from.",
)
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the learned state here.")
@_JSON
def report(history: Path | None, state: Path | None, save: Path | None, json_output: bool) -> None:
    """Report what the learned model knows.

    How often it agrees with what was done, what that was worth, and its regret.

    \b
    mosaic routes report --history decisions.jsonl --save learned.json
    """  # noqa: D301
    from mosaic.routing import LearnedRoutes, read_history, train

    if history is None and state is None:
        raise click.UsageError("Give --history or --state: there is nothing to report on.")
    learned = LearnedRoutes()
    if state is not None:
        learned.load(_state(state))
    if history is not None:
        with history.open(encoding="utf-8") as lines:
            train(learned, read_history(lines, str(history)))
    if save is not None:
        save.write_text(json.dumps(learned.to_json()), encoding="utf-8")
    told = learned.report()
    if json_output:
        json_line({"routes": told})
        return
    rows = [
        (
            name or "(direct)",
            row["requests"],
            _percent(row["agreement"]),
            row["mean_reward"],
            row["mean_reward_when_agreed"] if row["mean_reward_when_agreed"] is not None else "-",
            row["regret"],
        )
        for name, row in told.items()
    ]
    table(
        ("route", "requests", "agreement", "reward", "when agreed", "regret"),
        rows,
        empty="Nothing was learned yet.",
    )


def _state(path: Path) -> JsonObject:
    try:
        shown = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        shown = None
    if not isinstance(shown, dict):
        raise InvalidInput(f"{path} is not a learned state.")
    return shown


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _settings(home: Path | None, file: Path | None) -> "RoutingSettings":
    from mosaic.app.settings import find_home
    from mosaic.routing import load_routes, read_routes

    if file is not None:
        return load_routes(file.read_text(encoding="utf-8-sig", errors="replace"), str(file))
    return read_routes(home or find_home())


def _router(home: Path | None, settings: "RoutingSettings", *, at: datetime | None = None) -> "Router":
    """Return a router over the providers of the installation, none of which is called."""
    from mosaic.app.parts import make_cost, make_providers
    from mosaic.app.settings import load_settings
    from mosaic.core.clock import now
    from mosaic.core.redaction import Redactor
    from mosaic.cost import PriceList
    from mosaic.routing import LiveStats, ProviderTargets, Router, Targets

    known = load_settings(home)
    registry = make_providers(known, redactor=Redactor())
    resolve = ProviderTargets(
        registry,
        prices=PriceList(make_cost(known).prices),
        attributes={name: _attributes(section) for name, section in known.providers.items()},
    )
    try:
        named = [target for name in _named(settings) if (target := resolve(*_split(name))) is not None]
        clock = now if at is None else lambda: at
        return Router(settings, Targets(named, resolve=resolve), live=LiveStats(), clock=clock)
    finally:
        asyncio.run(registry.close())


def _attributes(section: Any) -> JsonObject:
    found = (section.model_extra or {}).get("attributes", {})
    return found if isinstance(found, dict) else {}


def _split(name: str) -> tuple[str, str | None]:
    provider, _, model = name.partition(":")
    return provider, model or None


def _named(settings: "RoutingSettings") -> Iterable[str]:
    """Return every target that the routes name in full, so that patterns find it too."""
    picks: list[Pick] = [pick for rule in settings.rules for pick in rule.targets]
    for route in settings.routes.values():
        picks += [*route.targets, *(entry for entry in route.fallback if not isinstance(entry, str))]
        picks += [pick for window in route.windows for pick in (*window.targets, *window.backup)]
        for part in (route.canary, route.shadow):
            picks += part.targets if part is not None else ()
    names = dict.fromkeys([*(pick.target for pick in picks), *settings.facts])
    return [name for name in names if ":" in name and not any(sign in name for sign in "*?[")]
