"""Standard Webhooks signatures: the three headers of a message, and whether they are right.

The library does the arithmetic and compares in constant time. Around it: the key must be one (it would take any text
for base64), and whatever a stranger puts into the headers ends in one error.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from standardwebhooks import Webhook, WebhookVerificationError

from mosaic.core.errors import InvalidInput, Unauthenticated

__all__ = ["MOST_TOLERANCE_S", "key_of", "secret_of", "sign", "verify"]

MOST_TOLERANCE_S = 300.0
"""How far the sender's clock may be from ours, at most; the standard's own bound."""

_PREFIX = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64
_MOST_ID = 200
_MOST_SIGNATURES = 1_000


def key_of(secret: str, *, name: str) -> bytes:
    """Return the key that a secret in the standard's form (``whsec_`` and base64) holds.

    Args:
        secret: the secret.
        name: the variable it stands in, for messages.

    Raises:
        InvalidInput: if it is none.
    """
    try:
        key = (
            base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
            if secret.startswith(_PREFIX)
            else b""
        )
    except binascii.Error:
        key = b""
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise InvalidInput(
            f"{name} holds no webhook secret.",
            hint=f"`{_PREFIX}` and {_LEAST_BYTES} to {_MOST_BYTES} random bytes as base64: "
            f"echo {_PREFIX}$(openssl rand -base64 32)",
        )
    return key


def secret_of(key: bytes) -> str:
    """Return the secret that holds a key."""
    return _PREFIX + base64.b64encode(key).decode()


def sign(
    key: bytes, *, message_id: str, moment: datetime, body: bytes, old_key: bytes | None = None
) -> dict[str, str]:
    """Return the headers of a message; `moment` is in UTC. While a key is replaced, both sign."""
    text = body.decode()
    signatures = [Webhook(each).sign(message_id, moment, text) for each in (key, old_key) if each is not None]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def verify(
    key: bytes, headers: Mapping[str, str], body: bytes, *, moment: datetime, tolerance_s: float
) -> str:
    """Return the id of a message that was signed with `key` a short while before `moment`, or after.

    Raises:
        Unauthenticated: if it was not, whatever is wrong with it.
    """
    message_id = headers.get("webhook-id", "")
    sent, signatures = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
    if not (0 < len(message_id) <= _MOST_ID and message_id.isascii() and message_id.isprintable()):
        raise _refused("the header webhook-id is missing or too long")
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
        raise _refused("the header webhook-timestamp is no number of seconds")
    if abs(moment.timestamp() - int(sent)) > min(tolerance_s, MOST_TOLERANCE_S):
        raise _refused("it was signed too long ago, or its sender's clock is wrong")
    try:
        named = {
            "webhook-id": message_id,
            "webhook-timestamp": sent,
            "webhook-signature": signatures[:_MOST_SIGNATURES],
        }
        Webhook(key).verify(body, named, json_parse=False)
    except (WebhookVerificationError, ValueError):  # also of a signature that is none
        raise _refused("the signature does not fit") from None
    return message_id


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated(
        f"The message is not taken: {reason}.",
        hint="Sign it as https://www.standardwebhooks.com says, with the secret of the webhook in the settings.",
    )
