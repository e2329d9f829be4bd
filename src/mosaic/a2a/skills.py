"""Which workflow a message is for, and with which inputs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from a2a.types import Message
from a2a.utils.errors import InvalidParamsError
from google.protobuf.json_format import MessageToDict

from mosaic.a2a.parts import data_of, said
from mosaic.core.values import JsonObject
from mosaic.workflows import Definition

__all__ = ["Choose", "chosen", "inputs_of"]

Choose = Callable[[Message, Sequence[Definition], str | None], Definition]
"""Finds the workflow that a message is for, see `chosen`."""

_SKILL = "skill"
_INPUTS = "inputs"
_MOST_TEXT = 200_000


def chosen(message: Message, known: Sequence[Definition], default: str | None) -> Definition:
    """Return the workflow that a message is for.

    It is named by ``skill`` in the message's metadata or in a data part; else it is the installation's own choice,
    or the only one there is.

    Raises:
        InvalidParamsError: if nobody can say which.
        ContentTypeNotSupportedError: if it holds more than text and data.
    """
    metadata: Mapping[str, Any] = MessageToDict(message.metadata)
    name = metadata.get(_SKILL) or data_of(message).get(_SKILL) or default
    by_name = {definition.name: definition for definition in known}
    if name is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if not isinstance(name, str) or name not in by_name:
        skills = ", ".join(sorted(by_name)) or "none yet: run a workflow once, and it is one"
        asked = f"There is no skill {str(name)[:100]!r}." if name else "The message does not say which skill."
        raise InvalidParamsError(f'{asked} Name one as "skill" in its metadata; there are: {skills}.')
    return by_name[name]


def inputs_of(message: Message, definition: Definition) -> JsonObject:
    """Return the inputs of a run: those of a data part, and the text as the one input that takes it.

    Raises:
        InvalidParamsError: if there is text, and no single input for it.
    """
    data = data_of(message)
    given = data.get(_INPUTS, {key: value for key, value in data.items() if key != _SKILL})
    if not isinstance(given, dict):
        raise InvalidParamsError("`inputs` in a data part must be an object.")
    text = said(message)
    if len(text) > _MOST_TEXT:
        raise InvalidParamsError(f"The text is longer than {_MOST_TEXT:,} characters.")
    if not text:
        return given
    name = _for_text(definition, given)
    if name is None:
        names = ", ".join(definition.inputs_schema.get("properties", {})) or "no inputs"
        raise InvalidParamsError(
            f"The skill {definition.name} has no single input for text. Send a data part with its inputs: {names}."
        )
    return {**given, name: text}


def _for_text(definition: Definition, given: Mapping[str, Any]) -> str | None:
    """Return the input that takes a message's text: `goal`, or the only one of text that is needed or there."""
    schema = definition.inputs_schema
    texts: list[str] = [
        name
        for name, about in schema.get("properties", {}).items()
        if name not in given and isinstance(about, dict) and about.get("type", "string") == "string"
    ]
    if "goal" in texts:
        return "goal"
    needed = [name for name in texts if name in schema.get("required", ())]
    for candidates in (needed, texts):
        if len(candidates) == 1:
            return candidates[0]
    return None
