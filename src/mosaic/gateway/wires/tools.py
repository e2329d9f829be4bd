"""Tools of OpenAI's kind `custom`, which take one text instead of JSON arguments.

Other providers know no such tools. They get a function with the one argument `input`; a call to it is shown to the
client as the custom call it expects.
"""

from typing import Any

from mosaic.core.values import JsonObject
from mosaic.gateway.wires.encoding import as_json
from mosaic.providers import ToolCallPart, ToolDefinition

__all__ = ["FREE_INPUT", "call_input", "call_text", "custom_tool", "no_parameters"]

FREE_INPUT = "input"


def no_parameters() -> JsonObject:
    """Return the schema of a tool without arguments."""
    return {"type": "object", "properties": {}}


def custom_tool(name: str, description: str, grammar: str | None) -> ToolDefinition:
    """Return a function that stands for the custom tool `name`."""
    told = f"{description}\n\n`{FREE_INPUT}` must follow this grammar:\n{grammar}" if grammar else description
    schema: JsonObject = {
        "type": "object",
        "properties": {FREE_INPUT: {"type": "string", "description": "The whole input, as it is."}},
        "required": [FREE_INPUT],
        "additionalProperties": False,
    }
    return ToolDefinition(name, told.strip(), schema)


def call_input(call: ToolCallPart) -> str:
    """Return the text that a call to a custom tool gives it."""
    raw = call.malformed
    if raw is not None:
        return raw
    given: Any = call.arguments.get(FREE_INPUT)
    return given if isinstance(given, str) else call_text(call)


def call_text(call: ToolCallPart) -> str:
    """Return a call's arguments as the text a model writes: malformed ones as they were."""
    raw = call.malformed
    return as_json(call.arguments).decode() if raw is None else raw
