"""What the AI providers can be asked for: one interface over all vendors, and what each of them does besides."""

import base64
import json
from typing import Any

import pytest

from mosaic.providers import (
    AiProvider,
    BlobPart,
    Delta,
    Embedder,
    EmbeddingRequest,
    FileStore,
    FineTuner,
    FineTuneRequest,
    Message,
    ModelRecipe,
    ModelRequest,
    ModelResponse,
    ModelStore,
    ModerationRequest,
    Moderator,
    Speaker,
    SpeechRequest,
    TextPart,
    TokenCounter,
    ToolDefinition,
    Transcriber,
    TranscriptionRequest,
    UriPart,
)
from mosaic.providers.artifacts import generate_artifacts
from mosaic.providers.xml_answers import complete_xml
from tests.plugins.test_embeddings import EMBEDDERS, embed_all
from tests.plugins.test_ollama_store import PULLING
from tests.plugins.vendors import MODEL_OF, VENDORS, Said, make_provider, reply, stream
from tests.providers.endpoint import Endpoint, Reply, json_reply, line_reply

pytestmark = pytest.mark.anyio

ASK = (Message.of("user", "Say hello."),)
TOOL = ToolDefinition("files.read", "Read a file.", {"type": "object", "properties": {}})
# What each vendor's adapter offers besides answering.
OFFERS: dict[str, tuple[Any, ...]] = {
    "openai": (Embedder, TokenCounter, FineTuner, Transcriber, Speaker, Moderator, FileStore),
    "anthropic": (TokenCounter, FileStore),
    "gemini": (Embedder, TokenCounter),
    "cohere": (Embedder,),
    "ollama": (Embedder, ModelStore),
}


@pytest.mark.requirement("ORC-196", "ENT-43", "ORC-213")
@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_same_request_is_answered_by_every_vendor_whole_and_in_pieces(
    endpoint: Endpoint, vendor: str
):
    provider = make_provider(vendor, endpoint.url)
    request = ModelRequest(MODEL_OF[vendor], ASK, tools=(TOOL,), timeout_s=10)
    said = Said("Hello.", calls=(("c1", "files_read", "{}"),))
    endpoint.will(reply(vendor, said))
    whole = await provider.complete(request, idempotency_key="k")
    endpoint.will(stream(vendor, said))
    *pieces, streamed = [item async for item in provider.stream(request, idempotency_key="k")]
    await provider.close()
    assert isinstance(provider, AiProvider)
    assert isinstance(whole, ModelResponse)
    assert streamed == whole
    assert whole.message.text == "Hello."
    assert [call.name for call in whole.message.tool_calls] == ["files.read"]
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (11, 7)
    assert all(isinstance(piece, Delta) for piece in pieces)


@pytest.mark.requirement("ORC-196", "ORC-197", "ORC-207", "ORC-213", "ORC-04")
@pytest.mark.parametrize("vendor", OFFERS)
def test_each_vendor_offers_what_its_api_has(vendor: str):
    provider = make_provider(vendor, "http://127.0.0.1:1")
    every = (Embedder, TokenCounter, FineTuner, ModelStore, Transcriber, Speaker, Moderator, FileStore)
    assert [one for one in every if isinstance(provider, one)] == [
        one for one in every if one in OFFERS[vendor]
    ]


@pytest.mark.requirement("ORC-196", "ORC-212", "ORC-213")
@pytest.mark.parametrize("vendor", EMBEDDERS)
async def test_a_list_of_texts_becomes_a_list_of_vectors(endpoint: Endpoint, vendor: str):
    embed_all(endpoint, vendor)
    provider = make_provider(vendor, endpoint.url)
    found = await provider.embed(EmbeddingRequest(EMBEDDERS[vendor], ("a", "bb"), timeout_s=10))
    await provider.close()
    assert found.vectors == ((1.0, 0.5), (2.0, 0.5))


