"""`mosaic agents`: who is here, how busy, how much more they can take."""

import asyncio

import click

from mosaic.cli.client import connect
from mosaic.cli.output import ago, json_line, table
from mosaic.core.values import JsonObject

__all__ = ["command"]


@click.command("agents")
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def command(ctx: click.Context, json_output: bool) -> None:
    """Show the agents that have worked here: their state, load, capacity and capabilities.

    \b
    mosaic agents
    mosaic agents --json
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines

    async def session() -> JsonObject:
        async with connect(ctx.obj) as client:
            return await client.agents()

    shown = asyncio.run(session())
    if json_output:
        json_line(shown)
        return
    figures = shown["metrics"]
    rows = [
        (
            a["name"],
            a["availability"],
            f"{a['active']}/{a['capacity']}",
            ", ".join(a["capabilities"]) or "-",
            ago(a["heartbeat_at"]),
        )
        for a in shown["items"]
    ]
    table(
        ("agent", "state", "load", "capabilities", "seen"),
        rows,
        empty="No agent has worked here yet. Start one: mosaic run examples/fix-failing-test",
    )
    if rows:
        click.echo(
            f"{figures['total']} agents: {figures['online']} online, {figures['busy']} busy, {figures['offline']} offline, "
            f"{figures['error']} in error; average load {figures['average_load']}, capacity {figures['total_capacity']}, "
            f"utilization {figures['utilization']} %"
        )
