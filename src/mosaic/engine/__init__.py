"""Durable execution: handlers that outlive the process, and effects that happen once."""

from mosaic.engine.calls import EffectCall, Outcome, Safety
from mosaic.engine.effects import Effects
from mosaic.engine.execution import Execution, Handler
from mosaic.engine.schemas import (
    EngineSettings,
    ExecutionInfo,
    ExecutionResult,
    ExecutionStatus,
    NodeInfo,
    QueueLimits,
    RetryPolicy,
    ScheduleInfo,
    Signal,
)
from mosaic.engine.service import Engine

__all__ = [
    "EffectCall",
    "Effects",
    "Engine",
    "EngineSettings",
    "Execution",
    "ExecutionInfo",
    "ExecutionResult",
    "ExecutionStatus",
    "Handler",
    "NodeInfo",
    "Outcome",
    "QueueLimits",
    "RetryPolicy",
    "Safety",
    "ScheduleInfo",
    "Signal",
]
