"""Canonical messages of the `ai` kind, after the OpenTelemetry GenAI message schema.

Every adapter translates between these values and its vendor's wire; nothing above the providers room knows a
vendor's shape. All values are frozen and turn to and from JSON without loss, because they are journaled.

A model sometimes writes tool-call arguments that are not a JSON object. Such a call is kept, not dropped: its
`arguments` are ``{"$malformed": <the first 2000 characters as written>, "$error": <why>}`` and
`ToolCallPart.malformed` returns the raw text, so that the caller can show the model its mistake and ask again.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject
from mosaic.providers.parts import (
    MALFORMED,
    BlobPart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
    part_from_json,
    tool_arguments,
)

__all__ = [
    "MALFORMED",
    "BlobPart",
    "Delta",
    "FinishReason",
    "Message",
    "ModelRequest",
    "ModelResponse",
    "Part",
    "ReasoningEffort",
    "ReasoningPart",
    "Role",
    "TextPart",
    "ToolCallPart",
    "ToolCallResponsePart",
    "ToolDefinition",
    "UriPart",
    "Usage",
    "part_from_json",
    "tool_arguments",
]

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_call", "content_filter", "error"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. Tool results travel in a message of role `tool`."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> "Message":
        """Return a message of plain text."""
        return cls(role, (TextPart(text),))

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.content for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The calls the model asks for, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))

    def to_json(self) -> JsonObject:
        """Return the message as a JSON object."""
        return {"role": self.role, "parts": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, shown: JsonObject) -> "Message":
        """Return the message that `to_json` wrote.

        Raises:
            InvalidInput: if the role or a part is not one of ours.
        """
        role: Role | None = shown.get("role")
        if role not in get_args(Role) or role is None:
            raise InvalidInput(f"A message has the unknown role {role!r}.")
        return cls(role, tuple(part_from_json(part) for part in shown.get("parts", ())))


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it; `parameters` is the JSON Schema of an object."""

    name: str
    description: str
    parameters: JsonObject

    def to_json(self) -> JsonObject:
        """Return the definition as a JSON object."""
        return {"name": self.name, "description": self.description, "parameters": self.parameters}


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to one model.

    Attributes:
        model: the vendor's own name of the model, without the provider's.
        messages: the conversation so far; system messages first.
        tool_choice: `auto`, `required` (some tool), `none`, or the name of the one tool to call.
        output_schema: JSON Schema of the answer; the answer's text is then one JSON document.
        max_output_tokens: None means the model's own limit.
        timeout_s: for one attempt, from connecting to the last byte.
        metadata: never sent as content; `agent` names the agent that asks, `path` its step.
        top_p, seed: as the vendors use them; left out where a model refuses them.
        reasoning_effort: how much a model that reasons should think; None leaves it to the model.
        parallel_tool_calls: whether one answer may ask for several tools; None leaves it to the model.
        prompt_cache: mark the stable beginning of the prompt for the vendor's own cache, where it has marks.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: str = "auto"
    output_schema: JsonObject | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    timeout_s: float = 120.0
    metadata: dict[str, str] = field(default_factory=dict)
    top_p: float | None = None
    seed: int | None = None
    reasoning_effort: ReasoningEffort | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache: bool = False

    def to_json(self) -> JsonObject:
        """Return what decides the answer, as a JSON object: everything but the timeout, the metadata and the cache."""
        shown: JsonObject = {
            "model": self.model,
            "messages": [message.to_json() for message in self.messages],
            "tools": [tool.to_json() for tool in self.tools],
            "tool_choice": self.tool_choice,
            "output_schema": self.output_schema,
            "max_output_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "stop": list(self.stop),
        }
        # Left out when unset, so that the hashes of requests recorded before these existed stay the same.
        optional = {
            "top_p": self.top_p,
            "seed": self.seed,
            "reasoning_effort": self.reasoning_effort,
            "parallel_tool_calls": self.parallel_tool_calls,
        }
        return shown | {name: value for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens used.

    Attributes:
        input_tokens: all tokens read, the cached ones and the ones written to the cache included.
        output_tokens: all tokens written, the reasoning ones included.
        cached_input_tokens: the part of `input_tokens` read from the provider's cache.
        cache_write_tokens: the part of `input_tokens` written to the provider's cache.
        reasoning_tokens: the part of `output_tokens` spent on reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens read and written."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def to_json(self) -> JsonObject:
        """Return the usage as a JSON object."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_input_tokens": self.cached_input_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }

    @classmethod
    def from_json(cls, shown: JsonObject) -> "Usage":
        """Return the usage that `to_json` wrote; missing figures are 0."""
        return cls(**{name: int(shown.get(name) or 0) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """A whole answer.

    Attributes:
        message: role `assistant`; may hold text, reasoning and tool calls together.
        model: the name the provider answered with, often more exact than the one asked for.
        provider: the adapter's id.
        response_id: the provider's id of the answer, for support and reconciliation.
        usage_estimated: the provider did not say what was used; `usage` is our estimate.
    """

    message: Message
    finish_reason: FinishReason
    usage: Usage
    model: str
    provider: str
    response_id: str | None = None
    usage_estimated: bool = False

    def to_json(self) -> JsonObject:
        """Return the response as a JSON object."""
        shown: JsonObject = {
            "message": self.message.to_json(),
            "finish_reason": self.finish_reason,
            "usage": self.usage.to_json(),
            "model": self.model,
            "provider": self.provider,
            "response_id": self.response_id,
        }
        if self.usage_estimated:
            shown["usage_estimated"] = True
        return shown

    @classmethod
    def from_json(cls, shown: JsonObject) -> "ModelResponse":
        """Return the response that `to_json` wrote."""
        return cls(
            message=Message.from_json(shown["message"]),
            finish_reason=shown["finish_reason"],
            usage=Usage.from_json(shown["usage"]),
            model=shown["model"],
            provider=shown["provider"],
            response_id=shown.get("response_id"),
            usage_estimated=bool(shown.get("usage_estimated", False)),
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer while it streams.

    Attributes:
        kind: what the piece belongs to. For `tool_call`, `text` is a piece of the arguments.
        index: which part of the answer, from 0, in order of first appearance.
        id: the tool call's id, on the first piece of a `tool_call`; the thought's seal, on the last of a `reasoning`.
        name: the tool's name, on the first piece of a `tool_call`; that piece may have no text.
    """

    kind: Literal["text", "reasoning", "tool_call"]
    text: str
    index: int = 0
    id: str | None = None
    name: str | None = None
