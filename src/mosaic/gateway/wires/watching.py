"""Which events of each wire matter while an answer passes through, and what they say."""

import re
from typing import Any

from mosaic.gateway.wires.interfaces import Scanner, ScannerFactory
from mosaic.gateway.wires.scanning import BodyScanner, EventScanner
from mosaic.gateway.wires.schemas import Scanned
from mosaic.gateway.wires.usage import read_chat_usage, read_messages_usage, read_responses_usage
from mosaic.providers import Wire

__all__ = ["chat_scanner", "embeddings_scanner", "messages_scanner", "responses_scanner", "scan_usage"]

_CHAT_MARKS = re.compile(rb'"(?:usage|error)"[ ]?:[ ]?\{|"finish_reason"[ ]?:[ ]?"')
_MESSAGES_MARKS = re.compile(rb'"(?:message_start|message_delta|message_stop|error)"')
_RESPONSES_MARKS = re.compile(rb'"(?:response\.(?:completed|incomplete|failed)|error)"')


def scan_usage(wire: Wire, *, stream: bool, strip_usage: bool = False) -> Scanner:
    """Return the scanner for an answer of `wire`.

    Args:
        wire: the protocol of the answer.
        stream: whether the answer comes in events.
        strip_usage: take out the chunk that `ensure_usage` asked for.
    """
    makers: dict[Wire, ScannerFactory] = {
        "openai.chat": chat_scanner,
        "openai.responses": responses_scanner,
        "openai.embeddings": embeddings_scanner,
        "anthropic.messages": messages_scanner,
        "anthropic.count_tokens": embeddings_scanner,
    }
    return makers[wire](stream=stream, strip_usage=strip_usage)


def chat_scanner(*, stream: bool, strip_usage: bool = False) -> Scanner:
    """Return the scanner for a chat completion."""
    if not stream:
        return BodyScanner(_chat)
    return EventScanner(_CHAT_MARKS, _chat, ending=b"data: [DONE]", strip=strip_usage)


def responses_scanner(*, stream: bool, strip_usage: bool = False) -> Scanner:
    """Return the scanner for a response, which always says its usage."""
    del strip_usage
    return EventScanner(_RESPONSES_MARKS, _responses_event) if stream else BodyScanner(_response)


def messages_scanner(*, stream: bool, strip_usage: bool = False) -> Scanner:
    """Return the scanner for an Anthropic message, which always says its usage."""
    del strip_usage
    return EventScanner(_MESSAGES_MARKS, _Messages()) if stream else BodyScanner(_message)


def embeddings_scanner(*, stream: bool = False, strip_usage: bool = False) -> Scanner:
    """Return the scanner for embeddings and for counted tokens, which never stream."""
    del stream, strip_usage
    return BodyScanner(_plain)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _names(shown: dict[str, Any], scanned: Scanned) -> None:
    scanned.response_id = scanned.response_id or _text(shown.get("id"))
    scanned.model = scanned.model or _text(shown.get("model"))
    error = shown.get("error")
    if isinstance(error, dict):
        scanned.error = error


def _chat(shown: dict[str, Any], scanned: Scanned) -> bool:
    """Note a whole completion or one chunk; say whether it is the chunk that holds only the usage."""
    _names(shown, scanned)
    usage = read_chat_usage(shown.get("usage"))
    if usage is not None:
        scanned.usage = usage
    choices = shown.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            scanned.finish_reason = _text(choice.get("finish_reason")) or scanned.finish_reason
    # Some compatible servers leave out the last line; that the model stopped is enough.
    scanned.complete = scanned.complete or scanned.finish_reason is not None
    return usage is not None and not choices


def _plain(shown: dict[str, Any], scanned: Scanned) -> None:
    _names(shown, scanned)
    counted = shown.get("input_tokens")
    scanned.usage = read_chat_usage(shown.get("usage")) or read_messages_usage(
        {"input_tokens": counted} if counted is not None else None
    )


def _response(shown: dict[str, Any], scanned: Scanned) -> None:
    _names(shown, scanned)
    scanned.usage = read_responses_usage(shown.get("usage")) or scanned.usage
    details = shown.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    scanned.finish_reason = _text(reason) or _text(shown.get("status")) or scanned.finish_reason


def _responses_event(shown: dict[str, Any], scanned: Scanned) -> bool:
    kind, response = shown.get("type"), shown.get("response")
    if kind == "error":
        scanned.error = {name: shown.get(name) for name in ("code", "message", "param")}
        scanned.complete = True
    elif kind in ("response.completed", "response.incomplete", "response.failed") and isinstance(
        response, dict
    ):
        _response(response, scanned)
        scanned.complete = True
    elif isinstance(response, dict):
        _names(response, scanned)
    return False


def _message(shown: dict[str, Any], scanned: Scanned) -> None:
    _names(shown, scanned)
    scanned.usage = read_messages_usage(shown.get("usage")) or scanned.usage
    scanned.finish_reason = _text(shown.get("stop_reason")) or scanned.finish_reason


class _Messages:
    """Notes the events of one streamed message; the last one adds to the usage that the first one began."""

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}

    def __call__(self, shown: dict[str, Any], scanned: Scanned) -> bool:
        kind = shown.get("type")
        if kind == "message_start" and isinstance(message := shown.get("message"), dict):
            _message(message, scanned)
            self._add(message.get("usage"), scanned)
        elif kind == "message_delta":
            delta = shown.get("delta")
            if isinstance(delta, dict):
                scanned.finish_reason = _text(delta.get("stop_reason")) or scanned.finish_reason
            self._add(shown.get("usage"), scanned)
        elif kind == "message_stop":
            scanned.complete = True
        elif kind == "error":
            _names(shown, scanned)
        return False

    def _add(self, usage: Any, scanned: Scanned) -> None:
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})
            scanned.usage = read_messages_usage(self._usage) or scanned.usage
