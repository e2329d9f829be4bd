"""What schemathesis does not know by itself: how lines of JSON are sent."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/jsonl")
def lines(_context: Any, value: Any) -> bytes:
    """Send a text as it is, and anything else as one line of JSON."""
    if isinstance(value, bytes):
        return value
    return str(value).encode(errors="surrogatepass")
