"""Structured logs with correlation ids; secrets are masked before a line is written."""

from mosaic.observability.logs import configure_logging, get_logger

__all__ = ["configure_logging", "get_logger"]
