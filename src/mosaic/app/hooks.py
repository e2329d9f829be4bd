"""Messages that come in from outside start a workflow or send a signal, each once, as the settings say."""

import asyncio
import functools
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from mosaic.app.board_workflows import start_workflow
from mosaic.app.build import Application
from mosaic.app.hook_sections import HookSection, HookSignalSection
from mosaic.app.requests import run_request
from mosaic.core.clock import now
from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput, MosaicError, NotFound, Problem, Unauthenticated
from mosaic.core.values import JsonObject, JsonValue
from mosaic.events import NewEvent
from mosaic.observability import get_logger
from mosaic.storage import Duplicate
from mosaic.webhooks import Incoming, Receipt, Receipts, matcher, proven

__all__ = ["hook_messages", "hooks", "largest_message", "receive"]

_log = get_logger(__name__)
_receipts = Receipts()
_FORM = "application/x-www-form-urlencoded"
_LONGEST_ERROR = 1_000


async def hooks(app: Application, _ctx: Context) -> JsonObject:
    """Return where messages come in, and what they do."""
    return {
        "items": [
            {
                "name": name,
                "verify": section.verify,
                "events": list(section.events),
                "workflow": section.workflow,
                "signal": section.signal.name if section.signal is not None else None,
                "project": section.project or app.settings.project,
                "problem": None
                if _secret(app, section)
                else f"The variable {section.secret.secret} is not set.",
            }
            for name, section in app.settings.hooks.items()
        ]
    }


async def hook_messages(app: Application, ctx: Context, name: str, *, limit: int) -> JsonObject:
    """Return the newest messages that came in at a hook.

    Raises:
        NotFound: if the settings name no such hook.
    """
    if name not in app.settings.hooks:
        raise NotFound(f"There is no hook {name[:80]!r}.", hint="The settings name them: hooks.")
    async with app.database.transaction(read_only=True) as tx:
        found = await _receipts.newest(tx, ctx.tenant, name, limit=limit)
    return {"items": [receipt.to_json() for receipt in found]}


def largest_message(app: Application, name: str) -> int:
    """Return how long a message may be, in bytes; an unknown hook takes the shortest."""
    section = app.settings.hooks.get(name)
    return section.max_body_bytes if section is not None else 1_024


async def receive(app: Application, name: str, headers: Mapping[str, str], body: bytes) -> JsonObject:
    """Take a message.

    Args:
        app: the installation.
        name: which hook it came to.
        headers: of the message, names in lower case.
        body: as it came.

    Raises:
        Unauthenticated: if it does not prove who sent it, or there is no such hook.
        InvalidInput: if it holds nothing that can be started or told.
        NotFound: if there is no such workflow, or no such run.
    """
    section, incoming = _proven(app, name, headers, body)
    project = section.project or app.settings.project
    ctx = Context(app.settings.tenant, project, Actor("webhook", f"hook:{name}"))
    receipt = Receipt(name, incoming.delivery_id, now(), len(body), "taken", None, None)
    known = await _noted(app, ctx, section, receipt)
    if known is not None and known.status in ("done", "ignored"):
        return {"status": "duplicate", "delivery": known.delivery_id, "run_id": known.run_id}
    if not matcher(section.events)(incoming.kind):
        await _ended(app, ctx, receipt, "ignored", kind=incoming.kind)
        return {"status": "ignored", "delivery": incoming.delivery_id, "run_id": None}
    again = known is not None and known.status == "taken"
    try:
        message = _message(headers, body)
        if section.signal is not None:
            run_id = await _signalled(app, ctx, section.signal, message, again=again)
        else:
            run_id = await _started(app, ctx, section, message, receipt)
    except MosaicError as error:
        await _ended(app, ctx, receipt, "failed", kind=incoming.kind, error=error.message)
        raise
    await _ended(app, ctx, receipt, "done", kind=incoming.kind, run_id=run_id)
    return {"status": "accepted", "delivery": incoming.delivery_id, "run_id": run_id}


def _proven(
    app: Application, name: str, headers: Mapping[str, str], body: bytes
) -> tuple[HookSection, Incoming]:
    section = app.settings.hooks.get(name)
    secret = _secret(app, section) if section is not None else ""
    if section is None or not secret:
        if section is not None:
            _log.warning("the hook %s takes nothing: the variable %s is not set", name, section.secret.secret)
        raise _stranger()
    app.redactor.add(secret)
    holder = f"The variable {section.secret.secret}"
    try:
        incoming = proven(
            section.verify,
            secret,
            headers,
            body,
            moment=now(),
            tolerance_s=section.tolerance_s,
            name=holder,
        )
    except InvalidInput as error:  # how the secret is misset is not for strangers
        _log.warning("the hook %s takes nothing: %s", name, error.message)
        raise _stranger() from None
    return section, incoming


