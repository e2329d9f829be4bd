"""A tool of the storm: tells the recorder something, under the effect's idempotency key."""

import json
import urllib.request

from mosaic.engine import Safety
from mosaic.tools import Invocation, tool

__all__ = ["record"]


@tool(risk="external_api", effects=("network",), safety=Safety.KEYED)
def record(invocation: Invocation, recorder: str, what: str) -> dict[str, str]:
    """Tell the recorder `what`; the same key again is the same call to it, so a repetition is allowed."""
    request = urllib.request.Request(
        f"{recorder}/record",
        data=json.dumps({"run": invocation.run_id, "what": what}).encode(),
        headers={"Idempotency-Key": invocation.idempotency_key, "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return {"seen": str(json.load(answer)["answer"])}
