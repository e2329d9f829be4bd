"""What a call from outside tells an observer once it has ended: who asked, where it was tried, what it used."""

from typing import Any, Protocol

from mosaic.inference.attempt import Attempt
from mosaic.inference.door_call import DoorCall
from mosaic.observability import AttemptTrace, CallTrace
from mosaic.providers import Usage
from mosaic.routing import Decision, Target

__all__ = ["Ended", "trace_of", "usage_attributes"]

_OPERATIONS = {"openai.embeddings": "embeddings", "anthropic.count_tokens": "count_tokens"}
_NANOS_PER_USD = 1_000_000_000


class Ended(Protocol):
    """A call that has ended; see `Passage`."""

    call: DoorCall
    decision: Decision
    target: Target
    started: float
    first_byte_s: float | None
    outcome: str | None
    shadow: bool
    tries: list[Attempt]


def trace_of(passage: Ended, used: Usage, nanos: int | None, **answer: Any) -> CallTrace:
    """Return the trace of a call that has ended.

    Args:
        passage: the call.
        used: what it used.
        nanos: what it cost, in billionths of a dollar, when that is known.
        answer: `model`, `response_id`, `finish_reason` and `cached`.
    """
    call, decision, outcome = passage.call, passage.decision, passage.outcome
    reason = answer["finish_reason"]
    return CallTrace(
        _OPERATIONS.get(call.codec.name, "chat"),
        call.peek.model,
        passage.started,
        {
            "gen_ai.provider.name": passage.target.provider,
            "gen_ai.request.max_tokens": call.peek.max_tokens,
            "gen_ai.request.stream": call.peek.stream,
            "gen_ai.response.model": answer["model"],
            "gen_ai.response.id": answer["response_id"],
            "gen_ai.response.finish_reasons": [reason] if reason is not None else None,
            "gen_ai.response.time_to_first_chunk": passage.first_byte_s,
            **usage_attributes(used),
            "mosaic.request.id": call.request_id,
            "mosaic.tenant": call.payer.tenant,
            "mosaic.project": call.payer.project,
            "mosaic.key.id": call.payer.key_id,
            "mosaic.route": decision.route or None,
            "mosaic.rule": decision.rule,
            "mosaic.target": passage.target.id,
            "mosaic.wire": call.codec.name,
            "mosaic.outcome": outcome,
            "mosaic.cached": answer["cached"],
            "mosaic.shadow": True if passage.shadow else None,
            "mosaic.cost.usd": None if nanos is None else nanos / _NANOS_PER_USD,
        },
        error=None if outcome in ("ok", "cancelled") else outcome,
        parent=call.traceparent,
        attempts=[_attempt(attempt) for attempt in passage.tries if attempt.started],
    )


def usage_attributes(used: Usage) -> dict[str, int]:
    """Return what a call used, as OpenTelemetry names it."""
    return {
        "gen_ai.usage.input_tokens": used.input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cached_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": used.cache_write_tokens,
    }


def _attempt(attempt: Attempt) -> AttemptTrace:
    taken_ms = attempt.summary.get("ms")
    return AttemptTrace(
        attempt.target.provider,
        attempt.target.model or "",
        attempt.started,
        None if taken_ms is None else taken_ms / 1000,
        attempt.first_byte_s,
        attempt.summary.get("error"),
    )
