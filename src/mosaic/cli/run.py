"""`mosaic run`: start a workflow and watch it."""

import asyncio
import sys
from pathlib import Path

import click

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]


@click.command("run")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--input",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input; JSON values keep their type where the workflow does not want text.",
)
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Inputs from a JSON or YAML file.",
)
@click.option("--model", help="Use this provider:model for every agent, such as anthropic:claude-sonnet-5-5.")
@click.option("--usd", type=click.FloatRange(min=0), help="Hard budget of this run in dollars.")
@click.option("--tokens", type=click.IntRange(min=0), help="Hard budget of this run in tokens.")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Work on this repository instead of the workflow's.",
)
@click.option("--detach", is_flag=True, help="Print the run id and leave (needs a running `mosaic up`).")
@click.option("--no-input", is_flag=True, help="Never prompt: stop with status 3 when an approval is needed.")
@click.option("-v", "--verbose", is_flag=True, help="Show every event.")
@click.option("--json", "json_output", is_flag=True, help="JSON lines on stdout; the last one is the result.")
@click.pass_context
def command(
    ctx: click.Context,
    target: Path,
    pairs: tuple[str, ...],
    inputs_file: Path | None,
    model: str | None,
    usd: float | None,
    tokens: int | None,
    repo: Path | None,
    detach: bool,
    no_input: bool,
    verbose: bool,
    json_output: bool,
) -> None:
    """Run the workflow TARGET (a file, or a folder that holds workflow.yaml) and watch it.

    When an agent wants to do something that needs a person, you are asked here. Without a terminal the command
    stops with status 3; answer with `mosaic approvals approve ID`, then `mosaic runs watch RUN` carries on.
    Ctrl-C leaves the run where it is; `mosaic runs watch RUN` continues it.

    \b
    mosaic run examples/fix-failing-test
    mosaic run flow.yaml -i goal="Add a login page" --model openai:gpt-6.1-sol --usd 2
    mosaic run flow.yaml --inputs inputs.yaml --json
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines
    from mosaic.app.requests import run_request
    from mosaic.cli.inputs import read_inputs
    from mosaic.cli.terminal import is_interactive

    chosen = {
        "model": model,
        "usd": usd,
        "tokens": tokens,
        "workspace_source": str(repo.resolve()) if repo else None,
    }
    request = run_request(
        target,
        inputs=lambda schema: read_inputs(pairs, inputs_file, schema=schema),
        options={key: value for key, value in chosen.items() if value is not None},
    )
    interactive = is_interactive(allowed=not (no_input or json_output))
    work = (
        _detached(ctx.obj, request, json_output=json_output)
        if detach
        else _watched(ctx.obj, request, json_output=json_output, interactive=interactive, verbose=verbose)
    )
    sys.exit(asyncio.run(work))


async def _detached(home: Path | None, request: JsonObject, *, json_output: bool) -> int:
    from mosaic.cli.client import connect
    from mosaic.cli.output import json_line

    async with connect(home) as client:
        if not client.address:
            raise InvalidInput(
                "--detach needs a server that keeps the run going.", hint="Start one with `mosaic up`."
            )
        run = await client.start_run(request)
    if json_output:
        shown = {key: run[key] for key in ("status", "approvals", "link")}
        json_line({"type": "result", "run_id": run["id"], "cost_usd": run["cost"]["usd"], **shown})
    else:
        click.echo(run["id"])
    return 0


async def _watched(
    home: Path | None, request: JsonObject, *, json_output: bool, interactive: bool, verbose: bool
) -> int:
    from mosaic.cli.client import connect
    from mosaic.cli.follow import follow

    async with connect(home, execute=True) as client:
        run = await client.start_run(request)
        return await follow(
            client, run["id"], json_output=json_output, interactive=interactive, verbose=verbose
        )
