"""One client of `/api/v1/ws`: a cursor over the journal for each subscription, presence, and comments."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mosaic.api.feed import Feed
from mosaic.api.live_socket.channel import Channel, CloseCode, Gone, end_tasks, error_json
from mosaic.api.live_socket.messages import (
    Authenticate,
    CommentDelete,
    CommentEdit,
    CommentList,
    CommentNew,
    Look,
    Ping,
    Said,
    Subscribe,
    Unsubscribe,
    read_message,
)
from mosaic.api.topics import Topic, find_topic
from mosaic.app.build import Application
from mosaic.app.comment_operations import CommentOperations
from mosaic.collaboration import presence_topic
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, InvalidInput, LimitExceeded, MosaicError, NotFound
from mosaic.core.ids import new_id
from mosaic.core.values import JsonObject

__all__ = ["HEARTBEAT_S", "MOST_SUBSCRIPTIONS", "LiveSocket"]

HEARTBEAT_S = 15.0
"""How often a quiet socket says that it lives, and how far each subscription has come."""

MOST_SUBSCRIPTIONS = 50
"""How many subscriptions one socket may have."""

_MOST_MISTAKES = 20
_LOOK_AGAIN_S = 30.0


@dataclass(slots=True)
class _Subscription:
    """A cursor over the journal.

    Attributes:
        after: everything up to this place was sent.
    """

    topic: Topic
    after: int
    head: str


@dataclass(slots=True)
class _Watch:
    """What somebody wants to know the viewers of, and what was said last."""

    subject: str
    said: list[JsonObject] | None = field(default=None)


class LiveSocket:
    """The conversation with one client that is known.

    Args:
        channel: to the client.
        app: the installation.
        ctx: who it is.
        feed: the journal of its tenant.
        comments: comments and presence.
    """

    def __init__(
        self, channel: Channel, app: Application, ctx: Context, *, feed: Feed, comments: CommentOperations
    ) -> None:
        self._channel = channel
        self._app = app
        self._ctx = ctx
        self._feed = feed
        self._comments = comments
        self._viewer = new_id("view")
        self._looks = False
        self._subscriptions: dict[str, _Subscription] = {}
        self._watches: dict[str, _Watch] = {}
        self._watching: asyncio.Task[None] | None = None
        self._stale = False
        self._wake = asyncio.Event()
        self._answers: dict[type, Callable[[Any], Awaitable[JsonObject | None]]] = {
            Authenticate: self._authenticate,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            Look: self._look,
            Ping: self._ping,
            CommentNew: self._comment,
            CommentEdit: self._edit,
            CommentDelete: self._delete,
            CommentList: self._list,
        }

    async def run(self) -> None:
        """Talk with the client until it, or this server, goes."""
        async with self._feed.following(self._wake):
            await self._channel.send(self._welcome())
            tasks = [
                asyncio.create_task(self._listen()),
                asyncio.create_task(self._push()),
                asyncio.create_task(self._app.stopping.wait()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._end(tasks)

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        if self._watching is not None:
            tasks.append(self._watching)
        await end_tasks(tasks)
        if self._looks:
            with contextlib.suppress(MosaicError):
                await self._comments.look(self._ctx, self._viewer, None)
        await self._channel.close(CloseCode.GOING_AWAY, "the server stops, or failed")

    def _welcome(self) -> JsonObject:
        return {
            "type": "welcome",
            "protocol": "mosaic.v1",
            "tenant": self._ctx.tenant,
            "project": self._ctx.project,
            "actor": str(self._ctx.actor),
            "viewer": self._viewer,
            "seq": self._feed.head,
            "heartbeat_s": HEARTBEAT_S,
            "most_subscriptions": MOST_SUBSCRIPTIONS,
        }

    # What the client says

    async def _listen(self) -> None:
        mistakes = 0
        while True:
            identifier: str | None = None
            try:
                said = read_message(await self._channel.receive())
                identifier = getattr(said, "id", None)
                answer = await self._answer(said)
                mistakes = 0
            except MosaicError as error:
                mistakes += isinstance(error, InvalidInput)
                answer = {"type": "error", "id": identifier, "error": error_json(error)}
            if answer is not None:
                await self._channel.send(answer)
            if mistakes >= _MOST_MISTAKES:
                await self._channel.close(CloseCode.BAD_MESSAGE, "too many messages that say nothing")
                raise Gone

    async def _answer(self, said: Said) -> JsonObject | None:
        return await self._answers[type(said)](said)

    async def _authenticate(self, _said: Authenticate) -> JsonObject:
        raise Conflict("You are known already.", hint="Open another socket to be somebody else.")

    async def _subscribe(self, said: Subscribe) -> JsonObject | None:
        if said.id in self._subscriptions or said.id in self._watches:
            raise Conflict(f"There is a subscription {said.id!r} already.", hint="Give each its own `id`.")
        if len(self._subscriptions) + len(self._watches) >= MOST_SUBSCRIPTIONS:
            raise LimitExceeded(
                f"One socket has at most {MOST_SUBSCRIPTIONS} subscriptions.",
                hint="End some, or follow a larger topic.",
            )
        if said.topic == "presence":
            if said.subject is None:
                raise InvalidInput("Presence is of something.", hint="Give the id of it as `subject`.")
            self._watch(said.id, said.subject)
            return {"type": "subscribed", "id": said.id, "after": None}
        topic = await find_topic(self._app, self._ctx, said.topic, said.subject)
        after = self._feed.head if said.after is None else said.after
        # Before the first event of it: what answers a message comes before what follows from it.
        await self._channel.send({"type": "subscribed", "id": said.id, "after": after})
        head = f'{{"type": "event", "id": {json.dumps(said.id)}, "event": '
        self._subscriptions[said.id] = _Subscription(topic, after, head)
        self._wake.set()
        return None

    async def _unsubscribe(self, said: Unsubscribe) -> JsonObject:
        found = self._subscriptions.pop(said.id, None) or self._watches.pop(said.id, None)
        if found is None:
            raise NotFound(f"There is no subscription {said.id!r}.")
        after = found.after if isinstance(found, _Subscription) else None
        return {"type": "unsubscribed", "id": said.id, "after": after}

    async def _look(self, said: Look) -> JsonObject:
        shown = said.subject.model_dump() if said.subject is not None else None
        await self._comments.look(self._ctx, self._viewer, shown)
        self._looks = shown is not None
        return {"type": "looking", "id": said.id, "subject": shown}

    async def _ping(self, said: Ping) -> JsonObject:
        return {"type": "pong", "id": said.id}

    async def _comment(self, said: CommentNew) -> JsonObject:
        wanted: JsonObject = {
            "subject": said.subject.model_dump(),
            "body": said.body,
            "reply_to": said.reply_to,
        }
        return _result(said.id, await self._comments.add_comment(self._ctx, wanted))

    async def _edit(self, said: CommentEdit) -> JsonObject:
        return _result(
            said.id,
            await self._comments.edit_comment(
                self._ctx, said.comment, {"body": said.body}, base_revision=said.base_revision
            ),
        )

    async def _delete(self, said: CommentDelete) -> JsonObject:
        return _result(said.id, await self._comments.delete_comment(self._ctx, said.comment))

    async def _list(self, said: CommentList) -> JsonObject:
        subject = said.subject.model_dump()
        page = await self._comments.comments(self._ctx, subject, limit=said.limit, cursor=said.cursor)
        return _result(said.id, page)

    # What the client is told

    async def _push(self) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + HEARTBEAT_S
        while True:
            self._wake.clear()
            while await self._push_events():
                pass
            if self._stale:
                self._stale = False
                await self._push_viewers()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, beat_at - loop.time())):
                    await self._wake.wait()
            if loop.time() >= beat_at:
                beat_at = loop.time() + HEARTBEAT_S
                await self._beat()

    async def _push_events(self) -> bool:
        """Send some events of each subscription; return whether there may be more."""
        moved = False
        for name, subscription in list(self._subscriptions.items()):
            entries, reached = await self._feed.after(subscription.after, run_id=subscription.topic.run_id)
            for entry in entries:
                if self._subscriptions.get(name) is not subscription:
                    break
                if subscription.topic.holds(entry.event):
                    await self._channel.send_text(f"{subscription.head}{entry.text}}}")
                subscription.after = entry.seq
            moved = moved or reached > subscription.after or bool(entries)
            subscription.after = max(subscription.after, reached)
        return moved

    async def _beat(self) -> None:
        positions = {name: one.after for name, one in self._subscriptions.items()}
        await self._channel.send({"type": "heartbeat", "seq": self._feed.head, "positions": positions})
        if self._looks:
            await self._comments.keep(self._ctx)

    # Presence

    def _watch(self, name: str, subject: str) -> None:
        self._watches[name] = _Watch(subject)
        if self._watching is None:
            self._watching = asyncio.create_task(self._notice_viewers())
        self._stale = True
        self._wake.set()

    async def _notice_viewers(self) -> None:
        with self._app.bus.subscribe(presence_topic(self._ctx.tenant)) as subscription:
            while True:
                self._stale = True
                self._wake.set()
                # A node that died says nothing: its viewers are missed after a while.
                await subscription.wait(timeout_s=_LOOK_AGAIN_S)

    async def _push_viewers(self) -> None:
        for name, watch in list(self._watches.items()):
            viewers = await self._comments.viewers(self._ctx, [watch.subject])
            if viewers != watch.said:
                watch.said = viewers
                await self._channel.send(
                    {"type": "presence", "id": name, "subject": watch.subject, "viewers": viewers}
                )


def _result(identifier: str, result: JsonObject) -> JsonObject:
    return {"type": "result", "id": identifier, "result": result}
