"""What keeps one failure from becoming many: limits, breakers, budgets. In memory, the clock injected, nearly free."""

from mosaic.resilience.averages import Ewma
from mosaic.resilience.breaker import BreakerSettings, BreakerState, CircuitBreaker
from mosaic.resilience.buckets import TokenBucket
from mosaic.resilience.bulkhead import Bulkhead
from mosaic.resilience.clock import MonotonicClock, monotonic
from mosaic.resilience.credentials import CredentialLimit
from mosaic.resilience.healing import Diagnosis, HealingReport, heal
from mosaic.resilience.hedging import HedgePolicy
from mosaic.resilience.prediction import Outlook, PredictiveHealth
from mosaic.resilience.retries import RetryBudget, backoff_s
from mosaic.resilience.shedding import LoadShed, LoopDelay

__all__ = [
    "BreakerSettings",
    "BreakerState",
    "Bulkhead",
    "CircuitBreaker",
    "CredentialLimit",
    "Diagnosis",
    "Ewma",
    "HealingReport",
    "HedgePolicy",
    "LoadShed",
    "LoopDelay",
    "MonotonicClock",
    "Outlook",
    "PredictiveHealth",
    "RetryBudget",
    "TokenBucket",
    "backoff_s",
    "heal",
    "monotonic",
]
