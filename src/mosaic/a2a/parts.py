"""What a message says: its text, and its data."""

from typing import Any

from a2a.types import Message
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError
from google.protobuf.json_format import MessageToDict

__all__ = ["data_of", "said"]


def said(message: Message) -> str:
    """Return the text of a message."""
    return "\n".join(part.text for part in message.parts if part.HasField("text")).strip()


def data_of(message: Message) -> dict[str, Any]:
    """Return what the data parts of a message say, later ones over earlier ones.

    Raises:
        InvalidParamsError: if one is no object.
        ContentTypeNotSupportedError: if the message holds more than text and data.
    """
    found: dict[str, Any] = {}
    for part in message.parts:
        if part.HasField("data"):
            value = MessageToDict(part.data)
            if not isinstance(value, dict):
                raise InvalidParamsError("A data part must be an object.")
            found |= value
        elif not part.HasField("text"):
            raise ContentTypeNotSupportedError(
                "Only text and data parts are taken: name files by their path or address in one of those."
            )
    return found
