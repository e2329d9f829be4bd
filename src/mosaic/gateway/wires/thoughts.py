"""Thoughts in a body that passes through: those that another provider sealed are taken out.

A conversation may have been led by several providers, turn by turn. Each takes back only the thoughts that it sealed
itself and refuses a request that holds others. Those came from us, so their seals show it: see `seals`.
"""

import re
from typing import Any

import msgspec

from mosaic.gateway.wires.encoding import as_json
from mosaic.gateway.wires.members import members
from mosaic.gateway.wires.splicing import replace_members
from mosaic.providers import Wire

__all__ = ["own_thoughts"]

_SPACE = rb"[ \t\n\r]*"
# A seal with a colon names the vendor whose it is; a thought of a vendor that seals none has an empty one.
_FOREIGN: dict[Wire, re.Pattern[bytes]] = {
    "anthropic.messages": re.compile(rb'"signature"%b:%b"(?:"|[a-z0-9-]+:)' % (_SPACE, _SPACE)),
    "openai.responses": re.compile(
        rb'"encrypted_content"%b:%b(?:null|""|"[a-z0-9-]+:)|"id"%b:%b"rs_[0-9a-f]+_[0-9]+"' % (4 * (_SPACE,))
    ),
}
_FOREIGN["anthropic.count_tokens"] = _FOREIGN["anthropic.messages"]
_OUR_NAME = re.compile(r"rs_[0-9a-f]+_[0-9]+")
_THOUGHTS = ("thinking", "redacted_thinking")


def own_thoughts(body: bytes, wire: Wire) -> bytes:
    """Return `body` without the thoughts that the wire's own vendor would refuse. `peek` must have accepted it."""
    foreign = _FOREIGN.get(wire)
    if foreign is None or foreign.search(body) is None:
        return body
    found = members(body)
    name = "input" if wire == "openai.responses" else "messages"
    shown = _list(found.get(name))
    if wire == "openai.responses":
        kept = [item for item in shown if not _is_foreign_item(item)]
        return body if len(kept) == len(shown) else replace_members(body, {name: as_json(kept)})
    changed_messages = [message for message in shown if _without_thoughts(message)]
    if not changed_messages:
        return body
    changed = {name: as_json([message for message in shown if _says_something(message)])}
    if b'"enabled"' in bytes(found.get("thinking", b"")) and _begins_bare(shown):
        # With a budget for thoughts, the turn that goes on must begin with one.
        changed["thinking"] = b'{"type":"disabled"}'
    return replace_members(body, changed)


def _list(raw: msgspec.Raw | None) -> list[Any]:
    try:
        shown = None if raw is None else msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return []  # the provider says what is wrong with it
    return shown if isinstance(shown, list) else []


def _is_foreign_item(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    sealed, name = item.get("encrypted_content"), item.get("id")
    if sealed:
        return not isinstance(sealed, str) or ":" in sealed
    # Without a seal it is looked up by its name, where OpenAI has stored it.
    return not isinstance(name, str) or _OUR_NAME.fullmatch(name) is not None


def _without_thoughts(message: Any) -> bool:
    """Take foreign thoughts out of a message; say whether there were any."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return False
    content = message["content"]
    kept = [block for block in content if not _is_foreign_block(block)]
    if len(kept) == len(content):
        return False
    message["content"] = kept
    return True


def _is_foreign_block(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not isinstance(signature, str) or not signature or ":" in signature


def _says_something(message: Any) -> bool:
    return not isinstance(message, dict) or message.get("content") != []


def _begins_bare(messages: list[Any]) -> bool:
    """Say whether the model's last turn begins without a thought."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "assistant":
            content = message.get("content")
            first = content[0] if isinstance(content, list) and content else None
            return not isinstance(first, dict) or first.get("type") not in _THOUGHTS
    return False
