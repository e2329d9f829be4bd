"""Spans of model calls: one for each call, one below it for each attempt, and nothing at all when it is off."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mosaic.core.errors import InvalidInput
from mosaic.cost import Cost
from mosaic.engine import Effects
from mosaic.inference import Inference
from mosaic.observability import CallTrace, Telemetry, open_telemetry
from mosaic.providers import Message, ModelRequest, ProviderRegistry
from mosaic.providers.testing.endpoint import json_reply, running_endpoint
from tests.app.site import WAIT_S, database
from tests.gateway.conftest import GatewaySite, chat_reply, chat_stream, open_gateway
from tests.inference.conftest import SETTINGS

pytestmark = pytest.mark.anyio

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def traced(
    request: pytest.FixtureRequest, tmp_path: Path, exporter: InMemorySpanExporter
) -> AsyncIterator[GatewaySite]:
    """A gateway whose spans are kept."""
    telemetry = Telemetry(exporter, version="9", batched=False)
    with database(request, "sqlite", tmp_path) as url:
        async with (
            asyncio.timeout(2 * WAIT_S),
            open_gateway(tmp_path / "home", url, telemetry=telemetry) as site,
        ):
            yield site


def spans(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The one call's span, and those of its attempts in their order."""
    found = exporter.get_finished_spans()
    (call,) = [span for span in found if span.kind is SpanKind.INTERNAL]
    attempts = [span for span in found if span.kind is SpanKind.CLIENT]
    assert len(attempts) + 1 == len(found)
    for attempt in attempts:
        assert attempt.parent is not None
        assert attempt.parent.span_id == call.context.span_id
        assert call.start_time <= attempt.start_time <= attempt.end_time <= call.end_time
    return call, sorted(attempts, key=lambda span: span.attributes["mosaic.attempt"])


