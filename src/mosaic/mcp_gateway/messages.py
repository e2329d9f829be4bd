"""JSON-RPC messages, looked into without being made anew.

What a policy has judged must be what the server reads. Two readers of JSON may disagree about a name that stands twice,
or in another case; so a call is put together again from its parts, each name once, and its arguments are written anew
from what was judged. Everything else passes as it came.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["Call", "Message", "error_body", "read_call", "read_message", "result_body", "text_result"]

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_NAMES = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_CALL_NAMES = frozenset({"name", "arguments", "_meta", "task", "inputresponses", "requeststate"})
_LONGEST_ID = 200

INVALID_REQUEST = -32600
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32001


@dataclass(slots=True)
class Message:
    """A message of a client.

    Attributes:
        method: empty for an answer to something the server asked.
        id: as it came; None for a notification.
        parts: every field as it came.
    """

    method: str
    id: bytes | None
    parts: dict[str, msgspec.Raw]

    @property
    def body(self) -> bytes:
        """The message put together again, each name once."""
        return _joined(self.parts)


@dataclass(slots=True)
class Call:
    """A ``tools/call``.

    Attributes:
        tool: the server's own name of the tool.
        arguments: as a policy judges them.
        body: what is sent on: with exactly these arguments.
    """

    tool: str
    arguments: JsonObject
    body: bytes


def read_message(body: bytes) -> Message:
    """Return what a client sent.

    Raises:
        InvalidInput: if it is no single JSON-RPC message.
    """
    try:
        parts = _decode(body)
        method = _decode_text(parts["method"]) if "method" in parts else ""
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "The body is no JSON-RPC message.", hint="Send one message at a time, as an object."
        ) from error
    _check_names(parts, _NAMES)
    identifier = bytes(parts["id"]) if "id" in parts else None
    if identifier is not None and len(identifier) > _LONGEST_ID:
        raise InvalidInput(f"The message's id is longer than {_LONGEST_ID} bytes.")
    if identifier is not None and identifier[:1] not in b'"-0123456789':
        raise InvalidInput("The message's id is neither text nor a number.")
    return Message(method, identifier, parts)


def read_call(message: Message) -> Call:
    """Return the call in a ``tools/call`` message.

    Raises:
        InvalidInput: if its parameters are none.
    """
    try:
        params = _decode(message.parts["params"])
        tool = _decode_text(params["name"])
        arguments: Any = _decode_any(params["arguments"]) if "arguments" in params else {}
    except (KeyError, msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput("The call has no name, or its arguments are no object.") from error
    _check_names(params, _CALL_NAMES)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise InvalidInput("The arguments of a call must be an object.")
    params["name"] = msgspec.Raw(_encode(tool))
    params["arguments"] = msgspec.Raw(_encode(arguments))
    parts = {**message.parts, "params": msgspec.Raw(_joined(params))}
    return Call(tool, arguments, _joined(parts))


def result_body(identifier: bytes, result: bytes) -> bytes:
    """Return the answer with a result that is JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (identifier, result)


def text_result(text: str, *, is_error: bool) -> bytes:
    """Return the result of a call that says a text."""
    return _encode(
        {"content": [{"type": "text", "text": text}], "isError": is_error, "resultType": "complete"}
    )


def encoded(value: JsonValue) -> bytes:
    """Return a JSON value as bytes."""
    return _encode(value)


def error_body(identifier: bytes | None, error: MosaicError, code: int) -> bytes:
    """Return the answer that tells of an error."""
    data: JsonObject = {"code": error.code}
    if error.hint:
        data["hint"] = error.hint
    told = _encode({"code": code, "message": error.message, "data": data})
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (identifier or b"null", told)


def _joined(parts: dict[str, msgspec.Raw]) -> bytes:
    return b"{%b}" % b",".join([b"%b:%b" % (_encode(name), value) for name, value in parts.items()])


def _check_names(parts: dict[str, msgspec.Raw], known: frozenset[str]) -> None:
    """Refuse a name that some reader could take for one of ours."""
    for name in parts:
        folded = name.casefold()
        if folded in known and name not in _SPELLED:
            raise InvalidInput(f"The message has a field {name[:40]!r}; its name is written otherwise.")


_SPELLED = _NAMES | {"name", "arguments", "_meta", "task", "inputResponses", "requestState"}
