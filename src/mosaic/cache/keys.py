"""The key of a request: who asks, by which route, on which wire, and what, in one canonical hash.

Two bodies that mean the same to the model get the same key, whatever the order of their fields. What does not
change the answer (who the end user is, labels, how usage is reported) is left out; everything else counts, fields
we do not know included. The hash covers the tenant too, so no two tenants ever share an entry.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from mosaic.cache.schemas import Purge
from mosaic.core.errors import InvalidInput

__all__ = ["key_prefix", "purge_key", "purge_prefix", "purge_tag", "request_key", "scope_of", "tenant_tag"]

# They name a person, a session or a label, or say how to report; no model's answer depends on them. `user` of
# OpenAI and `metadata` of Anthropic are for abuse reports, `prompt_cache_key` chooses a machine.
_NOT_ASKED = (
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "store",
)
# Their answers depend on what the vendor remembers, or are not there yet when the call returns.
_STATEFUL = ("conversation", "previous_response_id", "background")
_LONGEST_PART = 128
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def request_key(wire: str, body: bytes | Mapping[str, Any], *, tenant: str, route: str) -> str | None:
    """Return the key of a request, ``<tenant>/<route>/<wire>/<hash>``, or None for one that is never cached.

    Args:
        wire: the client's wire, such as ``openai.chat``: the answer is kept in its bytes.
        body: the client's body, or its fields when they are parsed already.
        tenant: whose request; nobody else ever gets the answer.
        route: the route that answers, or the model's name when there is none.

    Raises:
        InvalidInput: if the body is not a JSON object.
    """
    if isinstance(body, bytes):
        try:
            fields = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(
                "The body is not JSON.", hint="Send one JSON object.", reason=str(error)
            ) from None
        if type(fields) is not dict:
            raise InvalidInput("The body is not a JSON object.", hint="Send one JSON object.")
    else:
        fields = dict(body)
    for name in _STATEFUL:
        if fields.get(name):
            return None
    for name in _NOT_ASKED:
        fields.pop(name, None)
    prefix, seed = _prefix(tenant, route, wire)
    return prefix + sha256(seed + _encode(fields)).hexdigest()


@lru_cache(maxsize=4096)
def _prefix(tenant: str, route: str, wire: str) -> tuple[str, bytes]:
    prefix = f"{_part(tenant)}/{_part(route)}/{_part(wire)}/"
    return prefix, prefix.encode() + b"\0"


def _part(text: str) -> str:
    """Return `text` as one segment of a path: no slash, no dots alone, nothing a store would rewrite."""
    shown = "".join(c if c.isascii() and (c.isalnum() or c in "_.:-") else _escaped(c) for c in text)
    if len(shown) > _LONGEST_PART:  # a file's name ends at 255
        return f"{shown[:64]}~{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return f"~{shown}" if shown.strip(".") == "" else shown


def _escaped(character: str) -> str:
    return "".join(f"~{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def key_prefix(tenant: str, route: str | None = None) -> str:
    """Return what every key of a tenant, or of one route of it, begins with."""
    return f"{_part(tenant)}/" if route is None else f"{_part(tenant)}/{_part(route)}/"


def scope_of(key: str) -> tuple[str, str, str]:
    """Return tenant, route and wire of a key, in the spelling of keys."""
    tenant, route, wire, _ = key.split("/", 3)
    return tenant, route, wire


def tenant_tag(tenant: str, tag: str) -> str:
    """Return a tag as entries carry it: within its tenant."""
    return f"{_part(tenant)}/{tag}"


def purge_key(key: str) -> Purge:
    """Forget one answer."""
    return Purge("key", key)


def purge_tag(tenant: str, tag: str) -> Purge:
    """Forget a tenant's answers with a tag, such as ``provider:openai`` or one of the route's own."""
    return Purge("tag", tenant_tag(tenant, tag))


def purge_prefix(tenant: str, route: str | None = None) -> Purge:
    """Forget a tenant's answers, or those of one route of it."""
    return Purge("prefix", key_prefix(tenant, route))
