"""`mosaic run`: start a workflow and watch it."""

import asyncio
import sys
from pathlib import Path

import click

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command", "parse_inputs"]


def parse_inputs(pairs: tuple[str, ...], file: Path | None) -> JsonObject:
    """Return inputs from ``name=value`` pairs over a JSON or YAML file; a value that is JSON keeps its type.

    Raises:
        InvalidInput: for a pair without ``=`` or a file that is no mapping.
    """
    import json

    inputs: JsonObject = {}
    if file:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            loaded = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
        except (YAMLError, UnicodeDecodeError, OSError) as error:
            raise InvalidInput(f"Cannot read the inputs in {file}: {error}") from None
        if not isinstance(loaded, dict):
            raise InvalidInput(f"{file} must hold a mapping of inputs.")
        inputs.update(loaded)
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise InvalidInput(f"--input takes name=value, got {pair!r}.")
        try:
            inputs[name] = json.loads(text)
        except json.JSONDecodeError:
            inputs[name] = text
    return inputs


@click.command("run")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--input",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input; JSON values keep their type.",
)
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Inputs from a file.",
)
@click.option("--model", help="Use this provider:model for every agent, such as anthropic:claude-sonnet-4-5.")
@click.option("--usd", type=click.FloatRange(min=0), help="Hard budget of this run in dollars.")
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
    mosaic run flow.yaml -i goal="Add a login page" --model openai:gpt-5 --usd 2
    """  # noqa: D301
    request: JsonObject = {
        "target": str(target),
        "inputs": parse_inputs(pairs, inputs_file),
        "options": {
            key: value
            for key, value in (
                ("model", model),
                ("usd", usd),
                ("workspace_source", str(repo.resolve()) if repo else None),
            )
            if value is not None
        },
    }
    interactive = not (no_input or json_output) and sys.stdin.isatty() and sys.stderr.isatty()
    status = asyncio.run(
        _run(
            ctx.obj, request, detach=detach, json_output=json_output, interactive=interactive, verbose=verbose
        )
    )
    sys.exit(status)


async def _run(
    home: Path | None,
    request: JsonObject,
    *,
    detach: bool,
    json_output: bool,
    interactive: bool,
    verbose: bool,
) -> int:
    from mosaic.app.requests import run_request
    from mosaic.cli.client import connect
    from mosaic.cli.follow import follow
    from mosaic.cli.output import json_line, note

    request = run_request(Path(request["target"]), inputs=request["inputs"], options=request["options"])
    async with connect(home, execute=True) as client:
        if detach and not client.address:
            raise InvalidInput(
                "--detach needs a server that keeps the run going.", hint="Start one with `mosaic up`."
            )
        run = await client.start_run(request)
        if detach:
            json_line(
                {
                    "type": "result",
                    "run_id": run["id"],
                    "status": run["status"],
                    "approvals": [],
                    "cost_usd": 0.0,
                }
            ) if json_output else click.echo(run["id"])
            return 0
        try:
            return await follow(
                client, run["id"], json_output=json_output, interactive=interactive, verbose=verbose
            )
        except (KeyboardInterrupt, asyncio.CancelledError):
            note(
                f"\nInterrupted. The run is saved: `mosaic runs watch {run['id']}` carries on, `mosaic runs cancel {run['id']}` ends it."
            )
            return 130
