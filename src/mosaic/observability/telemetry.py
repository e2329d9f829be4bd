"""Spans of model calls for OpenTelemetry, in its GenAI conventions: one for each call, below it one for each attempt.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set and the extra `telemetry` is installed; then nothing of OpenTelemetry
is imported, and who makes calls pays for a comparison with None. Spans are made when a call has ended, from what was
noted on its way: a stream has no task of its own in which a span could be open. They hold no prompt and no answer.
"""

import importlib.util
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mosaic.observability.logs import get_logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["AttemptTrace", "CallTrace", "Telemetry", "open_telemetry"]

_log = get_logger(__name__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NANOS = 1_000_000_000


@dataclass(slots=True)
class AttemptTrace:
    """One attempt of a call.

    Attributes:
        provider: the instance's name.
        model: the vendor's name.
        started: on the monotonic clock, in seconds.
        taken_s: until its end; None when it had not ended with the call.
        first_byte_s: until the answer began.
        error: the code of what went wrong; None when nothing did.
    """

    provider: str
    model: str
    started: float
    taken_s: float | None = None
    first_byte_s: float | None = None
    error: str | None = None


@dataclass(slots=True)
class CallTrace:
    """A call that has ended.

    Attributes:
        operation: `chat`, `embeddings` or whatever was asked.
        model: as the caller named it.
        started: on the monotonic clock, in seconds.
        attributes: more attributes of its span; None values are left out.
        error: the code of what went wrong; None when it was answered, or its caller left.
        parent: the caller's ``traceparent``, when it sent one.
    """

    operation: str
    model: str
    started: float
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    parent: str | None = None
    attempts: list[AttemptTrace] = field(default_factory=list)


class Telemetry:
    """Makes spans of calls and hands them to an exporter.

    Args:
        exporter: takes finished spans.
        version: of this software.
        batched: whether they leave in batches, from a thread of their own; else at once.
    """

    def __init__(self, exporter: "SpanExporter", *, version: str = "", batched: bool = True) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        # What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) wins over our own name.
        ours = Resource({SERVICE_NAME: "mosaic", SERVICE_VERSION: version})
        said = Resource.create()
        if str(said.attributes.get(SERVICE_NAME)).startswith("unknown_service"):
            said = said.merge(ours)
        self._provider = TracerProvider(resource=said, shutdown_on_exit=False)
        processor = BatchSpanProcessor(exporter) if batched else SimpleSpanProcessor(exporter)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("mosaic", version)
        self._below = set_span_in_context
        self._extract = TraceContextTextMapPropagator().extract
        self._client, self._internal = SpanKind.CLIENT, SpanKind.INTERNAL
        self._failed: Callable[[str], Any] = partial(Status, StatusCode.ERROR)

    def record(self, call: CallTrace) -> None:
        """Make the spans of a call that has ended. Whatever goes wrong here is logged and harms nobody."""
        try:
            self._record(call)
        except Exception:  # noqa: BLE001  # a call must not fail because nobody can watch it
            _log.exception("the spans of a call could not be made")

    def close(self) -> None:
        """Send what was made so far, and stop; waits for that, some seconds at most."""
        self._provider.shutdown()  # type: ignore[no-untyped-call,unused-ignore]  # it has no types

    def _record(self, call: CallTrace) -> None:
        ended, moment = time.time_ns(), time.monotonic()

        def wall(at: float) -> int:
            return ended - round((moment - at) * _NANOS)

        shared = {"gen_ai.operation.name": call.operation}
        context = self._extract({"traceparent": call.parent}) if call.parent else None
        span = self._tracer.start_span(
            f"{call.operation} {call.model}".strip(),
            context=context,
            kind=self._internal,
            attributes=_known({**shared, "gen_ai.request.model": call.model, **call.attributes}),
            start_time=wall(call.started),
        )
        if call.error is not None:
            span.set_attribute("error.type", call.error)
            span.set_status(self._failed(call.error))
        below = self._below(span)
        for number, attempt in enumerate(call.attempts, 1):
            told = {
                **shared,
                "gen_ai.provider.name": attempt.provider,
                "gen_ai.request.model": attempt.model,
                "gen_ai.response.time_to_first_chunk": attempt.first_byte_s,
                "mosaic.attempt": number,
                "error.type": attempt.error,
            }
            child = self._tracer.start_span(
                f"{call.operation} {attempt.provider}:{attempt.model}",
                context=below,
                kind=self._client,
                attributes=_known(told),
                start_time=wall(attempt.started),
            )
            if attempt.error is not None:
                child.set_status(self._failed(attempt.error))
            child.end(ended if attempt.taken_s is None else wall(attempt.started + attempt.taken_s))
        span.end(ended)


def _known(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def open_telemetry(environ: Mapping[str, str], *, version: str = "") -> Telemetry | None:
    """Return what makes spans; None unless an endpoint is set and the extra is installed.

    Args:
        environ: where it is switched on. The exporter reads its own variables (headers, timeouts, certificates) of the
            process.
        version: of this software.
    """
    if not any(environ.get(name, "").strip() for name in _ENDPOINTS):
        return None
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return None
    if not _installed():
        _log.warning("no spans are sent: install the extra, `pip install 'mosaicstack[telemetry]'`")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # an extra
        OTLPSpanExporter,
    )

    return Telemetry(OTLPSpanExporter(), version=version)


def _installed() -> bool:
    try:
        found = importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        return found is not None and importlib.util.find_spec("opentelemetry.sdk.trace") is not None
    except (ImportError, ValueError):
        return False
