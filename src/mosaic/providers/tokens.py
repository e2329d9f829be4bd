"""How many tokens a request will cost, before it is sent: an estimate that leans upward.

Exact counts need each vendor's tokenizer or another request. Prose runs at four characters a token and code and
JSON nearer to three, so 3.5 with the frame of every message counted errs on the high side for the texts that
agents send. Text outside ASCII is counted by its bytes, because tokenizers split it further.
"""

import json
import math

from mosaic.core.values import JsonValue
from mosaic.providers.ai import (
    BlobPart,
    ModelRequest,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)

__all__ = ["estimate_text", "estimate_tokens"]

_CHARACTERS_PER_TOKEN = 3.5
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_TOOL = 16
_TOKENS_PER_REQUEST = 32
# A large image is about 1,600 tokens at Anthropic and up to 1,445 (high detail, 4 tiles and base) at OpenAI.
_TOKENS_PER_IMAGE = 1_600
# A page of a PDF is 1,500-3,000 tokens and rarely under 50 KB; one token for 20 bytes of base64 covers it.
_BASE64_BYTES_PER_TOKEN = 20


def estimate_text(text: str) -> int:
    """Return about how many tokens `text` takes, rounded up."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return math.ceil(size / _CHARACTERS_PER_TOKEN)


def estimate_tokens(request: ModelRequest) -> int:
    """Return about how many input tokens `request` takes: messages, tools, schema, images."""
    total = _TOKENS_PER_REQUEST
    for message in request.messages:
        total += _TOKENS_PER_MESSAGE + sum(_part(part) for part in message.parts)
    for tool in request.tools:
        total += _TOKENS_PER_TOOL + estimate_text(tool.name + tool.description) + _json(tool.parameters)
    if request.output_schema is not None:
        total += _json(request.output_schema)
    return total


def _json(value: JsonValue) -> int:
    return estimate_text(json.dumps(value, ensure_ascii=False))


def _part(part: Part) -> int:
    if isinstance(part, TextPart):
        return estimate_text(part.content)
    if isinstance(part, ReasoningPart):
        return estimate_text(part.content + (part.signature or "") + (part.redacted or ""))
    if isinstance(part, ToolCallPart):
        return _TOKENS_PER_TOOL + _json(part.arguments)
    if isinstance(part, ToolCallResponsePart):
        return _TOKENS_PER_TOOL + estimate_text(part.text)
    if isinstance(part, BlobPart) and part.modality != "image":
        return math.ceil(len(part.content) / _BASE64_BYTES_PER_TOKEN)
    return _TOKENS_PER_IMAGE
