"""The inference room's section of the settings."""

from dataclasses import dataclass, field

from mosaic.engine import RetryPolicy
from mosaic.providers.catalog import DEFAULT_PROVIDERS

__all__ = ["InferenceSettings"]


@dataclass(frozen=True, slots=True)
class InferenceSettings:
    """How models are chosen and called.

    Attributes:
        defaults: what to use when an agent names no model, best first: ``provider:model``, or a provider's id alone
            for its own choice.
        max_output_tokens: the answer's limit where the request has none; a model's own limit, when lower, counts.
        least_output_tokens: how far that limit may be lowered so that the call still fits the run's budget. A
            limit that the request names is never lowered.
        retry: for errors that are worth another attempt.
        retry_with_fallback: the same while another model of the list is left to try.
        check_ttl_s: how long a provider's health is remembered.
    """

    defaults: tuple[str, ...] = DEFAULT_PROVIDERS
    max_output_tokens: int = 16_384
    least_output_tokens: int = 1_024
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=4, base_s=1.0, max_s=30.0))
    retry_with_fallback: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(
            attempts=2, base_s=1.0, on=frozenset({"unavailable", "timed_out"})
        )
    )
    check_ttl_s: float = 15.0
