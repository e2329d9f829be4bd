"""Ollama's own models: downloaded with progress, made, described and removed."""

import asyncio
from contextlib import aclosing

import pytest

from mosaic.core.errors import InvalidInput, NotFound, Unavailable, Unsupported
from mosaic.providers import ModelRecipe, ModelStore, StoreProgress
from tests.plugins import contracts
from tests.plugins.vendors import make_provider
from tests.providers.endpoint import json_reply, line_reply

pytestmark = pytest.mark.anyio

PULLING = [
    {"status": "pulling manifest"},
    {"status": "pulling aabb", "digest": "sha256:aabb", "total": 1000},
    {"status": "pulling aabb", "digest": "sha256:aabb", "total": 1000, "completed": 400},
    {"status": "pulling aabb", "digest": "sha256:aabb", "total": 1000, "completed": 1000},
    {"status": "verifying sha256 digest"},
    {"status": "success"},
]
SHOWN = {
    "parameters": "temperature 0.7",
    "template": "{{ .Prompt }}",
    "capabilities": ["completion", "tools", "thinking"],
    "details": {
        "format": "gguf",
        "family": "qwen3",
        "parameter_size": "8.2B",
        "quantization_level": "Q4_K_M",
    },
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40_960},
}


@pytest.fixture
async def ollama(endpoint):
    provider = make_provider("ollama", endpoint.url)
    yield provider
    await provider.close()


def fits(kind, body):
    if (contracts.FOLDER / contracts.FILES["ollama"]).is_file():
        contracts.check("ollama", kind, body)


@pytest.mark.requirement("ORC-209", "ORC-207")
async def test_a_download_says_how_far_it_has_come(endpoint, ollama):
    assert isinstance(ollama, ModelStore)
    for line in PULLING:
        fits("status", line)
    endpoint.will(line_reply(PULLING))
    steps = [step async for step in ollama.pull("qwen3:8b")]
    assert [step.share for step in steps] == [None, 0.0, 0.4, 1.0, None, None]
    assert steps[2] == StoreProgress("pulling aabb", "sha256:aabb", 400, 1000)
    fits("pull request", endpoint.last.json)
    assert endpoint.last.json["model"] == "qwen3:8b"


async def test_a_download_that_breaks_off_is_no_download(endpoint, ollama):
    endpoint.will(line_reply(PULLING[:3]))
    with pytest.raises(Unavailable, match="before it was done"):
        [step async for step in ollama.pull("qwen3:8b")]


async def test_a_model_that_nobody_offers_is_not_found(endpoint, ollama):
    error = {"error": "pull model manifest: file does not exist"}
    endpoint.will(line_reply([PULLING[0], error]))
    with pytest.raises(NotFound, match="qwen99"):
        [step async for step in ollama.pull("qwen99")]


async def test_leaving_a_download_ends_it(endpoint, ollama):
    endpoint.will(line_reply(PULLING[:2], then="hang"))
    async with asyncio.timeout(5):
        async with aclosing(ollama.pull("qwen3:8b")) as steps:
            async for _ in steps:
                break
        await endpoint.gone.wait()


@pytest.mark.requirement("ORC-210", "ORC-207")
async def test_a_model_is_made_from_a_base(endpoint, ollama):
    endpoint.will(line_reply([{"status": "creating new layer"}, {"status": "success"}]))
    recipe = ModelRecipe(
        "reviewer",
        base="qwen3:8b",
        system="You review code.",
        template="{{ .System }} {{ .Prompt }}",
        parameters={"temperature": 0.7, "top_k": 40, "top_p": 0.9},
        quantize="q4_K_M",
    )
    steps = [step async for step in ollama.create_model(recipe)]
    assert steps[-1].status == "success"
    fits("create request", endpoint.last.json)
    assert endpoint.last.json == {
        "model": "reviewer",
        "from": "qwen3:8b",
        "system": "You review code.",
        "template": "{{ .System }} {{ .Prompt }}",
        "parameters": {"temperature": 0.7, "top_k": 40, "top_p": 0.9},
        "quantize": "q4_K_M",
        "stream": True,
    }


@pytest.mark.requirement("ORC-208")
@pytest.mark.parametrize("kind", ["gguf", "safetensors", "ggml", "pytorch"])
async def test_weights_are_imported_in_the_formats_that_ollama_reads(endpoint, ollama, kind):
    endpoint.will(line_reply([{"status": "success"}]))
    recipe = ModelRecipe("mine", files={f"model.{kind}": "sha256:aa"}, format=kind)
    if kind in ("gguf", "safetensors"):
        [step async for step in ollama.create_model(recipe)]
        assert endpoint.last.json["files"] == {f"model.{kind}": "sha256:aa"}
        return
    with pytest.raises(Unsupported) as caught:
        [step async for step in ollama.create_model(recipe)]
    assert "gguf" in str(caught.value.hint)
    assert not endpoint.requests


@pytest.mark.parametrize("recipe", [ModelRecipe("a"), ModelRecipe("a", base="b", files={"c": "sha256:d"})])
async def test_a_recipe_has_one_source(endpoint, ollama, recipe):
    with pytest.raises(InvalidInput):
        [step async for step in ollama.create_model(recipe)]
    assert not endpoint.requests


@pytest.mark.requirement("ORC-207")
async def test_a_model_is_described_as_ollama_sees_it(endpoint, ollama):
    fits("show response", SHOWN)
    endpoint.will(json_reply(SHOWN))
    model = await ollama.local_model("qwen3:8b")
    assert (model.format, model.quantization, model.parameters) == ("gguf", "Q4_K_M", "8.2B")
    assert model.context_tokens == 40_960
    assert "tools" in model.capabilities
    fits("show request", endpoint.last.json)


async def test_a_model_is_removed(endpoint, ollama):
    endpoint.will(json_reply({}))
    await ollama.delete_model("qwen3:8b")
    assert (endpoint.last.method, endpoint.last.path) == ("DELETE", "/api/delete")
    fits("delete request", endpoint.last.json)
    endpoint.will(json_reply({"error": "model 'x' not found"}, status=404))
    with pytest.raises(NotFound):
        await ollama.delete_model("x")
