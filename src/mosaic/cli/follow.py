"""Follow a run to its end, or to the point where it needs a person."""

import asyncio
import contextlib
from typing import Any

import click

from mosaic.cli.asking import ask
from mosaic.cli.client import Client
from mosaic.cli.live import LiveView
from mosaic.cli.output import describe, json_line, note, plain, short_json, usd
from mosaic.cli.terminal import interrupts
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.runs.progress import RunProgress

__all__ = ["follow"]

_ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled"})
_OVER = frozenset({"succeeded", "failed", "cancelled"})
_EXIT = {"succeeded": 0, "waiting": 3}


async def follow(
    client: Client,
    run_id: str,
    *,
    json_output: bool,
    interactive: bool,
    verbose: bool = False,
    after: int = 0,
) -> int:
    """Show a run's events until it ends or waits for a person; return the exit status.

    With `interactive`, asks are answered at the prompt. Without, the run stays durable and the status is 3. An
    interruption leaves the run as it is, says how to go on, and returns 128 and the signal's number.
    """
    view = LiveView(verbose=verbose)
    with interrupts() as interrupted:
        try:
            await _watch(client, run_id, view, after=after, json_output=json_output, interactive=interactive)
        except (KeyboardInterrupt, asyncio.CancelledError, click.Abort):
            await _say_interrupted(client, run_id, json_output=json_output)
            return interrupted.status
        run = await client.run(run_id)
        await _report(client, run, json_output=json_output)
        return _EXIT.get(str(run["status"]), 1)


async def _watch(
    client: Client, run_id: str, view: LiveView, *, after: int, json_output: bool, interactive: bool
) -> None:
    progress = RunProgress()
    # From the beginning, whatever is shown: what a run waits for follows from all its events.
    async with contextlib.aclosing(client.events(run_id=run_id, after=0, follow=True)) as events:
        async for event in events:
            progress.apply(event)
            if event["seq"] > after:
                json_line(event) if json_output else view.show(event)
            if event["type"] in _ENDS and (await client.run(run_id))["status"] in _OVER:
                return  # not an end that was taken back by `runs dead --requeue`
            if progress.quiescent and not await _goes_on(client, run_id, interactive=interactive):
                return


async def _goes_on(client: Client, run_id: str, *, interactive: bool) -> bool:
    """Answer what the run waits for, if there is somebody to ask; say whether it goes on."""
    run = await client.run(run_id)
    if run["status"] != "waiting":
        return True
    if interactive:
        for approval_id in run["approvals"]:
            await ask(client, approval_id)
    return interactive


async def _say_interrupted(client: Client, run_id: str, *, json_output: bool) -> None:
    if client.address:
        note(f"\nInterrupted. The run goes on at {client.address}: `mosaic runs watch {run_id}` shows it.")
    else:
        note(
            f"\nInterrupted. The run is saved: `mosaic runs watch {run_id}` carries on, "
            f"`mosaic runs cancel {run_id}` ends it."
        )
    if json_output:
        with contextlib.suppress(MosaicError):
            await _report(client, await client.run(run_id), json_output=True)


async def _report(client: Client, run: JsonObject, *, json_output: bool) -> None:
    artifacts = (await client.artifacts(run["id"]))["items"]
    if json_output:
        json_line(_result(run, artifacts))
        return
    click.echo(f"{run['id']}  {describe(run)}")
    if run["error"]:
        _error_lines(run["error"])
    for line in _facts(run):
        click.echo(f"  {line}")
    for artifact in artifacts:
        name = plain(str(artifact["name"]))
        click.echo(f"  {name:<9} mosaic runs artifact {artifact['id']}  ({artifact['size_bytes']} bytes)")
    if run["status"] == "waiting":
        for approval_id in run["approvals"]:
            click.echo(f"  waits for  mosaic approvals approve {approval_id}   (or: reject)")
        click.echo(f"  then      mosaic runs watch {run['id']}")


def _result(run: JsonObject, artifacts: list[JsonObject]) -> JsonObject:
    workspace: JsonObject = run.get("workspace") or {}
    return {
        "type": "result",
        "run_id": run["id"],
        "status": run["status"],
        "approvals": run["approvals"],
        "cost_usd": run["cost"]["usd"],
        "outputs": run["outputs"],
        "error": run["error"],
        "branch": workspace.get("branch"),
        "commit": workspace.get("commit"),
        "artifacts": artifacts,
        "link": run.get("link"),
    }


def _facts(run: JsonObject) -> list[str]:
    workspace: JsonObject = run.get("workspace") or {}
    cost: JsonObject = run["cost"]
    lines: list[str] = []
    if isinstance(run["outputs"], dict):
        lines += [
            f"{plain(name):<9} {short_json(value, limit=300)}" for name, value in run["outputs"].items()
        ]
    if workspace.get("commit"):
        lines.append(f"{'commit':<9} {workspace['commit'][:12]} on {workspace['branch']}")
        lines.append(f"{'':<9} git -C {plain(workspace['repository'])} show {workspace['branch']}")
    elif run["status"] == "failed" and workspace.get("path"):
        lines.append(f"{'files':<9} {plain(workspace['path'])}")
    unpriced = f", {cost['unpriced_calls']} calls without a known price" if cost.get("unpriced_calls") else ""
    scripted = " (scripted model: nothing was paid)" if cost.get("scripted") else ""
    lines.append(
        f"{'cost':<9} {usd(cost['usd'])} for {cost['calls']} model calls, {cost['tokens']} tokens{unpriced}{scripted}"
    )
    lines.append(f"{'run':<9} {run.get('link') or 'mosaic runs show ' + run['id']}")
    return lines


def _error_lines(error: Any) -> None:
    message = plain(str(error.get("message")))
    click.echo(f"  {click.style('failed', fg='red')}    {error.get('code')}: {message}")
    data = error.get("data") or {}
    if data.get("step"):
        click.echo(f"  step      {plain(str(data['step']))}")
    if error.get("hint"):
        click.echo(f"  next      {plain(str(error['hint']))}")
