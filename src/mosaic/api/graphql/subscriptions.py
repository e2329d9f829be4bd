"""What can be followed: the journal by topic, from any place on, each event once and in order."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, get_args

import strawberry

from mosaic.api.graphql import nouns
from mosaic.api.graphql.context import Info
from mosaic.api.graphql.documents import many
from mosaic.api.graphql.scalars import Long
from mosaic.api.topics import TOPICS, TopicName, find_topic, follow
from mosaic.collaboration import presence_topic
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["Subscription"]

_LOOK_AGAIN_S = 30.0


async def events(
    info: Info, topic: str = "all", subject: str | None = None, after: Long | None = None
) -> AsyncGenerator[Any]:
    asked = info.context
    if topic not in get_args(TopicName):
        raise InvalidInput(f"There is no topic {topic[:40]!r}.", hint=f"One of: {', '.join(TOPICS)}.")
    if after is not None and after < 0:
        raise InvalidInput("`after` is a place in the journal, from 0.")
    found = await find_topic(asked.app, asked.ctx, topic, subject)  # type: ignore[arg-type]  # checked above
    async with contextlib.aclosing(follow(asked.feed, found, after=after)) as entries:
        async for entry in entries:
            yield entry.event


async def viewers(info: Info, subject: strawberry.ID) -> AsyncGenerator[Any]:
    asked, said = info.context, None
    with asked.app.bus.subscribe(presence_topic(asked.ctx.tenant)) as subscription:
        while True:
            found: list[JsonObject] = await asked.comments.viewers(asked.ctx, [str(subject)])
            if found != said:
                said = found
                yield found
            await subscription.wait(timeout_s=_LOOK_AGAIN_S)
            await asyncio.sleep(0)


def _followed(resolver: Any, kind: Any, description: str) -> Any:
    return strawberry.subscription(resolver=resolver, graphql_type=kind, description=description)


@strawberry.type(description="What can be followed.")
class Subscription:
    """What can be followed."""

    events: Any = _followed(
        events,
        nouns.Event,
        "Events of a topic: all, run, plan, project (with `subject`) or approvals; after a place, or from now on.",
    )
    viewers: Any = _followed(viewers, many(nouns.Viewer), "Who looks at something, whenever that changes.")
