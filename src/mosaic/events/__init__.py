"""What happened: the journal of events and effects, and the bus that wakes who waits for them."""

from mosaic.events.bus import Bus, LocalBus, Subscription
from mosaic.events.journal import Finish, Journal, events_topic
from mosaic.events.open import open_bus
from mosaic.events.postgres_bus import PostgresBus
from mosaic.events.schemas import Event, NewEvent, PreparedEvent, RecordedEffect
from mosaic.events.sqlite_bus import SqliteBus

__all__ = [
    "Bus",
    "Event",
    "Finish",
    "Journal",
    "LocalBus",
    "NewEvent",
    "PostgresBus",
    "PreparedEvent",
    "RecordedEffect",
    "SqliteBus",
    "Subscription",
    "events_topic",
    "open_bus",
]
