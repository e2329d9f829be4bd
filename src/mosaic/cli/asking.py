"""Asks at the terminal: who wants what and why, and a person's answer."""

import json

import click

from mosaic.cli.client import Client
from mosaic.cli.output import note, plain, short_json
from mosaic.cli.terminal import read_line
from mosaic.core.errors import Conflict, InvalidInput
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["ask", "show_approval"]

_SHOWN_LINES = 40


async def ask(client: Client, approval_id: str) -> None:
    """Show one ask and send the answer; says so when somebody else was faster."""
    approval = await client.approval(approval_id)
    if approval["status"] != "pending":
        return
    show_approval(approval)
    while True:
        decision = await _decision(approval)
        try:
            await client.decide(approval_id, decision)
        except InvalidInput as error:
            note(click.style(f"  {plain(error.message)}", fg="yellow"))
            for problem in error.problems:
                note(f"    {plain(str(problem))}")
        except Conflict as error:
            note(f"  {plain(error.message)}")
            return
        else:
            return


async def _decision(approval: JsonObject) -> JsonObject:
    detail: JsonObject = approval.get("detail") or {}
    while True:
        answer = (await read_line("Approve? [y]es, [n]o, [d]etails: ")).strip().lower()
        if answer in ("y", "yes", "n", "no"):
            break
        if answer in ("d", "details"):
            note(plain(json.dumps(detail, ensure_ascii=False, indent=2)))
    if answer.startswith("n"):
        return {"approve": False, "note": await read_line("Why not (optional): ") or None}
    if choices := detail.get("choices"):
        return {"approve": True, "answer": await _choice(choices)}
    decision: JsonObject = {"approve": True}
    if approval["kind"] == "ask" and (text := await read_line("Answer (optional): ")):
        decision["answer"] = _value(text)
    return decision


async def _choice(choices: list[JsonValue]) -> JsonValue:
    for number, choice in enumerate(choices, 1):
        note(f"  {number}  {short_json(choice, limit=200)}")
    while True:
        text = (await read_line(f"Which [1-{len(choices)}]: ")).strip()
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(choices):
            return choices[int(text) - 1]
        if text in choices:
            return text


def _value(text: str) -> JsonValue:
    """Return an answer as JSON when it is some, else as the text it is."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def show_approval(approval: JsonObject) -> None:
    """Print who asks for what, why, and what follows from either answer."""
    detail: JsonObject = approval.get("detail") or {}
    note("")
    title = short_json(str(approval["title"]), limit=500)
    note(click.style(title, bold=True) + click.style(f"  {approval['id']}", dim=True))
    for label, key in (("asked by", "agent"), ("tool", "tool"), ("risk", "risk"), ("why", "why")):
        _fact(label, detail.get(key), limit=600)
    arguments = detail.get("arguments")
    for name, value in arguments.items() if isinstance(arguments, dict) else ():
        _fact(plain(str(name)), value, limit=600)
    for label, key in (
        ("command", "command"),
        ("detail", "detail"),
        ("choices", "choices"),
        ("note", "note"),
    ):
        _fact(label, detail.get(key), limit=2_000)
    if detail.get("diff"):
        lines = str(detail["diff"]).splitlines()
        note("\n".join(f"    {plain(line)}" for line in lines[:_SHOWN_LINES]))
        if len(lines) > _SHOWN_LINES:
            note(
                click.style(f"    … {len(lines) - _SHOWN_LINES} more lines: mosaic approvals show", dim=True)
            )
    for label, key in (("so far", "cost_so_far"), ("on yes", "on_approve"), ("on no", "on_reject")):
        _fact(label, detail.get(key), limit=300)
    if approval.get("expires_at"):
        note(f"  {'expires':<9} {approval['expires_at']}, then: {approval.get('on_timeout')}")


def _fact(label: str, value: JsonValue, *, limit: int) -> None:
    if value not in (None, "", [], {}):
        note(f"  {label:<9} {short_json(value, limit=limit)}")
