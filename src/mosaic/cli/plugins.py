"""`mosaic plugins`: which providers there are, what each can do, and the kit for writing one."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mosaic.cli.output import json_line, note, plain, table
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject

if TYPE_CHECKING:
    from mosaic.providers import ProviderHealth, ProviderRegistry
    from mosaic.providers.testing import Finding

__all__ = ["command"]

_KINDS = ("ai", "git", "ci", "knowledge", "projects", "automation")
_MARKS = {"passed": ("ok", "green"), "failed": ("FAILED", "red"), "skipped": ("skipped", "yellow")}
_LEVELS = {"supported": "green", "partial": "yellow", "unsupported": "red"}


@click.group("plugins")
def command() -> None:
    """List, show, check and write provider plugins.

    \b
    mosaic plugins list                    every provider, its plugin and whether it can be used
    mosaic plugins show openai             what it can do, needs and may touch
    mosaic plugins matrix --json           what every provider can do
    mosaic plugins new acme --kind ai      write a plugin to start from
    mosaic plugins check acme              check a folder or an installed plugin, without its vendor
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("list")
@click.option("--kind", type=click.Choice(_KINDS), help="Only providers of this kind.")
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def list_command(ctx: click.Context, kind: str | None, json_output: bool) -> None:
    """Show every provider: its plugin, version and kinds, where it comes from, and whether it can be used."""

    async def session() -> list[JsonObject]:
        registry = _registry(ctx)
        names = registry.names(kind)  # type: ignore[arg-type]  # click has checked it
        found = await asyncio.gather(*(registry.health(name) for name in names))
        await registry.close()
        return [_row(registry, health) for health in found]

    rows = asyncio.run(session())
    if json_output:
        json_line({"items": rows})
        return
    table(
        ("provider", "plugin", "version", "kinds", "from", "status", "detail"),
        [
            (
                row["name"],
                row["plugin"],
                row["version"] or "-",
                ", ".join(row["kinds"]) or "-",
                row["origin"] or "-",
                row["status"],
                plain(str(row["detail"]))[:100],
            )
            for row in rows
        ],
        empty="There is no provider.",
    )


@command.command("show")
@click.argument("name")
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def show_command(ctx: click.Context, name: str, json_output: bool) -> None:
    """Show one provider: its manifest, its settings' names, what it may touch, what it can do."""

    async def session() -> JsonObject:
        registry = _registry(ctx)
        instance = registry.instance(name)
        shown: JsonObject = {
            "name": name,
            "attributes": dict(instance.attributes),
            "pins": dict(instance.settings.pins),
            "manifest": registry.manifest(name).to_json(),
            "health": (await registry.health(name)).to_json(),
        }
        try:
            capabilities = registry.capabilities(name)
            shown["capabilities"] = {operation: s.to_json() for operation, s in capabilities.items()}
        except MosaicError as error:  # without a configuration it cannot be made and asked
            shown["capabilities"] = None
            shown["capabilities_error"] = error.message
        await registry.close()
        return shown

    shown = asyncio.run(session())
    if json_output:
        json_line(shown)
        return
    manifest = shown["manifest"]
    permissions = manifest.get("permissions", {})
    lines = {
        "plugin": f"{manifest['id']} {manifest['version']}: {manifest['description']}",
        "kinds": ", ".join(manifest["kinds"]),
        "status": f"{shown['health']['status']}: {shown['health']['detail']}",
        "settings": ", ".join(manifest["configuration"].get("properties", {})) or "-",
        "variables": ", ".join(manifest.get("environment", {}).values()) or "-",
        "may call": ", ".join(permissions.get("network", ())) or "-",
        "may read": ", ".join((*permissions.get("environment", ()), *permissions.get("files", ()))) or "-",
        "requires": ", ".join(item["plugin"] for item in manifest.get("requires", ())) or "-",
    }
    for label, text in lines.items():
        click.echo(f"{label:<10} {plain(text)}")
    rows = [
        (
            operation,
            click.style(support["level"], fg=_LEVELS[support["level"]]),
            plain(support.get("reason", "")),
        )
        for operation, support in (shown["capabilities"] or {}).items()
    ]
    click.echo()
    table(
        ("operation", "support", "why"),
        rows,
        empty=f"It cannot be asked what it can do: {shown.get('capabilities_error')}",
    )


