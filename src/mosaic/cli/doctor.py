"""`mosaic doctor`: what works here, what does not, and how to fix it."""

import asyncio
import sys

import click

from mosaic.cli.output import json_line

__all__ = ["command"]

_MARK = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@click.command("doctor")
@click.option("--json", "json_output", is_flag=True, help="One JSON line per check.")
@click.pass_context
def command(ctx: click.Context, json_output: bool) -> None:
    """Check this machine and this installation, and say the next step for what does not work.

    Looks at Python, git, settings, data folder, server, token, sandbox, database, model providers and prices.
    Exit status 1 when something that is needed does not work; a warning alone is none.
    """
    from mosaic.app.doctor import examine

    findings = asyncio.run(examine(ctx.obj))
    for finding in findings:
        if json_output:
            json_line({"type": "check", **finding.to_json()})
            continue
        mark, colour = _MARK[finding.state]
        click.echo(f"{click.style(mark, fg=colour)} {finding.name:<12} {finding.message}")
        if finding.hint:
            click.echo(f"  {'':<12} next: {finding.hint}")
    sys.exit(1 if any(finding.state == "failed" for finding in findings) else 0)
