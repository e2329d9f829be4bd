"""`mosaic approvals`: what waits for a person."""

import asyncio
from typing import Any

import click

from mosaic.cli.client import connect
from mosaic.cli.output import ago, json_line, note, short_json, table
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")


def _call(ctx: click.Context, verb: str, *args: Any, **options: Any) -> JsonObject:
    async def session() -> JsonObject:
        async with connect(ctx.obj) as client:
            result: JsonObject = await getattr(client, verb)(*args, **options)
            return result

    return asyncio.run(session())


@click.group("approvals")
def command() -> None:
    """List, show and answer what waits for a person.

    \b
    mosaic approvals list
    mosaic approvals show ID
    mosaic approvals approve ID --note "fine, but only once"
    mosaic approvals reject ID --note "not on this branch"
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those already answered.")
@click.option("--run", "run_id", help="Only those of this run.")
@_json
@click.pass_context
def list_(ctx: click.Context, everything: bool, run_id: str | None, json_output: bool) -> None:
    """List what waits for an answer, oldest first."""
    items = _call(ctx, "approvals", status=None if everything else "pending", run_id=run_id)["items"]
    if json_output:
        for item in items:
            json_line(item)
        return
    rows = [
        (i["id"], i["status"], ago(i["requested_at"]), short_json(i["title"]), i["run_id"]) for i in items
    ]
    table(("approval", "status", "asked", "what", "run"), rows, empty="Nothing waits for an answer.")


@command.command("show", short_help="Show who asks for what, and why.")
@click.argument("approval_id")
@_json
@click.pass_context
def show(ctx: click.Context, approval_id: str, json_output: bool) -> None:
    """Show who asks for what, why, and what follows from either answer."""
    approval = _call(ctx, "approval", approval_id)
    if json_output:
        json_line(approval)
        return
    from mosaic.cli.asking import show_approval

    show_approval(approval)
    by = f" by {approval['decided_by']}" if approval["decided_by"] else ""
    said = f": {short_json(approval['note'], limit=500)}" if approval["note"] else ""
    click.echo(f"{approval['id']}  {approval['status']}{by}{said}")


def _decide(ctx: click.Context, approval_id: str, decision: JsonObject, *, json_output: bool) -> None:
    approval = _call(ctx, "decide", approval_id, decision)
    if json_output:
        json_line(approval)
    else:
        click.echo(f"{approval_id}  {approval['status']}")
        note(
            f"The run carries on where it is hosted; without a server: mosaic runs watch {approval['run_id']}"
        )


@command.command("approve", short_help="Say yes.")
@click.argument("approval_id")
@click.option("--note", help="A word to the agent.")
@click.option("--arguments", help="JSON object: run the tool with these arguments instead.")
@click.option("--answer", help="JSON value: the answer, where the ask has a form.")
@_json
@click.pass_context
def approve(
    ctx: click.Context,
    approval_id: str,
    note: str | None,
    arguments: str | None,
    answer: str | None,
    json_output: bool,
) -> None:
    """Say yes. The run goes on at once where it is hosted; without a server, `mosaic runs watch RUN` carries it on.

    \b
    mosaic approvals approve ID
    mosaic approvals approve ID --arguments '{"path": "docs/old.md"}'
    mosaic approvals approve ID --answer '"blue"'
    """  # noqa: D301
    decision: JsonObject = {"approve": True, "note": note}
    for name, text in (("arguments", arguments), ("answer", answer)):
        if text is not None:
            decision[name] = _parse(name, text)
    _decide(ctx, approval_id, decision, json_output=json_output)


@command.command("reject", short_help="Say no, and why.")
@click.argument("approval_id")
@click.option("--note", help="Why: the agent reads it.")
@_json
@click.pass_context
def reject(ctx: click.Context, approval_id: str, note: str | None, json_output: bool) -> None:
    """Say no. The agent is told, with your note, and goes on without it; a workflow's own question may fail the run."""
    _decide(ctx, approval_id, {"approve": False, "note": note}, json_output=json_output)


def _parse(name: str, text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"--{name} is not JSON: {error}") from None
