"""Asks at the terminal: who wants what and why, and a person's answer."""

import asyncio
import contextlib
import json
from collections.abc import Sequence

import click

from mosaic.cli.client import Client
from mosaic.cli.output import note, plain, short_json
from mosaic.cli.terminal import read_line
from mosaic.core.errors import Conflict, InvalidInput, MosaicError, PermissionDenied
from mosaic.core.values import JsonObject, JsonValue

__all__ = [
    "ask",
    "edited_in_editor",
    "pairs",
    "show_approval",
    "show_problem",
    "show_yes",
    "value_of",
    "votes_of",
    "who_may_answer",
]

_SHOWN_LINES = 40
_ENDS = ("approval.decided", "approval.expired")
_SCOPES = {"r": "run", "run": "run", "a": "always", "always": "always"}


async def ask(client: Client, approval_id: str) -> None:
    """Show one ask and send the answer; says so when somebody else was faster."""
    approval = await client.approval(approval_id)
    if approval["status"] != "pending":
        return
    show_approval(approval)
    while True:
        try:
            decision = await _decision(client, approval)
            answered = await client.decide(approval_id, decision)
        except InvalidInput as error:
            show_problem(error)  # and ask again
            continue
        except Conflict as error:
            show_problem(error)
            return
        except PermissionDenied as error:
            show_problem(error)
        else:
            if answered["status"] != "pending":
                return
        note(f"  It waits for others: {who_may_answer(await client.approval(approval_id))}")
        await _decided(client, approval)
        return


async def _decided(client: Client, approval: JsonObject) -> None:
    """Wait until others have decided; this person has said what they can."""
    run_id, approval_id = approval["run_id"], approval["id"]
    seq = (await client.approvals(status="pending", run_id=run_id, limit=1))["seq"]
    if (await client.approval(approval_id))["status"] != "pending":
        return
    async with contextlib.aclosing(client.events(run_id=run_id, after=seq, follow=True)) as events:
        async for event in events:
            if event["type"] in _ENDS and event["data"].get("approval") == approval_id:
                return


async def _decision(client: Client, approval: JsonObject) -> JsonObject:
    detail: JsonObject = approval.get("detail") or {}
    decision: JsonObject = {"approve": True}
    is_tool = approval["kind"] == "tool"
    more = "[e]dit, for this [r]un, [a]lways, " if is_tool else ""
    while True:
        answer = (await read_line(f"Approve? [y]es, [n]o, {more}[d]etails: ")).strip().lower()
        if answer in ("y", "yes", "n", "no"):
            break
        if answer in ("d", "details"):
            note(plain(json.dumps(detail, ensure_ascii=False, indent=2)))
        elif is_tool and answer in ("e", "edit"):
            decision |= await _edited(client, approval["id"], decision)
        elif is_tool and answer in _SCOPES:
            lasting = await _lasting(client, approval["id"], decision, _SCOPES[answer])
            if lasting is not None:
                return lasting
    if answer.startswith("n"):
        return {"approve": False, "note": await read_line("Why not (optional): ") or None}
    if choices := detail.get("choices"):
        return {"approve": True, "answer": await _choice(choices)}
    if approval["kind"] == "ask" and (text := await read_line("Answer (optional): ")):
        decision["answer"] = value_of(text)
    return decision


async def _edited(client: Client, approval_id: str, decision: JsonObject) -> JsonObject:
    """Let the person edit the arguments and see what those would do; empty when they leave them alone."""
    before = await client.preview_approval(approval_id, _wanted(decision))
    try:
        arguments = await asyncio.to_thread(edited_in_editor, before["arguments"])
        if arguments is None:
            note("  The arguments are left as they are.")
            return {}
        preview = await client.preview_approval(approval_id, {"arguments": arguments})
    except MosaicError as error:
        show_problem(error)
        return {}
    show_yes(preview)
    return {"arguments": arguments}


async def _lasting(client: Client, approval_id: str, decision: JsonObject, scope: str) -> JsonObject | None:
    """Let the person say for which calls the yes shall hold; None when they do not want it after all."""
    text = await read_line("For which calls (path=src/**; empty: with exactly these arguments): ")
    try:
        match = pairs(text.split(), option="the pattern")
        wanted: JsonObject = {**_wanted(decision), "scope": scope, "match": match}
        preview = await client.preview_approval(approval_id, wanted)
    except MosaicError as error:
        show_problem(error)
        return None
    show_yes(preview)
    if (await read_line("Keep this rule? [y]es, [n]o: ")).strip().lower() not in ("y", "yes"):
        return None
    return {"approve": True, **wanted}


def _wanted(decision: JsonObject) -> JsonObject:
    return {key: decision[key] for key in ("arguments",) if key in decision}


async def _choice(choices: list[JsonValue]) -> JsonValue:
    for number, choice in enumerate(choices, 1):
        note(f"  {number}  {short_json(choice, limit=200)}")
    while True:
        text = (await read_line(f"Which [1-{len(choices)}]: ")).strip()
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(choices):
            return choices[int(text) - 1]
        if text in choices:
            return text


