"""What clients follow: parts of the journal by topic."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, get_args

from mosaic.api.feed import Entry, Feed
from mosaic.app.build import Application
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["TOPICS", "Topic", "TopicName", "find_topic", "follow"]

TopicName = Literal["all", "run", "plan", "approvals", "project"]

TOPICS: tuple[TopicName, ...] = get_args(TopicName)


@dataclass(frozen=True, slots=True)
class Topic:
    """A part of a tenant's journal.

    Attributes:
        name: ``all``; ``run``, ``plan`` and ``project`` of `subject`; ``approvals``.
        subject: which run, plan or project; None for the others.
    """

    name: TopicName
    subject: str | None = None

    @property
    def run_id(self) -> str | None:
        """The run whose events these are, which the journal can look for itself."""
        return self.subject if self.name == "run" else None

    def holds(self, event: JsonObject) -> bool:
        """Say whether an event belongs to it."""
        if self.name == "run":
            return bool(event["run_id"] == self.subject)
        if self.name == "project":
            return bool(event["project"] == self.subject)
        if self.name == "approvals":
            return str(event["type"]).startswith("approval.")
        if self.name == "plan":
            data = event["data"]
            return self.subject in (data.get("plan"), data.get("plan_id"))
        return True


async def find_topic(app: Application, ctx: Context, name: TopicName, subject: str | None) -> Topic:
    """Return a topic, once what it is about is known to be there for the caller.

    Raises:
        NotFound: if the tenant has no such run or plan.
        InvalidInput: if the topic needs a subject and has none, or the other way round.
    """
    needs = name in ("run", "plan", "project")
    if needs != bool(subject):
        wanted = f"the {name} it is about" if needs else "no subject"
        raise InvalidInput(f"The topic {name!r} takes {wanted}.", hint="Give or leave out `subject`.")
    if name == "run" and subject:
        await app.operations.event_page(ctx, run_id=subject, after=2**62, limit=1)
    if name == "plan" and subject:
        await app.plans.plan(ctx, subject)
    return Topic(name, subject)


async def follow(feed: Feed, topic: Topic, *, after: int | None) -> AsyncGenerator[Entry]:
    """Yield the events of a topic after a place, each once and in order, for ever; None begins now.

    Close it (``contextlib.aclosing``) when done.
    """
    wake = asyncio.Event()
    async with feed.following(wake):
        place = feed.head if after is None else after
        while True:
            wake.clear()
            entries, reached = await feed.after(place, run_id=topic.run_id)
            for entry in entries:
                if topic.holds(entry.event):
                    yield entry
            if reached == place:
                await wake.wait()
            place = reached
