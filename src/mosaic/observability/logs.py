"""Logs: one JSON object per line on stderr, or a short line for a person; never with a secret in it."""

import json
import logging
import sys
from typing import Any, Literal

from mosaic.core.redaction import Redactor
from mosaic.core.values import to_json

__all__ = ["configure_logging", "get_logger"]

_OURS = "mosaic"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; pass facts as `extra={...}` so that they become fields."""
    return logging.getLogger(name)


class _Formatter(logging.Formatter):
    def __init__(self, redactor: Redactor, style: Literal["json", "text"]) -> None:
        super().__init__()
        self._redactor = redactor
        self._as_json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        extra: dict[str, Any] = {k: to_json(v) for k, v in vars(record).items() if k not in _STANDARD}
        trace = self.formatException(record.exc_info) if record.exc_info else None
        if self._as_json:
            line: dict[str, Any] = {
                **extra,
                "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
            }
            if trace:
                line["trace"] = trace
            return json.dumps(self._redactor.value(line), ensure_ascii=False, default=str)
        masked = self._redactor.value(extra)
        facts = (
            " ".join(f"{key}={value}" for key, value in masked.items()) if isinstance(masked, dict) else ""
        )
        text = f"{record.levelname.lower()}: {record.getMessage()} {facts}".rstrip()
        if trace and not record.name.startswith(_OURS):
            # A library's own way through its code helps nobody at a terminal; what went wrong does.
            trace = trace.rstrip().rsplit("\n", 1)[-1]
        return self._redactor.text(f"{text}\n{trace}" if trace else text)


def configure_logging(
    *, redactor: Redactor, level: str = "WARNING", style: Literal["json", "text"] = "text"
) -> None:
    """Send the logs of this process to stderr in one style; called once, by the composition root."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(redactor, style))
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "_mosaic", False):
            root.removeHandler(old)
    handler._mosaic = True  # type: ignore[attr-defined]  # noqa: SLF001  # marks our own handler for the next call
    root.addHandler(handler)
    root.setLevel(level)
