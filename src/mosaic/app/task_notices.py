"""Tells addresses how a run goes on: durable, at least once, signed, for as long as is reasonable.

A notice is an execution of the engine: it outlives the process, another node goes on with it, and a recorded delivery
is not made again. What is sent is made by whoever speaks the receiver's protocol, see `TaskNotices.render`.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2

from mosaic.core.clock import now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, LimitExceeded, MosaicError, NotFound, ToolFailed, Unavailable
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import EffectCall, Effects, Engine, Execution, Outcome, RetryPolicy, Safety
from mosaic.events import Journal, NewEvent
from mosaic.outbound import GuardedTransport, Poster, key_of, sign

__all__ = ["NOTICE_HANDLER", "Notice", "Rendered", "TaskNotices"]

NOTICE_HANDLER = "task_notice"

_PREFIX = "notice_"
_CONFIGS = "configs"
_MOST = 10
_MOST_URL, _MOST_SECRET, _MOST_ID = 2_000, 4_000, 200
_ENDS = frozenset({"run.succeeded", "run.failed", "run.cancelled"})
_SIGNING = "whsec_"
_TOKEN_HEADER = "x-a2a-notification-token"  # noqa: S105  # the name of a header
_RETRY = RetryPolicy(attempts=5, base_s=2.0, factor=4.0, max_s=300.0)
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is told of a run.

    Attributes:
        state: where it stands; the same state is told once.
        body: the message.
        media_type: of the body.
    """

    state: str
    body: bytes
    media_type: str


Render = Callable[[Context, str], Awaitable[Rendered]]


@dataclass(frozen=True, slots=True)
class Notice:
    """One address that is told of one run.

    Attributes:
        id: of the client's choice, unique for the run.
        scheme: of the `Authorization` header that is sent; empty when none is.
    """

    id: str
    url: str
    scheme: str = ""


