"""`mosaic plan run`: a run that works on an item of a plan."""

import asyncio
import sys
from pathlib import Path

import click

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["run"]

_REPORTED_S = 5.0
_LOOK_S = 0.1


@click.command("run")
@click.argument("plan")
@click.argument("item")
@click.argument("workflow")
@click.option("-i", "--input", "pairs", multiple=True, metavar="NAME=VALUE", help="An input of the workflow.")
@click.option("--model", help="Use this provider:model for every agent.")
@click.option("--usd", type=click.FloatRange(min=0), help="Hard budget of this run in dollars.")
@click.option("--force", is_flag=True, help="Although something that the item waits for is not done.")
@click.option("--detach", is_flag=True, help="Print the run id and leave (needs a running `mosaic up`).")
@click.option("--no-input", is_flag=True, help="Never prompt: stop with status 3 when an approval is needed.")
@click.option("--json", "json_output", is_flag=True, help="JSON lines on stdout; the last one is the item.")
@click.pass_context
def run(
    ctx: click.Context,
    plan: str,
    item: str,
    workflow: str,
    pairs: tuple[str, ...],
    model: str | None,
    usd: float | None,
    force: bool,
    detach: bool,
    no_input: bool,
    json_output: bool,
) -> None:
    """Start a run for an ITEM and watch it; the item's status and cost follow it.

    WORKFLOW is a file or folder, or the name of a workflow that ran here before.
    """
    from mosaic.cli.inputs import read_inputs
    from mosaic.cli.terminal import is_interactive

    options = {name: value for name, value in (("model", model), ("usd", usd)) if value is not None}
    wanted: JsonObject = {"force": force, "options": options}
    target = Path(workflow)
    if target.exists():
        from mosaic.app.requests import run_request

        wanted |= run_request(
            target, inputs=lambda schema: read_inputs(pairs, schema=schema), options=options
        )
    else:
        wanted |= {"workflow": workflow, "inputs": read_inputs(pairs)}
    interactive = is_interactive(allowed=not (no_input or json_output))
    work = _work(ctx.obj, plan, item, wanted, detach=detach, json_output=json_output, interactive=interactive)
    sys.exit(asyncio.run(work))


async def _work(
    home: Path | None,
    plan: str,
    item: str,
    wanted: JsonObject,
    *,
    detach: bool,
    json_output: bool,
    interactive: bool,
) -> int:
    from mosaic.cli.client import Client, connect
    from mosaic.cli.follow import follow
    from mosaic.cli.output import json_line
    from mosaic.cli.plan_names import plan_id
    from mosaic.cli.plan_view import show_item

    async def reported(client: Client, plan_: str, item_: str, run_id: str) -> JsonObject:
        """Return the item once it knows of the run's end."""
        status = (await client.run(run_id))["status"]
        async with asyncio.timeout(_REPORTED_S):
            while True:
                shown = await client.plan_item(plan_, item_)
                if any(one["run_id"] == run_id and one["status"] == status for one in shown["runs"]):
                    return shown
                await asyncio.sleep(_LOOK_S)

    async with connect(home, execute=not detach) as client:
        if detach and not client.address:
            raise InvalidInput(
                "--detach needs a server that keeps the run going.", hint="Start one with `mosaic up`."
            )
        found = await plan_id(client, plan)
        made = await client.run_item(found, item, wanted)
        run_id, item_id = str(made["run"]["id"]), str(made["item"]["id"])
        if detach:
            json_line(made["item"]) if json_output else click.echo(run_id)
            return 0
        status = await follow(client, run_id, json_output=json_output, interactive=interactive)
        try:
            shown = await reported(client, found, item_id, run_id)
        except TimeoutError:  # the run goes on, or the item will learn of its end later
            shown = await client.plan_item(found, item_id)
        json_line({"type": "item", **shown}) if json_output else show_item(shown)
        return status
