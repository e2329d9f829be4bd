"""The endpoint that stands for a provider in every test: the one that the conformance kit gives plugin authors."""

from mosaic.providers.testing.endpoint import (
    Endpoint,
    Received,
    Reply,
    event_reply,
    json_reply,
    line_reply,
    running_endpoint,
    unused_url,
)

__all__ = [
    "Endpoint",
    "Received",
    "Reply",
    "event_reply",
    "json_reply",
    "line_reply",
    "running_endpoint",
    "unused_url",
]