class TaskNotices:
    """The addresses of runs, and what tells them.

    Register it with the engine as `NOTICE_HANDLER`.

    Args:
        journal: what happened, and which addresses there are.
        engine: keeps what is still to be told.
        redactor: learns the secrets.
        allowed_hosts: private hosts and networks that may be told all the same.
        retry: how often and when a delivery is tried again.
    """

    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        *,
        redactor: Redactor,
        allowed_hosts: Sequence[str] = (),
        retry: RetryPolicy = _RETRY,
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._redactor = redactor
        self._poster = Poster(allowed=allowed_hosts)
        # It only checks: what is sent is sent by the poster.
        self._guard = GuardedTransport(httpx2.AsyncBaseTransport(), allowed=allowed_hosts)
        self._retry = retry
        self._render: Render | None = None
        self._can_render = asyncio.Event()

    def render(self, how: Render) -> None:
        """Say how messages are made. Until then nothing is told: a process without that door waits for one with it."""
        self._render = how
        self._can_render.set()

    # -- which there are ----------------------------------------------------------------------------------------

    async def check(self, notice: Notice, *, token: str = "", credentials: str = "") -> None:
        """Check an address before anything is started for it.

        Raises:
            InvalidInput: if a part is wrong or too long.
            PolicyDenied: if the address may not be reached.
        """
        if not notice.url or len(notice.url) > _MOST_URL or len(notice.id) > _MOST_ID:
            raise InvalidInput(f"An address has 1 to {_MOST_URL} characters, its id at most {_MOST_ID}.")
        for text in (token, credentials, notice.scheme):
            # They become headers as they are.
            if len(text) > _MOST_SECRET or not text.isascii() or (text and not text.isprintable()):
                raise InvalidInput(
                    f"Tokens and credentials are at most {_MOST_SECRET} printable ASCII characters."
                )
        if token.startswith(_SIGNING):
            key_of(token, name="The token")
        await self._guard.admit(notice.url)

    async def add(
        self, ctx: Context, run_id: str, notice: Notice, *, token: str = "", credentials: str = ""
    ) -> Notice:
        """Have an address told of a run from now on; one with the same id takes the other's place.

        Args:
            ctx: whose run it is.
            run_id: which run.
            notice: the address; without an id it gets one.
            token: sent along as ``X-A2A-Notification-Token``; in the form ``whsec_...`` it is kept, and signs.
            credentials: for the `Authorization` header.

        Raises:
            LimitExceeded: if the run has too many.
            InvalidInput, PolicyDenied: as `check`.
        """
        await self.check(notice, token=token, credentials=credentials)
        number = secrets.token_hex(8)
        notice = Notice(notice.id or number, notice.url, notice.scheme)
        live = await self._live(ctx, run_id)
        before = [key for key, known in live.items() if known.id == notice.id]
        if len(live) - len(before) >= _MOST:
            raise LimitExceeded(f"A task tells at most {_MOST} addresses.", hint="Delete one.")
        effects = self._effects(ctx, run_id)
        await effects.remember(
            f"add:{number}", lambda: {"id": notice.id, "url": notice.url, "scheme": notice.scheme}
        )
        await self._engine.start(
            ctx.correlated(run_id),
            execution_id=f"{_PREFIX}{run_id}_{number}",
            run_id=f"{_PREFIX}{run_id}",
            path=f"told/{number}",
            handler=NOTICE_HANDLER,
            input={
                "run": run_id, "number": number, "url": notice.url, "token": token,
                "authorization": f"{notice.scheme} {credentials}" if notice.scheme and credentials else "",
            },
        )  # fmt: skip
        for key in before:
            await effects.remember(f"drop:{key}", lambda: True)
        return notice

    async def all(self, ctx: Context, run_id: str) -> list[Notice]:
        """Return the addresses of a run, oldest first."""
        return list((await self._live(ctx, run_id)).values())

    async def get(self, ctx: Context, run_id: str, notice_id: str) -> Notice:
        """Return one.

        Raises:
            NotFound: if the run has none of that id.
        """
        for known in await self.all(ctx, run_id):
            if known.id == notice_id:
                return known
        raise NotFound(f"The task {run_id} tells no address with the id {notice_id[:100]!r}.")

    async def drop(self, ctx: Context, run_id: str, notice_id: str) -> None:
        """Tell an address no more; nothing happens when there is none of that id."""
        effects = self._effects(ctx, run_id)
        for key, known in (await self._live(ctx, run_id)).items():
            if known.id == notice_id:
                await effects.remember(f"drop:{key}", lambda: True)

    def _effects(self, ctx: Context, run_id: str) -> Effects:
        return Effects.open(self._journal, ctx.correlated(run_id), f"{_PREFIX}{run_id}", path=_CONFIGS)

    async def _live(self, ctx: Context, run_id: str) -> dict[str, Notice]:
        """Return the addresses by the number of their execution. One that never began to be told does not count."""
        found = await self._journal.recorded(ctx, f"{_PREFIX}{run_id}", prefix=f"{_CONFIGS}#")
        begun = {item.path for item in await self._engine.executions(ctx, f"{_PREFIX}{run_id}")}
        live = {}
        for key, effect in found.items():
            verb, _, number = key.removeprefix(f"{_CONFIGS}#").partition(":")
            dropped = f"{_CONFIGS}#drop:{number}" in found
            if (
                verb == "add"
                and not dropped
                and f"told/{number}" in begun
                and isinstance(effect.result, dict)
            ):
                live[number] = Notice(**{name: str(value) for name, value in effect.result.items()})
        return live

    # -- telling ------------------------------------------------------------------------------------------------

    async def __call__(self, execution: Execution) -> JsonValue:
        """Tell one address of one run until that has ended, or the address is dropped or gone; again after a crash."""
        given: Any = execution.input
        for secret in filter(None, (given["token"], given["authorization"].partition(" ")[2])):
            self._redactor.add(secret)
        async with execution.effects.waiting():
            await self._can_render.wait()
            return await self._follow(execution, given)

    async def _follow(self, execution: Execution, given: Any) -> JsonValue:
        run_id, drop = str(given["run"]), f"{_CONFIGS}#drop:{given['number']}"
        told, last = 0, ""
        async with aclosing(self._journal.tail(execution.ctx, run_id=run_id)) as events:
            async for event in events:
                if not event.type.startswith(("run.", "approval.")):
                    continue
                if drop in await self._journal.recorded(execution.ctx, execution.run_id, prefix=drop):
                    return {"told": told, "dropped": True}
                try:
                    last = await self._tell(execution, f"tell/{event.seq}", run_id, last)
                    told += 1
                except ToolFailed as error:  # its own word that it wants no more
                    return {"told": told, "gone": error.message}
                except MosaicError as error:
                    # The next state is worth another try: it says all that this one did.
                    await self._note(execution, f"failed/{event.seq}", given, error)
                if event.type in _ENDS:
                    return {"told": told}
        raise AssertionError("a tail has no end")

    async def _tell(self, execution: Execution, name: str, run_id: str, last: str) -> str:
        """Tell how the run stands, unless that was told last; return what is told by now."""

        async def attempt(number: int) -> str:
            async def send(call: EffectCall) -> Outcome:
                assert self._render is not None  # noqa: S101  # it was waited for
                rendered = await self._render(execution.ctx, run_id)
                if rendered.state != last:
                    await self._send(execution.input, call.idempotency_key, rendered)
                return Outcome(rendered.state)

            return str(await execution.effects.effect(f"{name}/{number}", send, safety=Safety.REPEATABLE))

        return await execution.effects.retrying(name, attempt, self._retry)

    async def _note(self, execution: Execution, name: str, given: JsonObject, error: MosaicError) -> None:
        host = httpx2.URL(str(given["url"])).host
        shown: JsonObject = {"host": host, "error": error.message[:500]}
        event = NewEvent("notice.failed", shown, run_id=str(given["run"]))
        await execution.effects.emit(event, name=name)

    async def _send(self, given: JsonObject, message_id: str, rendered: Rendered) -> None:
        """Send one message.

        Raises:
            Unavailable: if it did not arrive and may the next time.
            InvalidInput: if it is refused.
            ToolFailed: if there is nobody any more.
        """
        url, token = str(given["url"]), str(given["token"])
        headers = {"content-type": rendered.media_type, "webhook-id": message_id}
        if token.startswith(_SIGNING):
            key = key_of(token, name="The token")
            headers |= sign(key, message_id=message_id, moment=now(), body=rendered.body)
        elif token:
            headers[_TOKEN_HEADER] = token
        if given["authorization"]:
            headers["authorization"] = str(given["authorization"])
        answer = await self._poster.post(url, headers=headers, body=rendered.body)
        if answer.error is None:
            return
        if answer.gone:
            raise ToolFailed("It wants to be told no more (410).")
        if answer.status is not None and answer.status < 500 and answer.status != _TOO_MANY:
            raise InvalidInput(answer.error)
        failed = Unavailable(answer.error)
        if answer.after_s is not None:
            failed.data["retry_after_s"] = min(answer.after_s, self._retry.max_s)
        raise failed
