"""The few fields that decide where a request goes.

Content is searched, not read: a name in quotes such as ``"image_url"`` cannot stand inside a JSON text, where its
quotes would be escaped. A tool's schema may hold the same name, so what a search finds is looked at once more.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from mosaic.gateway.wires.members import invalid, members
from mosaic.gateway.wires.schemas import Peek

__all__ = ["peek_chat", "peek_count", "peek_embeddings", "peek_messages", "peek_responses"]

_Members = Mapping[str, msgspec.Raw]

_MODEL_LIMIT = 512
_LABEL_LIMIT = 4096
_COUNT_LIMIT = 2**31 - 1
_TRUE, _FALSE, _NULL = b"true", b"false", b"null"
_EMPTY = (b"[]", _NULL)
_count = msgspec.json.Decoder(int).decode
_text = msgspec.json.Decoder(str).decode

_BITS = ("tools", "structured_output", "vision", "audio", "documents")
_NEEDS = tuple(
    frozenset(name for bit, name in enumerate(_BITS) if mask >> bit & 1) for mask in range(1 << len(_BITS))
)
_TOOLS, _STRUCTURED, _VISION, _AUDIO, _DOCUMENTS = (1 << bit for bit in range(len(_BITS)))
_MARKS = {
    "image_url": _VISION,
    "input_image": _VISION,
    "image": _VISION,
    "input_audio": _AUDIO,
    "file": _DOCUMENTS,
    "input_file": _DOCUMENTS,
    "document": _DOCUMENTS,
}
# Whatever is one of these parts has a member that no plain text part has.
_CHAT_MEDIA = re.compile(rb'"(?:image_url|input_audio|file)"')
_RESPONSES_MEDIA = re.compile(rb'"input_(?:image|file|audio)"')
_MESSAGES_MEDIA = re.compile(rb'"(?:image|document)"')
_FORMAT = re.compile(rb'"type"[ \t\n\r]*:[ \t\n\r]*"json_schema"')
# Tools that the provider runs and that may change something; searching does not.
_ACTING_RESPONSES = re.compile(rb'"type"[ \t\n\r]*:[ \t\n\r]*"(?:mcp|code_interpreter|shell)"')
_ACTING_MESSAGES = re.compile(rb'"type"[ \t\n\r]*:[ \t\n\r]*"code_execution_\d+"')
_CLAUDE_CODE_SESSION = "_session_"


def peek_chat(body: bytes) -> Peek:
    """Return what decides where a chat completion goes.

    Raises:
        InvalidInput: if the body is not one, with the path of what is wrong.
    """
    found = members(body)
    get = found.get
    # Asked for here and not in the functions: most requests have few of these, and all requests pass here.
    limit = _number(raw, "max_completion_tokens") if (raw := get("max_completion_tokens")) else None
    if limit is None and (raw := get("max_tokens")):
        limit = _number(raw, "max_tokens")
    mask = _STRUCTURED if (raw := get("response_format")) and _FORMAT.search(raw) else 0
    if ((raw := get("tools")) and _lists(raw)) or ((raw := get("functions")) and _lists(raw)):
        mask |= _TOOLS
    if (raw := get("audio")) and _lists(raw):
        mask |= _AUDIO
    kinds, images, image_bytes = _media(_required(get("messages"), "messages"), _CHAT_MEDIA)
    mask |= kinds
    n = _number(raw, "n") if (raw := get("n")) else None
    user = _label(raw, "safety_identifier") if (raw := get("safety_identifier")) else None
    return Peek(
        _model(found),
        _flag(raw, "stream") if (raw := get("stream")) else False,
        limit,
        _NEEDS[mask],
        _label(raw, "prompt_cache_key") if (raw := get("prompt_cache_key")) else None,
        user or (_label(raw, "user") if (raw := get("user")) else None),
        len(body),
        n or 1,
        _labels(raw) if (raw := get("metadata")) else {},
        images,
        image_bytes,
    )


def peek_responses(body: bytes) -> Peek:
    """Return what decides where a request for a response goes.

    Raises:
        InvalidInput: if the body is not one, with the path of what is wrong.
    """
    found = members(body)
    get = found.get
    form = get("text")
    mask = _STRUCTURED if form is not None and _FORMAT.search(form) else 0
    tools = get("tools")
    if _lists(tools):
        mask |= _TOOLS
    entered, images, image_bytes = get("input"), 0, 0
    if entered is not None:
        kinds, images, image_bytes = _media(entered, _RESPONSES_MEDIA)
        mask |= kinds
    return Peek(
        _model(found),
        _flag(get("stream"), "stream"),
        _number(get("max_output_tokens"), "max_output_tokens"),
        _NEEDS[mask],
        _label(get("prompt_cache_key"), "prompt_cache_key"),
        _label(get("safety_identifier"), "safety_identifier") or _label(get("user"), "user"),
        len(body),
        1,
        _labels(get("metadata")),
        images,
        image_bytes,
        _flag(get("background"), "background") or _acts(tools, _ACTING_RESPONSES),
    )


def peek_messages(body: bytes) -> Peek:
    """Return what decides where a message goes.

    Raises:
        InvalidInput: if the body is not one, with the path of what is wrong.
    """
    found = members(body)
    get = found.get
    config = get("output_config")
    asked = get("output_format")
    mask = 0
    if (config is not None and _FORMAT.search(config)) or (asked is not None and _FORMAT.search(asked)):
        mask = _STRUCTURED
    tools = get("tools")
    if _lists(tools):
        mask |= _TOOLS
    kinds, images, image_bytes = _media(_required(get("messages"), "messages"), _MESSAGES_MEDIA)
    mask |= kinds
    labels = _labels(get("metadata"))
    user = labels.get("user_id") if labels else None
    return Peek(
        _model(found),
        _flag(get("stream"), "stream"),
        _number(get("max_tokens"), "max_tokens"),
        _NEEDS[mask],
        _session(user) if user else None,
        user,
        len(body),
        1,
        labels,
        images,
        image_bytes,
        _lists(get("mcp_servers")) or _acts(tools, _ACTING_MESSAGES),
    )


def peek_count(body: bytes) -> Peek:
    """Return what decides where a request to count a message's tokens goes; nothing is written for it.

    Raises:
        InvalidInput: if the body is not one, with the path of what is wrong.
    """
    return msgspec.structs.replace(peek_messages(body), max_tokens=0, stream=False)


def peek_embeddings(body: bytes) -> Peek:
    """Return what decides where a request for embeddings goes.

    Raises:
        InvalidInput: if the body is not one, with the path of what is wrong.
    """
    found = members(body)
    _required(found.get("input"), "input")
    user = _label(found.get("user"), "user")
    return Peek(
        _model(found), stream=False, max_tokens=0, needs=_NEEDS[0], session=None, user=user, n_bytes=len(body)
    )


def _model(found: _Members) -> str:
    raw = found.get("model")
    if raw is None:
        raise invalid("model", "This member is missing.", hint="Name a model, or a route of this gateway.")
    try:
        model = _text(raw)
    except (msgspec.MsgspecError, UnicodeError):
        raise invalid("model", "Expected text.") from None
    if not model or len(model) > _MODEL_LIMIT:
        raise invalid("model", f"Expected 1 to {_MODEL_LIMIT} characters.")
    return model


def _flag(raw: msgspec.Raw | None, path: str) -> bool:
    if raw is None:
        return False
    value = bytes(raw)
    if value == _TRUE:
        return True
    if value in (_FALSE, _NULL):
        return False
    raise invalid(path, "Expected true or false.")


def _number(raw: msgspec.Raw | None, path: str) -> int | None:
    if raw is None or raw == _NULL or bytes(raw) == _NULL:
        return None
    try:
        number = _count(raw)
    except (msgspec.MsgspecError, ValueError):
        raise invalid(path, "Expected a whole number.") from None
    if not 1 <= number <= _COUNT_LIMIT:
        raise invalid(path, f"Expected a whole number from 1 to {_COUNT_LIMIT}.")
    return number


def _lists(raw: msgspec.Raw | None) -> bool:
    return raw is not None and bytes(memoryview(raw)[:4]) not in _EMPTY


def _acts(tools: msgspec.Raw | None, acting: re.Pattern[bytes]) -> bool:
    return tools is not None and acting.search(tools) is not None


def _label(raw: msgspec.Raw | None, path: str) -> str | None:
    if raw is None or bytes(raw) == _NULL:
        return None
    try:
        return _text(raw)[:_LABEL_LIMIT] or None
    except (msgspec.MsgspecError, UnicodeError):
        raise invalid(path, "Expected text.") from None


def _labels(raw: msgspec.Raw | None) -> dict[str, str]:
    if raw is None or bytes(raw) == _NULL:
        return {}
    found = _whole(raw, "metadata")
    if not isinstance(found, dict):
        raise invalid("metadata", "Expected an object.")
    return {name: value[:_LABEL_LIMIT] for name, value in found.items() if isinstance(value, str)}


def _required(raw: msgspec.Raw | None, path: str) -> msgspec.Raw:
    if raw is None:
        raise invalid(path, "This member is missing.")
    return raw


def _whole(raw: msgspec.Raw, path: str) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise invalid(path, "This is not valid JSON or UTF-8.") from None


def _media(raw: msgspec.Raw, marks: re.Pattern[bytes]) -> tuple[int, int, int]:
    """Return the bits of the kinds of content in `raw`, how many images there are, and their bytes in it."""
    if marks.search(raw) is None:
        return 0, 0, 0
    mask = images = size = 0
    waiting = [_whole(raw, "messages")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            bits = _MARKS.get(str(value.get("type")), 0)
            mask |= bits
            if bits == _VISION:
                images += 1
                size += _image_bytes(value)
            # Only where parts stand: a tool's arguments may look like one.
            waiting += [value[name] for name in ("content", "output") if name in value]
    return mask, images, size


def _image_bytes(part: dict[str, Any]) -> int:
    """Return how many bytes of a part are the image itself; 0 for one that is named by its address."""
    shown = part.get("image_url")
    shown = shown.get("url") if isinstance(shown, dict) else shown
    if shown is None and isinstance(source := part.get("source"), dict):
        return (
            len(data) if isinstance(data := source.get("data"), str) and source.get("type") == "base64" else 0
        )
    return len(shown) if isinstance(shown, str) and shown.startswith("data:image/") else 0


def _session(user: str) -> str | None:
    """Return the session in the user id that Claude Code sends: the end of a text, or a member of an object."""
    if user.startswith("{"):
        try:
            session = msgspec.json.decode(user).get("session_id")
        except (msgspec.MsgspecError, RecursionError):
            return None
        return session if isinstance(session, str) else None
    _, mark, session = user.rpartition(_CLAUDE_CODE_SESSION)
    return session if mark else None
