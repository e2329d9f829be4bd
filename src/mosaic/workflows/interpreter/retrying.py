"""A definition's `retry` in the engine's words."""

from mosaic.engine import RetryPolicy
from mosaic.workflows.steps import Retry

__all__ = ["retry_policy"]


def retry_policy(retry: Retry) -> RetryPolicy:
    """Return the engine's policy for a step's `retry`."""
    return RetryPolicy(
        attempts=retry.attempts,
        base_s=retry.delay_s,
        factor=retry.factor,
        max_s=retry.max_delay_s,
        jitter=retry.jitter,
        on=frozenset(retry.on) or None,
    )
