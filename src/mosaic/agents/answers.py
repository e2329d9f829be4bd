"""The answer an agent owes: text, or a JSON value that passes its schema, in the way its model can give it."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["ANSWER_TOOL", "AnswerContract", "Checked"]

ANSWER_TOOL = "final_answer"
_WRAPPED = "answer"
_FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```", re.DOTALL)
_MAX_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer that was looked at: its value, or what to tell the model is wrong with it."""

    value: JsonValue = None
    problem: str | None = None


class AnswerContract:
    """What counts as an answer.

    Attributes:
        schema: JSON Schema of the value; None means text.
        strategy: ``text``; ``native`` (the provider holds the model to the schema); ``tool`` (the model calls
            `ANSWER_TOOL` with the value as arguments).
    """

    def __init__(self, schema: JsonObject | None, *, native: bool) -> None:
        self.schema = schema
        self.strategy: Literal["text", "native", "tool"] = (
            "text" if schema is None else "native" if native else "tool"
        )
        self._validator: Any = None

    @property
    def rule(self) -> str:
        """How the system prompt asks for it; empty for text."""
        if self.strategy == "native":
            return "When you are done, answer with one JSON document that fits the required schema, and nothing else."
        if self.strategy == "tool":
            return (
                f"When you are done, call the tool {ANSWER_TOOL} with your answer. Text alone does not count."
            )
        return ""

    @property
    def tool_parameters(self) -> JsonObject:
        """The parameters of `ANSWER_TOOL`: the schema, or an object around it when it is not an object's."""
        schema = self.schema or {}
        if not self._wraps:
            return schema
        inner = _rebased(schema, f"#/properties/{_WRAPPED}")
        return {"type": "object", "properties": {_WRAPPED: inner}, "required": [_WRAPPED]}

    @property
    def _wraps(self) -> bool:
        return (self.schema or {}).get("type") != "object"

    def check_text(self, text: str) -> Checked:
        """Look at a text answer."""
        if self.strategy == "text":
            return Checked(text)
        if self.strategy == "tool":
            return Checked(problem=f"Give your answer by calling the tool {ANSWER_TOOL}, not as text.")
        try:
            value = _read_json(text)
        except ValueError as error:
            return Checked(problem=f"Your answer is not JSON ({error}). Answer with one JSON document only.")
        return self._check_value(value)

    def check_arguments(self, arguments: JsonObject) -> Checked:
        """Look at the arguments of `ANSWER_TOOL`."""
        if not self._wraps:
            return self._check_value(arguments)
        if _WRAPPED not in arguments:
            return Checked(problem=f"The argument {_WRAPPED!r} is missing.")
        return self._check_value(arguments[_WRAPPED])

    def _check_value(self, value: JsonValue) -> Checked:
        problems = schema_problems(self._schema_validator(), value)
        if problems:
            return Checked(problem="Your answer does not fit the required schema:\n" + "\n".join(problems))
        return Checked(value)

    def _schema_validator(self) -> Any:
        if self._validator is None:
            from jsonschema import Draft202012Validator  # noqa: PLC0415 - 100 ms, most agents answer in text
            from referencing import Registry  # noqa: PLC0415

            # An empty registry: a $ref never leaves the schema, least of all for the network.
            self._validator = Draft202012Validator(self.schema or {}, registry=Registry())
        return self._validator


def schema_problems(validator: Any, value: JsonValue) -> list[str]:
    """Return what keeps `value` from passing, a line each, at most ten."""
    found: list[str] = []
    for error in validator.iter_errors(value):
        if len(found) == _MAX_PROBLEMS:
            found.append("- and more")
            break
        place = error.json_path.removeprefix("$").lstrip(".") or "the value"
        found.append(f"- {place}: {error.message[:300]}")
    return found


def _read_json(text: str) -> JsonValue:
    """Return the JSON value of a text; a Markdown fence around it is forgiven.

    Raises:
        ValueError: saying why it is none.
    """
    try:
        return json.loads(text, parse_constant=_refuse)  # type: ignore[no-any-return]
    except ValueError as error:
        fenced = _FENCE.search(text)
        if fenced is None:
            raise ValueError(str(error)) from None
        return json.loads(fenced[1], parse_constant=_refuse)  # type: ignore[no-any-return]
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _rebased(schema: Any, prefix: str) -> Any:
    """Return a schema whose inner references hold under `prefix`."""
    if isinstance(schema, dict):
        return {
            key: prefix + value[1:] if key == "$ref" and isinstance(value, str) else _rebased(value, prefix)
            for key, value in schema.items()
        }
    return [_rebased(item, prefix) for item in schema] if isinstance(schema, list) else schema
