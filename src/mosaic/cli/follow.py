"""Follow a run to its end, or to the point where it needs a person."""

import asyncio
import contextlib
import sys
from typing import Any

import click

from mosaic.cli.client import Client
from mosaic.cli.live import LiveView
from mosaic.cli.output import describe, json_line, note, short_json, usd
from mosaic.core.errors import Conflict
from mosaic.core.values import JsonObject
from mosaic.runs.progress import RunProgress

__all__ = ["ask", "follow"]

_ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled"})
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

    With `interactive`, asks are answered at the prompt. Without, the run stays durable and the status is 3.
    """
    view, progress = LiveView(verbose=verbose), RunProgress()
    run = await client.run(run_id)
    async with contextlib.aclosing(client.events(run_id=run_id, after=after, follow=True)) as events:
        async for event in events:
            json_line(event) if json_output else view.show(event)
            progress.apply(event)
            if event["type"] in _ENDS:
                break
            if progress.quiescent:
                run = await client.run(run_id)
                if run["status"] != "waiting":
                    continue
                if not interactive:
                    break
                for approval_id in run["approvals"]:
                    await ask(client, approval_id)
    run = await client.run(run_id)
    await _report(client, run, json_output=json_output)
    return _EXIT.get(str(run["status"]), 1)


async def ask(client: Client, approval_id: str) -> None:
    """Show one ask at the terminal and send the answer."""
    approval = await client.approval(approval_id)
    if approval["status"] != "pending":
        return
    show_approval(approval)
    while True:
        answer = (await _prompt("Approve? [y]es, [n]o, [d]etails: ")).strip().lower()
        if answer in ("y", "yes", "n", "no"):
            break
        if answer in ("d", "details"):
            note(short_json(approval.get("detail"), limit=20_000))
    decision: JsonObject = {"approve": answer.startswith("y")}
    fields: JsonObject = ((approval.get("detail") or {}).get("form") or {}).get("properties") or {}
    if decision["approve"] and fields:
        decision["answer"] = {name: await _prompt(f"{name}: ") for name in fields}
    if not decision["approve"]:
        decision["note"] = await _prompt("Why not (optional): ") or None
    with contextlib.suppress(Conflict):  # Somebody else answered while the question stood here.
        await client.decide(approval_id, decision)


def show_approval(approval: JsonObject) -> None:
    """Print who asks for what, why, and what follows from either answer."""
    detail: JsonObject = approval.get("detail") or {}
    note("")
    note(click.style(str(approval["title"]), bold=True) + click.style(f"  {approval['id']}", dim=True))
    for label, key in (("asked by", "agent"), ("tool", "tool"), ("risk", "risk"), ("why", "why")):
        if detail.get(key):
            note(f"  {label:<9} {short_json(detail[key], limit=600)}")
    for name, value in (detail.get("arguments") or {}).items():
        note(f"  {name:<9} {short_json(value, limit=600)}")
    if detail.get("diff"):
        note("\n".join(f"    {line}" for line in str(detail["diff"]).splitlines()[:40]))
    for label, key in (("so far", "cost_so_far"), ("on yes", "on_approve"), ("on no", "on_reject")):
        if detail.get(key):
            note(f"  {label:<9} {short_json(detail[key], limit=300)}")
    if approval.get("expires_at"):
        note(f"  {'expires':<9} {approval['expires_at']}, then: {approval.get('on_timeout')}")


async def _prompt(text: str) -> str:
    """Read a line without stopping the event loop: the run goes on in this process."""
    sys.stderr.write(text)
    sys.stderr.flush()
    line: str = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise click.Abort
    return line.rstrip("\n")


async def _report(client: Client, run: JsonObject, *, json_output: bool) -> None:
    if json_output:
        json_line(
            {
                "type": "result",
                "run_id": run["id"],
                "status": run["status"],
                "approvals": run["approvals"],
                "cost_usd": run["cost"]["usd"],
                "outputs": run["outputs"],
                "error": run["error"],
                "branch": (run.get("workspace") or {}).get("branch"),
                "commit": (run.get("workspace") or {}).get("commit"),
                "artifacts": (await client.artifacts(run["id"]))["items"],
                "link": run.get("link"),
            }
        )
        return
    click.echo(f"{run['id']}  {describe(run)}")
    if run["error"]:
        _error_lines(run["error"])
    for line in _facts(run):
        click.echo(f"  {line}")
    for artifact in (await client.artifacts(run["id"]))["items"]:
        click.echo(
            f"  {artifact['name']:<9} mosaic runs artifact {artifact['id']}  ({artifact['size_bytes']} bytes)"
        )
    if run["status"] == "waiting":
        for approval_id in run["approvals"]:
            click.echo(f"  waits for  mosaic approvals approve {approval_id}   (or: reject)")
        click.echo(f"  then      mosaic runs watch {run['id']}")


def _facts(run: JsonObject) -> list[str]:
    workspace: JsonObject = run.get("workspace") or {}
    cost: JsonObject = run["cost"]
    lines: list[str] = []
    if run["outputs"]:
        lines += [f"{name:<9} {short_json(value, limit=300)}" for name, value in dict(run["outputs"]).items()]
    if workspace.get("commit"):
        lines.append(f"{'commit':<9} {workspace['commit'][:12]} on {workspace['branch']}")
        lines.append(f"{'':<9} git -C {workspace['repository']} show {workspace['branch']}")
    unpriced = f", {cost['unpriced_calls']} calls without a known price" if cost.get("unpriced_calls") else ""
    scripted = " (scripted model: nothing was paid)" if cost.get("scripted") else ""
    lines.append(
        f"{'cost':<9} {usd(cost['usd'])} for {cost['calls']} model calls, {cost['tokens']} tokens{unpriced}{scripted}"
    )
    lines.append(
        f"{'run':<9} {run['link']}" if run.get("link") else f"{'run':<9} mosaic runs show {run['id']}"
    )
    return lines


def _error_lines(error: Any) -> None:
    click.echo(f"  {click.style('failed', fg='red')}    {error.get('code')}: {error.get('message')}")
    data = error.get("data") or {}
    if data.get("step"):
        click.echo(f"  step      {data['step']}")
    if error.get("hint"):
        click.echo(f"  next      {error['hint']}")
