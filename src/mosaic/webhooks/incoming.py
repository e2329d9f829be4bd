"""Messages that come in: who sent one, which one it is, and what kind of message it is."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from mosaic.core.errors import Unauthenticated
from mosaic.core.values import JsonValue
from mosaic.outbound import key_of, verify

__all__ = ["Incoming", "Proof", "proven"]

Proof = Literal["standard", "github", "bearer"]

_LEAST_SECRET = 16
_MOST_ID = 200
_ID_HEADERS = ("idempotency-key", "webhook-id", "x-delivery-id")


class Incoming(NamedTuple):
    """What is known of a message that is what it says.

    Attributes:
        delivery_id: the same when it is sent again.
        kind: what its sender calls this kind of message; empty when it says nothing.
    """

    delivery_id: str
    kind: str


def proven(
    proof: Proof,
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    moment: datetime,
    tolerance_s: float,
    name: str,
) -> Incoming:
    """Check that whoever sent a message knows the secret.

    Args:
        proof: how a sender proves it.
        secret: the secret.
        headers: of the message, names in lower case.
        body: as it came.
        moment: now.
        tolerance_s: how far the sender's clock may be from ours.
        name: what holds the secret, for messages.

    Raises:
        Unauthenticated: if it was not proven, whatever is wrong with it.
        InvalidInput: if the secret is none.
    """
    if proof == "standard":
        key = key_of(secret, name=name)
        delivery_id = verify(key, headers, body, moment=moment, tolerance_s=tolerance_s)
        return Incoming(delivery_id, _type_of(body))
    if len(secret) < _LEAST_SECRET:
        # Not the sender's business: it is told what a wrong secret is told.
        raise _refused()
    if proof == "github":
        return _from_github(secret, headers, body)
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not _same(given.strip(), secret):
        raise _refused()
    return Incoming(_delivery_id(headers, _ID_HEADERS, body), _type_of(body))


def _from_github(secret: str, headers: Mapping[str, str], body: bytes) -> Incoming:
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not _same(headers.get("x-hub-signature-256", ""), expected):
        raise _refused()
    kind = headers.get("x-github-event", "")
    # The id is not signed, so the content counts as well: a message that was overheard starts nothing under a new id.
    return Incoming(f"body:{hashlib.sha256(body).hexdigest()}", kind if _is_plain(kind) else "")


def _delivery_id(headers: Mapping[str, str], names: tuple[str, ...], body: bytes) -> str:
    """Return the id that the sender gave; without one the content is the id."""
    given = next((value for name in names if _is_plain(value := headers.get(name, ""))), "")
    return given or f"body:{hashlib.sha256(body).hexdigest()}"


def _type_of(body: bytes) -> str:
    try:
        value: JsonValue = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and _is_plain(kind) else ""


def _is_plain(text: str) -> bool:
    return 0 < len(text) <= _MOST_ID and text.isascii() and text.isprintable()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _refused() -> Unauthenticated:
    return Unauthenticated(
        "The message is not taken: it does not prove who sent it.",
        hint="Send it as the hook in the settings says, with its secret.",
    )