@pytest.mark.requirement("ORC-35", "ORC-198", "ORC-203")
def test_what_a_router_needs_to_know_of_a_model_is_declared():
    at = "http://127.0.0.1:1"
    openai, ollama = make_provider("openai", at), make_provider("ollama", at)
    assert "vision" in openai.capabilities("gpt-4-turbo").features
    assert "vision" not in openai.capabilities("gpt-3.5-turbo").features
    assert make_provider("anthropic", at).capabilities("claude-sonnet-5-5").context_tokens > 100_000
    assert ollama.capabilities("llama3.1").local
    assert not openai.capabilities("gpt-4-turbo").local


@pytest.mark.requirement("ORC-200", "ORC-197")
async def test_an_image_at_an_address_is_looked_at(endpoint: Endpoint):
    openai = make_provider("openai", endpoint.url)
    endpoint.will(reply("openai", Said("A cat.")))
    look = Message("user", (TextPart("What is it?"), UriPart("image", None, "https://x.test/cat.png")))
    answer = await openai.complete(ModelRequest("gpt-4o", (look,), timeout_s=10), idempotency_key="k")
    await openai.close()
    assert answer.message.text == "A cat."
    text, image = endpoint.last.json["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    # Not the bare text of the first API: an object.
    assert image == {"type": "image_url", "image_url": {"url": "https://x.test/cat.png"}}


@pytest.mark.requirement("ORC-206", "ORC-202")
async def test_a_document_is_analysed(endpoint: Endpoint):
    anthropic = make_provider("anthropic", endpoint.url)
    endpoint.will(reply("anthropic", Said("It is about bees.")))
    data = base64.b64encode(b"%PDF-1.7").decode()
    ask = Message("user", (BlobPart("document", "application/pdf", data), TextPart("What is it about?")))
    request = ModelRequest("claude-sonnet-5-5", (ask,), max_output_tokens=4096, timeout_s=10)
    answer = await anthropic.complete(request, idempotency_key="k")
    await anthropic.close()
    assert answer.message.text == "It is about bees."
    document = endpoint.last.json["messages"][0]["content"][0]
    assert document["source"] == {"type": "base64", "media_type": "application/pdf", "data": data}
    assert endpoint.last.json["max_tokens"] == 4096


@pytest.mark.requirement("ORC-201", "ORC-197")
async def test_a_recording_is_written_down_and_a_text_read_aloud(endpoint: Endpoint):
    openai = make_provider("openai", endpoint.url)
    endpoint.will(json_reply({"text": "Guten Tag."}))
    heard = await openai.transcribe(TranscriptionRequest("whisper-1", b"RIFF", "a.wav", language="de"))
    endpoint.will(Reply((b"sound",), headers={"content-type": "audio/mpeg"}))
    spoken = await openai.speak(SpeechRequest("tts-1-hd", "Guten Tag.", "alloy"))
    await openai.close()
    assert (heard.text, heard.language) == ("Guten Tag.", "de")
    assert (spoken.audio, spoken.mime_type) == (b"sound", "audio/mpeg")


@pytest.mark.requirement("ORC-197")
async def test_content_is_judged_and_a_model_trained_further(endpoint: Endpoint):
    openai = make_provider("openai", endpoint.url)
    result = {"flagged": True, "categories": {"hate": True}, "category_scores": {"hate": 0.9}}
    endpoint.will(json_reply({"id": "m", "model": "omni-moderation-latest", "results": [result]}))
    (verdict,) = await openai.moderate(ModerationRequest(texts=("...",)))
    assert (verdict.flagged, verdict.categories) == (True, ("hate",))
    job = {"id": "ftjob-1", "model": "gpt-4o-mini", "status": "queued"}
    endpoint.will(json_reply(job))
    assert (await openai.start_fine_tune(FineTuneRequest("gpt-4o-mini", "file-1"))).status == "queued"
    endpoint.will(json_reply({**job, "status": "succeeded", "fine_tuned_model": "ft:ours"}))
    assert (await openai.fine_tune("ftjob-1")).result_model == "ft:ours"
    await openai.close()


@pytest.mark.requirement("ORC-204", "ORC-202")
async def test_an_answer_in_xml_is_taken_apart(endpoint: Endpoint):
    anthropic = make_provider("anthropic", endpoint.url)
    endpoint.will(reply("anthropic", Said("<answer><risk>low</risk><why>a < b</why></answer>")))
    request = ModelRequest("claude-sonnet-5-5", ASK, timeout_s=10)
    answer = await complete_xml(anthropic, request, ["risk", "why"], idempotency_key="k")
    await anthropic.close()
    assert answer.value == {"risk": "low", "why": "a < b"}


@pytest.mark.requirement("ORC-205", "ORC-202")
async def test_an_artifact_comes_beside_what_is_said(endpoint: Endpoint):
    anthropic = make_provider("anthropic", endpoint.url)
    said = 'Here.\n<artifact id="a" type="svg" title="A dot">\n<svg/>\n</artifact>'
    endpoint.will(reply("anthropic", Said(said)))
    request = ModelRequest("claude-sonnet-5-5", ASK, timeout_s=10)
    answer = await generate_artifacts(anthropic, request, "svg", idempotency_key="k")
    await anthropic.close()
    assert answer.text == "Here."
    assert [(one.type, one.content) for one in answer.artifacts] == [("svg", "<svg/>")]


@pytest.mark.requirement("ORC-207", "ORC-209", "ORC-210", "ORC-208")
async def test_a_local_model_is_downloaded_and_made_into_another(endpoint: Endpoint):
    ollama = make_provider("ollama", endpoint.url)
    endpoint.will(line_reply(PULLING))
    assert [step.share async for step in ollama.pull("llama3.1")][2] == 0.4
    endpoint.will(line_reply([{"status": "success"}]))
    recipe = ModelRecipe(
        "ours",
        base="llama3.1",
        system="You are brief.",
        template="{{ .Prompt }}",
        parameters={"temperature": 0.7, "top_k": 40, "top_p": 0.9},
        quantize="q4_K_M",
    )
    assert [step.status async for step in ollama.create_model(recipe)] == ["success"]
    await ollama.close()
    # The fields of today's API, not a file of instructions.
    assert endpoint.last.json["from"] == "llama3.1"
    assert endpoint.last.json["parameters"] == {"temperature": 0.7, "top_k": 40, "top_p": 0.9}


@pytest.mark.requirement("ORC-211", "ORC-207")
async def test_a_local_model_runs_on_the_gpu_as_configured(endpoint: Endpoint):
    gpu = {"num_gpu": -1, "num_thread": 4, "num_batch": 512}
    ollama = make_provider("ollama", endpoint.url, options=gpu)
    endpoint.will(reply("ollama", Said("Hello.")))
    await ollama.complete(ModelRequest("llama3.1", ASK, timeout_s=10), idempotency_key="k")
    await ollama.close()
    assert gpu.items() <= endpoint.last.json["options"].items()


@pytest.mark.requirement("ENT-46")
async def test_a_model_of_ones_own_behind_any_compatible_server_is_declared_and_used(endpoint: Endpoint):
    declared = {"lab/": {"context_tokens": 32_000, "images": False, "input_usd_per_mtok": 0.1}}
    lab = make_provider("openai", endpoint.url, models=declared)
    lab.name = "lab"
    endpoint.will(reply("openai", Said("Hello.")))
    answer = await lab.complete(ModelRequest("lab/ours", ASK, timeout_s=10), idempotency_key="k")
    await lab.close()
    assert (answer.provider, answer.message.text) == ("lab", "Hello.")
    able = lab.capabilities("lab/ours")
    assert (able.context_tokens, able.images, able.price.input_usd_per_mtok) == (32_000, False, 0.1)
    assert json.loads(endpoint.last.body)["model"] == "lab/ours"