def value_of(text: str) -> JsonValue:
    """Return a text as the JSON it is, else as the text it is."""
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def pairs(given: Sequence[str], *, option: str, texts: bool = True) -> JsonObject:
    """Return ``name=value`` items as an object.

    Args:
        given: the items.
        option: where they were given, for messages.
        texts: values stay texts unless they are numbers, booleans, objects or lists; else they are JSON where they can.

    Raises:
        InvalidInput: if one has no name.
    """
    found: JsonObject = {}
    for item in given:
        name, separator, text = item.partition("=")
        if not separator or not name:
            raise InvalidInput(f"{item!r} in {option} is no name=value.", hint="For example: path=src/**")
        value = value_of(text)
        found[name] = text if texts and isinstance(value, str) else value
    return found


def edited_in_editor(arguments: JsonObject | None) -> JsonObject | None:
    """Open arguments in the editor of the environment; return the new ones, None when they were left alone.

    Raises:
        InvalidInput: if they cannot be edited here, or what was saved is no JSON object.
    """
    if arguments is None:
        raise InvalidInput(
            "The arguments are too large to be edited here.", hint="Give all of them: --arguments '{...}'"
        )
    try:
        text = click.edit(json.dumps(arguments, ensure_ascii=False, indent=2) + "\n", extension=".json")
    except click.ClickException as error:
        raise InvalidInput(
            f"The editor cannot be used: {error.message}", hint="Set EDITOR, or use --set name=value."
        ) from None
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"What was saved is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInput("Arguments are a JSON object.")
    return None if value == arguments else value


def show_problem(error: MosaicError) -> None:
    """Print an error beside the question it is about."""
    note(click.style(f"  {plain(error.message)}", fg="yellow"))
    for problem in error.problems if isinstance(error, InvalidInput) else ():
        note(f"    {plain(str(problem))}")
    if error.hint:
        note(f"    {plain(error.hint)}")


def show_yes(preview: JsonObject) -> None:
    """Print what a yes would mean: edited arguments with what they would do, and the calls it would hold for."""
    if preview["edited"]:
        note(click.style("  With the edited arguments:", bold=True))
        _show_what({"arguments": preview["arguments"], **preview["detail"]})
    if preview["holds_for"]:
        note(
            click.style("  This yes lasts:", bold=True) + f" {short_json(preview['holds_for'], limit=1_000)}"
        )
        note("    It becomes a rule that anyone can see and revoke; whatever else is called is asked about.")


def show_approval(approval: JsonObject) -> None:
    """Print who asks for what, why, who may answer, and what follows from either answer."""
    detail: JsonObject = approval.get("detail") or {}
    note("")
    title = short_json(str(approval["title"]), limit=500)
    note(click.style(title, bold=True) + click.style(f"  {approval['id']}", dim=True))
    for label, key in (("asked by", "agent"), ("tool", "tool"), ("risk", "risk"), ("why", "why")):
        _fact(label, detail.get(key), limit=600)
    _show_what({key: value for key, value in detail.items() if key != "risk"})
    for label, key in (("so far", "cost_so_far"), ("on yes", "on_approve"), ("on no", "on_reject")):
        _fact(label, detail.get(key), limit=300)
    _fact("who", who_may_answer(approval), limit=300)
    for vote in approval.get("votes") or ():
        said = f"{'yes' if vote['approve'] else 'no'}{', with edited arguments' if vote['edited'] else ''}"
        remark = f": {vote['note']}" if vote["note"] else ""
        _fact("vote", f"{vote['actor']} says {said}{remark}", limit=300)
    _fact("rule", approval.get("rule"), limit=100)
    if approval.get("expires_at"):
        note(f"  {'expires':<9} {approval['expires_at']}, then: {approval.get('on_timeout')}")


def _show_what(detail: JsonObject) -> None:
    """Print what a call would do."""
    _fact("risk", detail.get("risk"), limit=100)
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


def who_may_answer(approval: JsonObject) -> str:
    """Return who may answer, and how many must."""
    who = " or ".join(approval["roles"]) if approval["roles"] else "any person"
    if approval["quorum"] > 1:
        rule = "must say yes" if approval["counting"] == "veto" else "must vote"
        return f"{approval['quorum']} people ({who}) {rule}; {votes_of(approval)}"
    return f"{who}, not {approval['requested_by']}" if approval["four_eyes"] else who


def votes_of(approval: JsonObject) -> str:
    """Return how many have said yes and no."""
    yes = sum(bool(vote["approve"]) for vote in approval["votes"])
    return f"{yes} yes, {len(approval['votes']) - yes} no"


def _fact(label: str, value: JsonValue, *, limit: int) -> None:
    if value not in (None, "", [], {}):
        note(f"  {label:<9} {short_json(value, limit=limit)}")