@command.command("matrix")
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def matrix_command(ctx: click.Context, json_output: bool) -> None:
    """Show what every provider can do: yes, partly (~) or no (-)."""

    async def session() -> list[JsonObject]:
        registry = _registry(ctx)
        rows = registry.matrix()
        await registry.close()
        return rows

    rows = asyncio.run(session())
    if json_output:
        json_line({"items": rows})
        return
    signs = {"supported": "yes", "partial": "~", "unsupported": "-"}
    for kind in _KINDS:
        of_kind = [row for row in rows if kind in row.get("kinds", ())]
        if not of_kind:
            continue
        operations = list(dict.fromkeys(name for row in of_kind for name in row["operations"]))
        cells = [
            (
                operation,
                *(
                    signs[row["operations"].get(operation, {"level": "unsupported"})["level"]]
                    for row in of_kind
                ),
            )
            for operation in operations
        ]
        table((kind, *(row["provider"] for row in of_kind)), cells, empty="")
        click.echo()
    for row in rows:
        if "error" in row:
            note(plain(f"{row['provider']}: {row['error']}"))


@command.command("check")
@click.argument("target")
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def check_command(ctx: click.Context, target: str, json_output: bool) -> None:
    """Check a plugin against an endpoint on this machine that plays its vendor; exit status 1 when a check fails.

    TARGET is a plugin's folder, or the name of an installed plugin.
    """
    from mosaic.app.settings import find_home
    from mosaic.providers.testing import check_plugin

    def say(finding: "Finding") -> None:
        if json_output:
            return
        mark, colour = _MARKS[finding.outcome]
        detail = f": {plain(finding.detail)}" if finding.detail else ""
        click.echo(f"{click.style(f'{mark:<8}', fg=colour)} {finding.check}{detail}")

    directory = (ctx.obj or find_home()) / "plugins"
    report = asyncio.run(check_plugin(target, directory=directory, on_finding=say))
    if json_output:
        json_line(report.to_json())
    else:
        failed = sum(finding.outcome == "failed" for finding in report.findings)
        click.echo(f"{report.plugin} {report.version}: {f'{failed} checks failed' if failed else 'conforms'}")
    sys.exit(0 if report.passed else 1)


@command.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(_KINDS), default="ai", show_default=True)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to make its folder (default: the plugins folder of the installation).",
)
@click.pass_context
def new_command(ctx: click.Context, name: str, kind: str, directory: Path | None) -> None:
    """Write a plugin to start from: it works and passes `mosaic plugins check`."""
    from mosaic.app.settings import find_home
    from mosaic.providers.testing import scaffold

    where = directory or (ctx.obj or find_home()) / "plugins"
    for path in scaffold(name, kind=kind, directory=where):  # type: ignore[arg-type]  # click has checked it
        click.echo(str(path))
    note(f"Next: mosaic plugins check {where / name}")


def _registry(ctx: click.Context) -> "ProviderRegistry":
    from mosaic.app.parts import make_providers
    from mosaic.app.settings import load_settings
    from mosaic.core.redaction import Redactor

    return make_providers(load_settings(ctx.obj), redactor=Redactor())


def _row(registry: "ProviderRegistry", health: "ProviderHealth") -> JsonObject:
    instance = registry.instance(health.provider)
    row: JsonObject = {
        "name": instance.name,
        "plugin": instance.plugin,
        "version": None,
        "kinds": [],
        "origin": instance.seats[0].source.origin if instance.seats else None,
        "where": instance.seats[0].source.where if instance.seats else None,
        "attributes": dict(instance.attributes),
        "status": health.status,
        "detail": health.detail,
        "hint": health.hint,
    }
    try:
        manifest = registry.manifest(instance.name)
    except MosaicError:
        return row
    return row | {"version": manifest.version, "kinds": list(manifest.kinds)}
