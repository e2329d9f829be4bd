from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mosaic.core.clock import now
from mosaic.core.context import Context
from mosaic.core.values import JsonObject
from mosaic.events import Bus, Event, Journal, NewEvent
from mosaic.storage import Database
from mosaic.webhooks import (
    Deliverer,
    NewWebhook,
    SecretMaker,
    SignedEvents,
    Webhook,
    Webhooks,
    WebhookSettings,
)
from tests.webhooks.receiver import Receiver

KEY = "k" * 40
SETTINGS = WebhookSettings(allowed_hosts=("127.0.0.1",), retry_s=(60.0, 600.0))


@dataclass
class Time:
    """A clock that stands still until it is moved."""

    moment: datetime = field(default_factory=now)

    def __call__(self) -> datetime:
        return self.moment

    def passes(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Bench:
    """Subscriptions and their deliverer over one database."""

    database: Database
    journal: Journal
    bus: Bus
    ctx: Context
    time: Time = field(default_factory=Time)
    settings: WebhookSettings = SETTINGS

    def __post_init__(self) -> None:
        self.secrets = SecretMaker(KEY)
        self.webhooks = self.service()
        self.deliverer = self.process("node-1")

    def service(self, key: str = KEY) -> Webhooks:
        return Webhooks(
            self.database,
            self.journal,
            self.bus,
            secrets=SecretMaker(key),
            settings=self.settings,
            clock=self.time,
        )

    def process(self, owner: str, *, key: str = KEY, alone: bool = False, **changes: Any) -> Deliverer:
        settings = replace(self.settings, **changes)
        form = SignedEvents(SecretMaker(key), max_body_bytes=settings.max_body_bytes, clock=self.time)
        return Deliverer(
            self.database,
            self.journal,
            self.bus,
            settings=settings,
            forms={"event": form},
            owner=owner,
            alone=alone,
            clock=self.time,
        )

    async def subscribe(self, url: str, name: str = "sink", **more: Any) -> tuple[Webhook, str]:
        return await self.webhooks.create(self.ctx, NewWebhook(name=name, url=url, **more))

    async def happens(self, *types: str, data: JsonObject | None = None, project: str = "p1") -> list[Event]:
        ctx = replace(self.ctx, project=project)
        events = [NewEvent(kind, data or {"n": number}, run_id="run_1") for number, kind in enumerate(types)]
        async with self.database.transaction() as tx:
            return await self.journal.append(tx, ctx, events)

    async def delivered(self, webhook: Webhook, deliverer: Deliverer | None = None) -> float | None:
        """Deliver what is due now."""
        return await (deliverer or self.deliverer).work(self.ctx, webhook.id)

    async def told(self, kind: str) -> list[Event]:
        """The events of one type in the journal."""
        return await self.journal.read(self.ctx, types=[kind])


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(database: Database, journal: Journal, bus: Bus, ctx: Context) -> MakeBench:
    def make(**changes: Any) -> Bench:
        return Bench(database, journal, bus, ctx, settings=replace(SETTINGS, **changes))

    return make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().open() as receiver:
        yield receiver
