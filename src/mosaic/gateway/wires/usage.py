"""Token counts as each wire writes them.

OpenAI and we count cached tokens as part of the input; Anthropic counts them beside it.
"""

from typing import Any

from mosaic.providers import Usage

__all__ = [
    "chat_usage",
    "messages_usage",
    "read_chat_usage",
    "read_messages_usage",
    "read_responses_usage",
    "responses_usage",
]

_LIMIT = 2**53


def read_chat_usage(shown: Any) -> Usage | None:
    """Return the usage of a chat completion or of embeddings; None when it is not there."""
    if not isinstance(shown, dict) or not shown:
        return None
    get = shown.get
    details, more = get("prompt_tokens_details"), get("completion_tokens_details")
    if details is None and more is None:
        return Usage(_count(get("prompt_tokens")), _count(get("completion_tokens")))
    read, written = _object(details), _object(more)
    return Usage(
        input_tokens=_count(get("prompt_tokens")),
        output_tokens=_count(get("completion_tokens")),
        cached_input_tokens=_count(read.get("cached_tokens")),
        cache_write_tokens=_count(read.get("cache_write_tokens")),
        reasoning_tokens=_count(written.get("reasoning_tokens")),
    )


def read_responses_usage(shown: Any) -> Usage | None:
    """Return the usage of a response; None when it is not there."""
    if not isinstance(shown, dict) or not shown:
        return None
    read, written = _object(shown.get("input_tokens_details")), _object(shown.get("output_tokens_details"))
    return Usage(
        input_tokens=_count(shown.get("input_tokens")),
        output_tokens=_count(shown.get("output_tokens")),
        cached_input_tokens=_count(read.get("cached_tokens")),
        cache_write_tokens=_count(read.get("cache_write_tokens")),
        reasoning_tokens=_count(written.get("reasoning_tokens")),
    )


def read_messages_usage(shown: Any) -> Usage | None:
    """Return the usage of an Anthropic message; None when it is not there."""
    if not isinstance(shown, dict) or not shown:
        return None
    cached = _count(shown.get("cache_read_input_tokens"))
    stored = _count(shown.get("cache_creation_input_tokens"))
    details = _object(shown.get("output_tokens_details"))
    return Usage(
        input_tokens=_count(shown.get("input_tokens")) + cached + stored,
        output_tokens=_count(shown.get("output_tokens")),
        cached_input_tokens=cached,
        cache_write_tokens=stored,
        reasoning_tokens=_count(details.get("thinking_tokens")),
    )


def chat_usage(usage: Usage) -> dict[str, Any]:
    """Return `usage` as a chat completion shows it."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def responses_usage(usage: Usage) -> dict[str, Any]:
    """Return `usage` as a response shows it."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def messages_usage(usage: Usage) -> dict[str, Any]:
    """Return `usage` as an Anthropic message shows it."""
    beside = usage.cached_input_tokens + usage.cache_write_tokens
    return {
        "input_tokens": max(usage.input_tokens - beside, 0),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= _LIMIT else 0
