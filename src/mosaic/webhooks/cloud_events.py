"""Events as CloudEvents 1.0 in structured form."""

import json
from typing import Any

from mosaic.core.values import JsonObject
from mosaic.events import Event

__all__ = ["MEDIA_TYPE", "envelope", "event_body"]

MEDIA_TYPE = "application/cloudevents+json"


def envelope(event: Event, *, data: JsonObject, subject: str | None) -> JsonObject:
    """Return the CloudEvent of an event; `sequence` is its place in the tenant's journal."""
    shown: JsonObject = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/mosaic/{event.tenant}/{event.project}",
        "type": f"mosaic.{event.type}",
        "time": event.occurred_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": str(event.seq),
        "data": data,
    }
    # An empty subject is no subject: the specification wants characters in it.
    return {**shown, "subject": subject} if subject else shown


def event_body(event: Event, *, most_bytes: int) -> bytes:
    """Return an event's message: its data is the event as the API shows it, or says that it is too long."""
    shown: dict[str, Any] = event.to_json()
    body = _encoded(envelope(event, data=shown, subject=event.run_id))
    if len(body) <= most_bytes:
        return body
    shown["data"] = {"$omitted": {"size_bytes": len(body), "reason": f"more than {most_bytes} bytes"}}
    return _encoded(envelope(event, data=shown, subject=event.run_id))


def _encoded(value: JsonObject) -> bytes:
    # ASCII: half of a surrogate pair, which a model may emit, has no form in UTF-8.
    return json.dumps(value, separators=(",", ":")).encode()