def _secret(app: Application, section: HookSection) -> str:
    return app.event_webhooks.environ.get(section.secret.secret, "")


def _stranger() -> Unauthenticated:
    return Unauthenticated(
        "The message is not taken: it does not prove who sent it.",
        hint="The settings of the server say where messages come in, and how they are proven: hooks.",
    )


async def _noted(app: Application, ctx: Context, section: HookSection, receipt: Receipt) -> Receipt | None:
    """Note a message before anything is done with it; return what is known when it came before."""
    try:
        async with app.database.transaction() as tx:
            known = await _receipts.get(tx, ctx.tenant, receipt.hook, receipt.delivery_id)
            if known is None:
                before = receipt.received_at - timedelta(seconds=section.keep_s)
                await _receipts.forget(tx, ctx.tenant, receipt.hook, before=before)
                await _receipts.take(tx, ctx.tenant, receipt)
            return known
    except Duplicate:  # sent twice at the same moment: what follows happens once all the same
        return receipt


async def _ended(
    app: Application,
    ctx: Context,
    receipt: Receipt,
    status: str,
    *,
    kind: str,
    run_id: str | None = None,
    error: str | None = None,
) -> None:
    told = app.redactor.text(error)[:_LONGEST_ERROR] if error is not None else None
    data: JsonObject = {
        "hook": receipt.hook,
        "delivery": receipt.delivery_id,
        "type": kind or None,
        "size_bytes": receipt.size_bytes,
        "status": status,
        "error": told,
    }
    event = NewEvent("hook.failed" if status == "failed" else "hook.received", data, run_id=run_id)
    async with app.database.transaction() as tx:
        await _receipts.end(tx, ctx.tenant, receipt, status=status, run_id=run_id, error=told)
        await app.journal.append(tx, ctx, [event])


def _message(headers: Mapping[str, str], body: bytes) -> JsonValue:
    """Return what a message says; GitHub may send it as a form."""
    text: str | bytes = body
    if headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        try:
            text = parse_qs(body.decode(), max_num_fields=10).get("payload", [""])[0]
        except ValueError:
            text = ""
    try:
        message: JsonValue = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise InvalidInput("The message is no JSON.") from None
    return message


def _no_number(_text: str) -> float:
    raise ValueError("NaN and infinity are not JSON")


async def _started(
    app: Application, ctx: Context, section: HookSection, message: JsonValue, receipt: Receipt
) -> str:
    """Start the workflow, once for each message: a repeated start under the same id is the same run."""
    workflow = str(section.workflow)
    options: JsonObject = {"run_id": _run_id(ctx, receipt)}
    if section.input is not None:
        inputs: JsonObject = {**section.inputs, section.input: message}
    elif isinstance(message, dict):
        inputs = {**message, **section.inputs}
    else:
        raise InvalidInput(
            "The message is no object, so that its fields cannot be inputs.",
            hint="Name the input that gets it: `input` of the hook.",
        )
    if workflow.endswith((".yaml", ".yml", ".json")):
        path = app.settings.home.parent / workflow
        request = await asyncio.to_thread(
            functools.partial(run_request, path, inputs=inputs, options=options)
        )
        run = await app.operations.start_run(ctx, request)
    else:
        run = await start_workflow(app, ctx, workflow, inputs, options)
    return str(run["id"])


def _run_id(ctx: Context, receipt: Receipt) -> str:
    told = json.dumps([ctx.tenant, receipt.hook, receipt.delivery_id]).encode()
    return f"run_{hashlib.sha256(told).hexdigest()[:26]}"


async def _signalled(
    app: Application, ctx: Context, signal: HookSignalSection, message: JsonValue, *, again: bool
) -> str:
    run_id = _at(message, signal.run)
    try:
        await app.operations.signal(ctx, run_id, signal.name, message)
    except Conflict:
        if not again:
            raise
        # The first time it was sent, its sender was not told that it had arrived.
    return run_id


def _at(message: JsonValue, place: str) -> str:
    found: Any = message
    for name in place.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= 500:
        raise InvalidInput(
            "The message names no run.", problems=[Problem("here should be the id of a run", path=place)]
        )
    return found
