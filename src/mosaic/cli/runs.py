"""`mosaic runs`: list, show, watch, cancel, fork and read runs."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from mosaic.cli.client import Client, connect
from mosaic.cli.output import ago, describe, json_line, note, plain, short_json, table, usd
from mosaic.core.errors import InvalidInput, Unavailable
from mosaic.core.values import JsonObject

__all__ = ["command"]

T = TypeVar("T")
_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")


def _with(ctx: click.Context, work: Callable[[Client], Awaitable[T]], *, execute: bool = False) -> T:
    async def session() -> T:
        async with connect(ctx.obj, execute=execute) as client:
            return await work(client)

    return asyncio.run(session())


@click.group("runs")
def command() -> None:
    """List, show, watch, cancel, fork and read runs.

    \b
    mosaic runs list --status waiting
    mosaic runs watch RUN                 follow it, or carry it on when no server runs
    mosaic runs fork RUN --from-step build -i goal="Another goal"
    mosaic runs logs RUN --type tool.called
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("list")
@click.option(
    "--status", type=click.Choice(["queued", "running", "waiting", "succeeded", "failed", "cancelled"])
)
@click.option("--workflow", help="Only runs of this workflow.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--cursor", help="Go on where the page before ended.")
@_json
@click.pass_context
def list_(
    ctx: click.Context,
    status: str | None,
    workflow: str | None,
    limit: int,
    cursor: str | None,
    json_output: bool,
) -> None:
    """List runs, newest first."""
    page = _with(
        ctx, lambda client: client.runs(status=status, workflow=workflow, limit=limit, cursor=cursor)
    )
    if json_output:
        for run in page["items"]:
            json_line(run)
    else:
        rows = [
            (run["id"], describe(run), run["workflow"], ago(run["created_at"]), usd(run["cost"]["usd"]))
            for run in page["items"]
        ]
        chosen = status or workflow or cursor
        nothing = (
            "No such runs." if chosen else "No runs yet. Start one: mosaic run examples/fix-failing-test"
        )
        table(("run", "status", "workflow", "started", "cost"), rows, empty=nothing)
    if page["next_cursor"]:
        note(f"more: --cursor '{page['next_cursor']}'")


@command.command("show", short_help="Show a run: status, outputs, cost, artifacts.")
@click.argument("run_id")
@_json
@click.pass_context
def show(ctx: click.Context, run_id: str, json_output: bool) -> None:
    """Show one run: status, inputs, outputs, cost, branch and artifacts."""

    async def work(client: Client) -> None:
        run = await client.run(run_id)
        artifacts = (await client.artifacts(run_id))["items"]
        if json_output:
            json_line({**run, "artifacts": artifacts})
            return
        click.echo(f"{run['id']}  {describe(run)}  {run['workflow']} {run['version']}")
        cost, workspace = run["cost"], run["workspace"] or {}
        facts = [
            ("started", f"{run['created_at']} ({ago(run['created_at'])})"),
            ("finished", run["finished_at"]),
            ("inputs", run["inputs"] or None),
            ("outputs", run["outputs"]),
            ("error", run["error"]),
            ("workspace", workspace.get("path") if run["status"] != "succeeded" else None),
            ("branch", workspace.get("branch")),
            ("commit", workspace.get("commit")),
            ("repository", workspace.get("repository")),
            (
                "forked from",
                run["forked_from"] and f"{run['forked_from']} at {run['options'].get('from_step')}",
            ),
            ("child of", run["parent_run_id"]),
            ("cost", f"{usd(cost['usd'])} for {cost['calls']} model calls, {cost['tokens']} tokens"),
            ("waits for", ", ".join(run["approvals"]) or None),
        ]
        for label, value in facts:
            if value is not None:
                click.echo(f"  {label:<12} {short_json(value, limit=2000)}")
        for artifact in artifacts:
            click.echo(f"  {'artifact':<12} {plain(artifact['name'])}  {artifact['id']}")

    _with(ctx, work)


@command.command("watch")
@click.argument("run_id")
@click.option("--after", type=int, default=0, help="Start after this journal sequence.")
@click.option("--no-input", is_flag=True, help="Never prompt: stop with status 3 when an approval is needed.")
@click.option("-v", "--verbose", is_flag=True, help="Show every event.")
@click.option("--json", "json_output", is_flag=True, help="JSON lines on stdout; the last one is the result.")
@click.pass_context
def watch(
    ctx: click.Context, run_id: str, after: int, no_input: bool, verbose: bool, json_output: bool
) -> None:
    """Follow a run to its end. When no server runs, this process carries the run on.

    \b
    mosaic runs watch RUN                 asks you what the run waits for
    mosaic runs watch RUN --json          JSON lines; status 3 when it waits for an approval
    """  # noqa: D301
    from mosaic.cli.follow import follow
    from mosaic.cli.terminal import is_interactive

    interactive = is_interactive(allowed=not (no_input or json_output))

    async def work(client: Client) -> int:
        return await follow(
            client, run_id, json_output=json_output, interactive=interactive, verbose=verbose, after=after
        )

    async def session() -> int:
        async with connect(ctx.obj) as client:
            # A run that is over needs nobody to carry it on: it is shown without launching anything.
            if client.address or (await client.run(run_id))["status"] in ("succeeded", "failed", "cancelled"):
                return await work(client)
        async with connect(ctx.obj, execute=True, or_follow=True) as client:
            return await work(client)

    sys.exit(asyncio.run(session()))


@command.command("cancel", short_help="Cancel a run and all it does.")
@click.argument("run_id")
@_json
@click.pass_context
def cancel(ctx: click.Context, run_id: str, json_output: bool) -> None:
    """Cancel a run: its agents stop, its commands are killed, its child runs end; what it did stays."""
    run = _with(ctx, lambda client: client.cancel(run_id))
    json_line(run) if json_output else click.echo(f"{run_id}  {describe(run)}")


