"""The kit for authors of plugins: an endpoint that plays a vendor, the checks of conformance, a plugin to start from."""

from mosaic.providers.testing.conformance import Finding, Report, check_plugin
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
from mosaic.providers.testing.scaffold import scaffold

__all__ = [
    "Endpoint",
    "Finding",
    "Received",
    "Reply",
    "Report",
    "check_plugin",
    "event_reply",
    "json_reply",
    "line_reply",
    "running_endpoint",
    "scaffold",
    "unused_url",
]