@pytest.mark.requirement("MOZ-132", "ORC-224", "MAOS-42")
async def test_a_call_that_fails_over_is_one_span_with_one_below_for_each_attempt(
    traced: GatewaySite, exporter: InMemorySpanExporter
) -> None:
    traced.openai.will(json_reply({"error": {"message": "busy"}}, status=500))
    traced.route("both", "openai.chat", "anthropic.messages", strategy="ordered")
    answer = await traced.post(
        "/v1/chat/completions",
        {"model": "both", "messages": [{"role": "user", "content": "a very private prompt"}]},
        headers={"traceparent": PARENT},
    )
    assert answer.status_code == 200
    call, (first, second) = spans(exporter)
    assert (call.name, call.status.status_code) == ("chat both", StatusCode.UNSET)
    assert f"{call.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{call.parent.span_id:016x}" == PARENT.split("-")[2]
    told = dict(call.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == told["mosaic.route"] == "both"
    assert told["gen_ai.provider.name"] == "anthropic"
    assert told["gen_ai.usage.input_tokens"] > 0
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["mosaic.outcome"] == "ok"
    assert told["mosaic.cost.usd"] > 0
    assert told["mosaic.request.id"] == answer.headers["x-request-id"]
    assert (first.attributes["gen_ai.provider.name"], first.attributes["error.type"]) == (
        "openai",
        "unavailable",
    )
    assert first.status.status_code is StatusCode.ERROR
    assert second.attributes["gen_ai.provider.name"] == "anthropic"
    assert "error.type" not in second.attributes
    assert call.resource.attributes["service.name"] == "mosaic"


async def test_neither_prompts_nor_answers_nor_keys_are_in_spans(
    traced: GatewaySite, exporter: InMemorySpanExporter
) -> None:
    traced.openai.will(chat_reply("a very private answer"))
    body = {"model": "fast", "messages": [{"role": "user", "content": "a very private prompt"}]}
    assert (await traced.post("/v1/chat/completions", body)).status_code == 200
    traced.openai.will(json_reply({"error": {"message": "wrong key sk-upstream-openai"}}, status=401))
    assert (await traced.chat()).status_code == 503
    written = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "gpt-4o" in written
    for secret in ("private", traced.key, "sk-upstream-openai"):
        assert secret not in written


async def test_a_stream_is_one_span_that_ends_with_it(
    traced: GatewaySite, exporter: InMemorySpanExporter
) -> None:
    traced.openai.will(chat_stream("Hello", " there"))
    answer = await traced.chat(stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    call, (attempt,) = spans(exporter)
    assert call.attributes["gen_ai.request.stream"] is True
    assert call.attributes["gen_ai.usage.output_tokens"] > 0
    assert attempt.attributes["gen_ai.response.time_to_first_chunk"] >= 0


async def test_a_refused_call_has_no_attempts_and_a_known_answer_says_so(
    traced: GatewaySite, exporter: InMemorySpanExporter
) -> None:
    traced.openai.will(json_reply({"error": {"message": "no"}}, status=500))
    assert (await traced.chat()).status_code >= 500
    call, attempts = spans(exporter)
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == "unavailable"
    assert len(attempts) >= 1
    exporter.clear()
    traced.openai.will(chat_reply())
    traced.application.model.guards.forget("openai")
    traced.route("kept", "openai.chat", cache="1m")
    for _ in range(2):
        assert (await traced.chat("kept")).status_code == 200
    first, second = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.INTERNAL]
    assert (first.attributes["mosaic.cached"], second.attributes["mosaic.cached"]) == (False, True)
    assert len([span for span in exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]) == 1


@pytest.fixture
async def agent(
    redactor: Any, cost: Cost, exporter: InMemorySpanExporter
) -> AsyncIterator[tuple[Inference, Any]]:
    """The agents' door to a scripted OpenAI, with spans kept."""
    async with running_endpoint() as endpoint:
        registry = ProviderRegistry(
            redactor=redactor,
            environment={"OPENAI_API_KEY": "sk-x"},
            settings={"openai": {"base_url": f"{endpoint.url}/v1"}},
        )
        telemetry = Telemetry(exporter, batched=False)
        yield Inference(registry, cost, SETTINGS, telemetry=telemetry), endpoint
        await registry.close()


@pytest.fixture
def cost(database: Any) -> Cost:
    return Cost(database)


@pytest.fixture
def effects(journal: Any, ctx: Any) -> Callable[[], Effects]:
    return lambda: Effects.open(journal, ctx, "run_1", path="build")


@pytest.mark.requirement("MOZ-132", "MAOS-42")
async def test_an_agents_call_is_one_span_and_a_replayed_one_is_none(
    agent: tuple[Inference, Any], effects: Callable[[], Effects], exporter: InMemorySpanExporter
) -> None:
    inference, endpoint = agent
    endpoint.will(json_reply({"error": {"message": "busy"}}, status=500), chat_reply())
    asked = ModelRequest("", (Message.of("user", "a very private prompt"),), timeout_s=10)
    for _ in range(2):
        await inference.complete(effects(), "ask", asked, model="openai:gpt-4o", agent="coder")
    call, (first, second) = spans(exporter)
    assert (call.attributes["gen_ai.agent.name"], call.attributes["gen_ai.conversation.id"]) == (
        "coder",
        "run_1",
    )
    assert call.attributes["gen_ai.usage.input_tokens"] == 10
    assert first.attributes["error.type"] == "unavailable"
    assert "error.type" not in second.attributes
    assert "private" not in call.to_json()
    with pytest.raises(InvalidInput):
        await inference.complete(effects(), "other", asked, model=(), agent="coder")
    assert len(exporter.get_finished_spans()) == 3


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
     {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}],
)  # fmt: skip
def test_it_is_off_without_an_endpoint_or_when_switched_off(environ: dict[str, str]) -> None:
    assert open_telemetry(environ) is None


def test_without_the_extra_it_is_off_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    assert open_telemetry(ENDPOINT) is None
    assert "mosaicstack[telemetry]" in caplog.text


async def test_an_exporter_that_fails_harms_no_call() -> None:
    class Broken(SpanExporter):
        def export(self, _spans: Any) -> SpanExportResult:
            raise RuntimeError("no way out")

    telemetry = Telemetry(Broken(), batched=False)
    telemetry.record(CallTrace("chat", "fast", 0.0, {"odd": object()}))
    telemetry.close()