@command.command("fork", short_help="Do a run again from one of its steps.")
@click.argument("run_id")
@click.option(
    "--from-step",
    required=True,
    metavar="STEP",
    help="The first step to do again, such as build or build[0]/check.",
)
@click.option("-i", "--input", "pairs", multiple=True, metavar="NAME=VALUE", help="Change an input.")
@click.option("--no-input", is_flag=True, help="Never prompt.")
@_json
@click.pass_context
def fork(
    ctx: click.Context, run_id: str, from_step: str, pairs: tuple[str, ...], no_input: bool, json_output: bool
) -> None:
    """Start a new run that keeps every result before STEP and does the rest again.

    The old run is not touched. The new one works on the files as they were when STEP began; `mosaic runs logs RUN
    --type step.started` lists the steps.

    \b
    mosaic runs fork RUN --from-step build
    mosaic runs fork RUN --from-step "build[0]/check" -i goal="Another goal"
    """  # noqa: D301
    from mosaic.cli.follow import follow
    from mosaic.cli.inputs import read_inputs
    from mosaic.cli.terminal import is_interactive

    interactive = is_interactive(allowed=not (no_input or json_output))
    inputs = read_inputs(pairs)

    async def work(client: Client) -> int:
        run = await client.fork(run_id, from_step=from_step, inputs=inputs or None)
        return await follow(client, run["id"], json_output=json_output, interactive=interactive)

    sys.exit(_with(ctx, work, execute=True))


@command.command("signal", short_help="Tell a run what a `listen` step waits for.")
@click.argument("run_id")
@click.argument("name")
@click.argument("payload", default="{}")
@_json
@click.pass_context
def signal(ctx: click.Context, run_id: str, name: str, payload: str, json_output: bool) -> None:
    """Send a signal to the `listen` step that waits, or will wait, for NAME. PAYLOAD is a JSON object.

    \b
    mosaic runs signal RUN deployed '{"version": "1.2.0"}'
    """  # noqa: D301
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise InvalidInput(f"The payload is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput("The payload must be a JSON object.", hint='Such as: {"ok": true}')
    sent = _with(ctx, lambda client: client.signal(run_id, name, value))
    json_line(sent) if json_output else click.echo(f"{run_id}  was told {plain(name)}")


@command.command("logs")
@click.argument("run_id")
@click.option("--step", help="Only events of this step and what is inside it.")
@click.option(
    "--type", "types", multiple=True, help="Only events of this type, such as tool.called; may be repeated."
)
@click.option("-f", "--follow", "follow_", is_flag=True, help="Go on until the run ends.")
@_json
@click.pass_context
def logs(
    ctx: click.Context,
    run_id: str,
    step: str | None,
    types: tuple[str, ...],
    follow_: bool,
    json_output: bool,
) -> None:
    """Print a run's journal: every event, with its data.

    \b
    mosaic runs logs RUN --step build --type tool.called --type tool.failed
    mosaic runs logs RUN --json | jq .data
    """  # noqa: D301
    from mosaic.runs.progress import within

    async def work(client: Client) -> None:
        async with contextlib.aclosing(client.events(run_id=run_id, after=0, follow=follow_)) as events:
            async for event in events:
                path = str(event.get("path") or "")
                if (not types or event["type"] in types) and (not step or within(path, step)):
                    json_line(event) if json_output else _log_line(event, path)
                if follow_ and await _is_over(client, event):
                    return

    with contextlib.suppress(KeyboardInterrupt):
        _with(ctx, work)


async def _is_over(client: Client, event: JsonObject) -> bool:
    if event["type"] not in ("run.succeeded", "run.failed", "run.cancelled"):
        return False
    return (await client.run(event["run_id"]))["status"] in ("succeeded", "failed", "cancelled")


def _log_line(event: JsonObject, path: str) -> None:
    at, kind = event["occurred_at"][11:23], event["type"]
    data = short_json(event["data"], limit=400)
    click.echo(f"{event['seq']:>6}  {at}  {plain(kind):<20} {plain(path):<28} {data}")


@command.command("artifact")
@click.argument("artifact_id")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file instead of stdout.",
)
@click.pass_context
def artifact(ctx: click.Context, artifact_id: str, output: Path | None) -> None:
    """Print an artifact's content, or save it. `mosaic runs show RUN` lists the artifacts of a run."""
    content = _with(ctx, lambda client: client.artifact_content(artifact_id))
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise Unavailable(f"{output} cannot be written: {error.strerror}.") from None


@command.command("dead", short_help="List or restart work that was given up.")
@click.option("--requeue", metavar="EXECUTION", help="Start this one again; its results are kept.")
@_json
@click.pass_context
def dead(ctx: click.Context, requeue: str | None, json_output: bool) -> None:
    """List work that was given up because its process crashed too often, or start it again.

    \b
    mosaic runs dead
    mosaic runs dead --requeue RUN
    """  # noqa: D301
    if requeue:
        done = _with(ctx, lambda client: client.requeue(requeue))
        if json_output:
            json_line(done)
        else:
            click.echo(f"{requeue}  {done['status']}")
            note(f"It goes on where a server runs; without one: mosaic runs watch {done['run_id']}")
        return
    items = _with(ctx, lambda client: client.dead_letters())["items"]
    if json_output:
        for item in items:
            json_line(item)
        return
    rows = [
        (i["id"], i["run_id"], plain(i["path"] or "-"), i["crashes"], i["error_code"] or "-") for i in items
    ]
    table(("execution", "run", "step", "crashes", "error"), rows, empty="Nothing was given up.")
