"""Structured logs with correlation ids, secrets masked before a line is written; spans of model calls."""

from mosaic.observability.logs import configure_logging, get_logger
from mosaic.observability.telemetry import AttemptTrace, CallTrace, Telemetry, open_telemetry

__all__ = ["AttemptTrace", "CallTrace", "Telemetry", "configure_logging", "get_logger", "open_telemetry"]
