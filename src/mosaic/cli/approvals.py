"""`mosaic approvals`: what waits for a person."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import click

from mosaic.cli.client import Client, connect
from mosaic.cli.output import ago, json_line, note, plain, short_json, show_error, table
from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject

__all__ = ["command"]

T = TypeVar("T")

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_LIVE = {"approval.requested": "asked", "approval.voted": "vote", "approval.expired": "expired"}


def _with_client(ctx: click.Context, work: Callable[[Client], Awaitable[T]]) -> T:
    async def session() -> T:
        async with connect(ctx.obj) as client:
            return await work(client)

    return asyncio.run(session())


@click.group("approvals")
def command() -> None:
    """List, show and answer what waits for a person.

    \b
    mosaic approvals list
    mosaic approvals watch
    mosaic approvals show ID
    mosaic approvals approve ID --note "fine, but only once"
    mosaic approvals approve ID --for always --match path=src/**
    mosaic approvals reject ID --note "not on this branch"
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("list", short_help="List what waits for an answer.")
@click.option("--all", "everything", is_flag=True, help="Also those already answered.")
@click.option("--run", "run_id", help="Only those of this run.")
@_json
@click.pass_context
def list_(ctx: click.Context, everything: bool, run_id: str | None, json_output: bool) -> None:
    """List what waits for an answer, oldest first: since when, until when, how risky, and who may answer."""
    status = None if everything else "pending"

    async def work(client: Client) -> list[JsonObject]:
        return [item async for page in _pages(client, status, run_id) for item in page["items"]]

    items = _with_client(ctx, work)
    if json_output:
        for item in items:
            json_line(item)
        return
    columns = ("approval", "status", "asked", "deadline", "risk", "who may answer", "what", "run")
    table(columns, [_row(item) for item in items], empty="Nothing waits for an answer.")


async def _pages(client: Client, status: str | None, run_id: str | None) -> AsyncIterator[JsonObject]:
    cursor: str | None = None
    while True:
        page = await client.approvals(status=status, run_id=run_id, cursor=cursor)
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _row(item: JsonObject) -> tuple[str, ...]:
    from mosaic.cli.asking import who_may_answer

    who = who_may_answer(item) if item["status"] == "pending" else f"by {item['decided_by']}"
    return (
        item["id"],
        item["status"],
        ago(item["requested_at"]),
        _deadline(item) if item["status"] == "pending" else "-",
        short_json((item["detail"] or {}).get("risk") or "-"),
        short_json(who, limit=60),
        short_json(item["title"], limit=80),
        item["run_id"],
    )


def _deadline(item: JsonObject) -> str:
    """Return how long there is to answer, and what silence means then."""
    if not item["expires_at"]:
        return "none"
    left_s = (datetime.fromisoformat(item["expires_at"]) - datetime.now(UTC)).total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if left_s >= size:
            return f"in {int(left_s // size)} {unit}, then {item['on_timeout']}"
    return f"in {max(0, int(left_s))} s, then {item['on_timeout']}"


@command.command("watch", short_help="Show what is asked and answered, as it happens.")
@click.option("--run", "run_id", help="Only those of this run.")
@_json
@click.pass_context
def watch(ctx: click.Context, run_id: str | None, json_output: bool) -> None:
    """Show what waits, then each question and each answer as it happens. Ctrl-C ends it and nothing else."""
    from mosaic.cli.terminal import interrupts

    async def work(client: Client) -> None:
        seq: int | None = None
        async for page in _pages(client, "pending", run_id):
            # The first page's: what happens while the rest is read is told again rather than missed.
            seq = page["seq"] if seq is None else seq
            for item in page["items"]:
                json_line(item) if json_output else _say(
                    "waits", item["id"], item["title"], ago(item["requested_at"])
                )
        await _follow(client, run_id, seq or 0, json_output=json_output)

    async def until_interrupted(client: Client) -> int:
        with interrupts() as interrupted:
            try:
                await work(client)
            except (KeyboardInterrupt, asyncio.CancelledError):
                return interrupted.status
        return 0

    ctx.exit(_with_client(ctx, until_interrupted))


async def _follow(client: Client, run_id: str | None, after: int, *, json_output: bool) -> None:
    async with contextlib.aclosing(client.events(run_id=run_id, after=after, follow=True)) as events:
        async for event in events:
            kind, data = str(event["type"]), event["data"]
            if not kind.startswith("approval."):
                continue
            if json_output:
                json_line(event)
                continue
            by = f"by {data['by']}" if data.get("by") else f"{(data.get('detail') or {}).get('risk') or ''}"
            _say(_LIVE.get(kind, str(data.get("status"))), data["approval"], data.get("title", ""), by)


def _say(what: str, approval_id: str, title: str, more: str) -> None:
    click.echo(f"{what:<9} {approval_id}  {short_json(title, limit=100)}  {plain(more)}".rstrip())
    sys.stdout.flush()


@command.command("webhooks", short_help="Show who is told of approvals, and what they have not heard.")
@_json
@click.pass_context
def webhooks(ctx: click.Context, json_output: bool) -> None:
    """Show the webhooks of the settings, what each has not heard yet, and why."""
    items = _with_client(ctx, lambda client: client.approval_webhooks())["items"]
    if json_output:
        for item in items:
            json_line(item)
        return
    rows = [
        (
            item["name"],
            item["host"] or "-",
            ", ".join(item["events"]) or "-",
            ", ".join(item["roles"]) or "-",
            item["waiting"],
            item["given_up"],
            short_json(item["problem"] or item["error"] or "-", limit=80),
        )
        for item in items
    ]
    columns = ("webhook", "host", "is told", "answers as", "waiting", "given up", "problem")
    table(columns, rows, empty="The settings name no webhook: approvals.webhooks.")


@command.command("show", short_help="Show who asks for what, and why.")
@click.argument("approval_id")
@_json
@click.pass_context
def show(ctx: click.Context, approval_id: str, json_output: bool) -> None:
    """Show who asks for what, why, and what follows from either answer."""
    approval = _with_client(ctx, lambda client: client.approval(approval_id))
    if json_output:
        json_line(approval)
        return
    from mosaic.cli.asking import show_approval

    show_approval(approval)
    by = f" by {approval['decided_by']}" if approval["decided_by"] else ""
    said = f": {short_json(approval['note'], limit=500)}" if approval["note"] else ""
    click.echo(f"{approval['id']}  {approval['status']}{by}{said}")


@command.command("approve", short_help="Say yes.")
@click.argument("approval_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--note", help="A word to the agent.")
@click.option("--edit", is_flag=True, help="Edit the arguments in $EDITOR first.")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change one argument; may be repeated."
)
@click.option("--arguments", help="JSON object: run the tool with these arguments instead.")
@click.option("--answer", help="JSON value: the answer, where the ask has a form.")
@click.option(
    "--for",
    "scope",
    type=click.Choice(["once", "run", "always"]),
    default="once",
    help="How long the yes holds: this call (default), the rest of the run, or until its rule is revoked.",
)
@click.option(
    "--match",
    multiple=True,
    metavar="NAME=PATTERN",
    help="With --for run or always: what an argument must be like; those not named may be anything.",
)
@click.option("--yes", is_flag=True, help="Do not ask again before an edited or lasting yes.")
@_json
@click.pass_context
def approve(
    ctx: click.Context,
    approval_ids: tuple[str, ...],
    note: str | None,
    edit: bool,
    changes: tuple[str, ...],
    arguments: str | None,
    answer: str | None,
    scope: str,
    match: tuple[str, ...],
    yes: bool,
    json_output: bool,
) -> None:
    """Say yes. The run goes on at once where it is hosted; without a server, `mosaic runs watch RUN` carries it on.

    Before an edited or lasting yes is given, it is shown what the call would do and which calls it would hold for.

    \b
    mosaic approvals approve ID
    mosaic approvals approve ID ID ID
    mosaic approvals approve ID --edit
    mosaic approvals approve ID --set path=docs/old.md
    mosaic approvals approve ID --for run
    mosaic approvals approve ID --for always --match path=src/**
    mosaic approvals approve ID --answer '"blue"'
    """  # noqa: D301
    from mosaic.cli.asking import pairs

    if len(approval_ids) > 1 and (edit or changes or arguments or answer):
        raise InvalidInput("Arguments and answers belong to one approval.", hint="Name one ID.")
    decision: JsonObject = {"approve": True, "note": note, "scope": scope}
    decision["set"] = pairs(changes, option="--set", texts=False) or None
    decision["match"] = pairs(match, option="--match") or None
    for name, text in (("arguments", arguments), ("answer", answer)):
        if text is not None:
            decision[name] = _parse(name, text)
    _answer(ctx, approval_ids, decision, json_output=json_output, edit=edit, confirmed=yes)


@command.command("reject", short_help="Say no, and why.")
@click.argument("approval_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--note", help="Why: the agent reads it.")
@_json
@click.pass_context
def reject(ctx: click.Context, approval_ids: tuple[str, ...], note: str | None, json_output: bool) -> None:
    """Say no. The agent is told, with your note, and goes on without it; a workflow's own question may fail the run."""
    _answer(ctx, approval_ids, {"approve": False, "note": note}, json_output=json_output)


def _answer(
    ctx: click.Context,
    approval_ids: Sequence[str],
    decision: JsonObject,
    *,
    json_output: bool,
    edit: bool = False,
    confirmed: bool = True,
) -> None:
    """Answer each; one that fails does not keep the others from being answered."""

    async def work(client: Client) -> bool:
        failed = False
        for approval_id in approval_ids:
            try:
                final = await _considered(client, approval_id, decision, edit=edit, confirmed=confirmed)
                approval = await client.decide(approval_id, final)
            except MosaicError as error:
                if len(approval_ids) == 1:
                    raise
                failed = True
                show_error(error, json_output=json_output)
            else:
                _told(approval, json_output=json_output)
        return failed

    if _with_client(ctx, work):
        ctx.exit(1)


async def _considered(
    client: Client, approval_id: str, decision: JsonObject, *, edit: bool, confirmed: bool
) -> JsonObject:
    """Show what a yes that is edited or lasts would mean, and let a person at a terminal think again.

    Raises:
        click.Abort: if they do not want it.
    """
    from mosaic.cli.asking import edited_in_editor, show_yes
    from mosaic.cli.terminal import is_interactive

    wanted = {key: decision.get(key) for key in ("arguments", "set", "scope", "match")}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if edit:
        before = await client.preview_approval(
            approval_id, {k: wanted[k] for k in ("arguments", "set") if k in wanted}
        )
        if (arguments := edited_in_editor(before["arguments"])) is not None:
            wanted.pop("set", None)
            wanted["arguments"] = arguments
        decision = {**decision, "set": wanted.get("set"), "arguments": wanted.get("arguments")}
    if not decision["approve"] or wanted == {"scope": "once"}:
        return decision
    preview = await client.preview_approval(approval_id, wanted)
    show_yes(preview)
    means_more = preview["edited"] or preview["holds_for"]
    if means_more and not confirmed and is_interactive(allowed=True):
        click.confirm(f"Approve {approval_id} like this?", abort=True, err=True)
    return decision


def _told(approval: JsonObject, *, json_output: bool) -> None:
    if json_output:
        json_line(approval)
        return
    from mosaic.cli.asking import who_may_answer

    if approval["status"] == "pending":
        click.echo(f"{approval['id']}  pending: {who_may_answer(approval)}")
        return
    rule = f", from now on by the rule {approval['rule']}" if approval["rule"] else ""
    click.echo(f"{approval['id']}  {approval['status']}{rule}")
    note(f"The run carries on where it is hosted; without a server: mosaic runs watch {approval['run_id']}")


def _parse(name: str, text: str) -> object:
    import json

    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"--{name} is not JSON: {error}") from None
