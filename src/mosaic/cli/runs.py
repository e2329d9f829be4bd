"""`mosaic runs`: list, show, watch, cancel, fork and read runs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from mosaic.cli.client import Client, connect
from mosaic.cli.output import ago, describe, json_line, note, short_json, table, usd

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
    """List, show, watch, cancel, fork and read runs."""


@command.command("list")
@click.option(
    "--status", type=click.Choice(["queued", "running", "waiting", "succeeded", "failed", "cancelled"])
)
@click.option("--workflow", help="Only runs of this workflow.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@_json
@click.pass_context
def list_(
    ctx: click.Context, status: str | None, workflow: str | None, limit: int, json_output: bool
) -> None:
    """List runs, newest first."""
    page = _with(ctx, lambda client: client.runs(status=status, workflow=workflow, limit=limit, cursor=None))
    if json_output:
        for run in page["items"]:
            json_line(run)
        return
    rows = [
        (run["id"], describe(run), run["workflow"], ago(run["created_at"]), usd(run["cost"]["usd"]))
        for run in page["items"]
    ]
    table(
        ("run", "status", "workflow", "started", "cost"),
        rows,
        empty="No runs yet. Start one: mosaic run examples/fix-failing-test",
    )


@command.command("show")
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
        cost = run["cost"]
        facts = [
            ("started", f"{run['created_at']} ({ago(run['created_at'])})"),
            ("finished", run["finished_at"]),
            ("inputs", run["inputs"] or None),
            ("outputs", run["outputs"]),
            ("error", run["error"]),
            ("workspace", (run["workspace"] or {}).get("path")),
            ("branch", (run["workspace"] or {}).get("branch")),
            ("commit", (run["workspace"] or {}).get("commit")),
            ("forked from", run["forked_from"]),
            ("cost", f"{usd(cost['usd'])} for {cost['calls']} model calls, {cost['tokens']} tokens"),
            ("waits for", ", ".join(run["approvals"]) or None),
        ]
        for label, value in facts:
            if value is not None:
                click.echo(f"  {label:<12} {short_json(value, limit=2000)}")
        for artifact in artifacts:
            click.echo(f"  {'artifact':<12} {artifact['name']}  {artifact['id']}")

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
    """Follow a run to its end. When no server runs, this process carries the run on."""
    from mosaic.cli.follow import follow

    interactive = not (no_input or json_output) and sys.stdin.isatty() and sys.stderr.isatty()

    async def work(client: Client) -> int:
        try:
            return await follow(
                client, run_id, json_output=json_output, interactive=interactive, verbose=verbose, after=after
            )
        except (KeyboardInterrupt, asyncio.CancelledError):
            note(f"\nInterrupted. `mosaic runs watch {run_id}` carries on.")
            return 130

    sys.exit(_with(ctx, work, execute=True))


@command.command("cancel")
@click.argument("run_id")
@_json
@click.pass_context
def cancel(ctx: click.Context, run_id: str, json_output: bool) -> None:
    """Cancel a run: its agents stop, its commands are killed, what it did stays."""
    run = _with(ctx, lambda client: client.cancel(run_id))
    json_line(run) if json_output else click.echo(f"{run_id}  {describe(run)}")


@command.command("fork")
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
    """Start a new run that keeps every result before STEP and does the rest again."""
    from mosaic.cli.follow import follow
    from mosaic.cli.run import parse_inputs

    interactive = not (no_input or json_output) and sys.stdin.isatty() and sys.stderr.isatty()

    async def work(client: Client) -> int:
        run = await client.fork(run_id, from_step=from_step, inputs=parse_inputs(pairs, None) or None)
        return await follow(client, run["id"], json_output=json_output, interactive=interactive)

    sys.exit(_with(ctx, work, execute=True))


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
    """Print a run's journal: every event, with its data."""

    async def work(client: Client) -> None:
        await client.run(run_id)
        async for event in client.events(run_id=run_id, after=0, follow=follow_):
            path = str(event.get("path") or "")
            if (types and event["type"] not in types) or (step and not path.startswith(step)):
                continue
            if json_output:
                json_line(event)
            else:
                click.echo(
                    f"{event['seq']:>6}  {event['occurred_at'][11:23]}  {event['type']:<20} {path:<28} {short_json(event['data'], limit=400)}"
                )
            if str(event["type"]) in ("run.succeeded", "run.failed", "run.cancelled"):
                return

    _with(ctx, work)


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
    """Print an artifact's content, or save it."""
    content = _with(ctx, lambda client: client.artifact_content(artifact_id))
    if output:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


@command.command("dead")
@click.option("--requeue", metavar="EXECUTION", help="Start this one again; its results are kept.")
@_json
@click.pass_context
def dead(ctx: click.Context, requeue: str | None, json_output: bool) -> None:
    """List work that was given up because its process crashed too often, or start it again."""

    async def work(client: Client) -> None:
        if requeue:
            json_line(await client.requeue(requeue))
            return
        items = (await client.dead_letters())["items"]
        if json_output:
            for item in items:
                json_line(item)
            return
        rows = [
            (i["execution_id"], i["run_id"], i["attempts"], short_json(i.get("error") or "")) for i in items
        ]
        table(("execution", "run", "attempts", "error"), rows, empty="Nothing was given up.")

    _with(ctx, work, execute=bool(requeue))
