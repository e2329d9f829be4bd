"""Texts become vectors at every vendor that makes them, in order, counted and within the vendor's limits."""

import base64
import struct

import pytest

from mosaic.core.errors import ContractViolation, InvalidInput, NotFound, TimedOut
from mosaic.providers import Embedder, EmbeddingRequest, Usage
from tests.plugins import contracts
from tests.plugins.vendors import make_provider
from tests.providers.endpoint import Reply, json_reply

pytestmark = pytest.mark.anyio

EMBEDDERS = {
    "openai": "text-embedding-3-small",
    "gemini": "gemini-embedding-001",
    "cohere": "embed-v4.0",
    "ollama": "nomic-embed-text",
}
INPUTS = {
    "openai": lambda body: body["input"],
    "gemini": lambda body: [asked["content"]["parts"][0]["text"] for asked in body["requests"]],
    "cohere": lambda body: body["texts"],
    "ollama": lambda body: body["input"],
}
every_embedder = pytest.mark.parametrize("vendor", EMBEDDERS)


def vector(text):
    return [float(len(text)), 0.5]


def answer(vendor, texts):
    """What the vendor answers; the vectors tell which text they are of."""
    vectors, read = [vector(text) for text in texts], sum(map(len, texts))
    if vendor == "openai":
        # Out of order, as a server that works in parallel may answer.
        data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)][::-1]
        usage = {"prompt_tokens": read, "total_tokens": read}
        return {"object": "list", "model": "text-embedding-3-small", "data": data, "usage": usage}
    if vendor == "gemini":
        embeddings = [{"values": v} for v in vectors]
        return {"embeddings": embeddings, "usageMetadata": {"promptTokenCount": read}}
    if vendor == "cohere":
        meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": read}}
        return {
            "id": "e1",
            "api_version": {"version": "2"},
            "embeddings": {"float": vectors},
            "texts": texts,
            "meta": meta,
            "response_type": "embeddings_by_type",
        }
    return {"model": "nomic-embed-text", "embeddings": vectors, "prompt_eval_count": read}


def embed_all(endpoint, vendor):
    endpoint.answer = lambda received: json_reply(answer(vendor, INPUTS[vendor](received.json)))


async def embed(endpoint, vendor, *inputs, **fields):
    provider = make_provider(vendor, endpoint.url)
    try:
        given = {"model": EMBEDDERS[vendor], "inputs": inputs, "timeout_s": 10, **fields}
        return await provider.embed(EmbeddingRequest(**given))
    finally:
        await provider.close()


@pytest.mark.requirement("ORC-196", "ORC-197", "ORC-207", "ORC-212", "ORC-213")
@every_embedder
async def test_each_text_has_its_vector_in_order(endpoint, vendor):
    embed_all(endpoint, vendor)
    assert isinstance(make_provider(vendor, endpoint.url), Embedder)
    response = await embed(endpoint, vendor, "a", "bb", "ccc")
    assert response.vectors == ((1.0, 0.5), (2.0, 0.5), (3.0, 0.5))
    assert response.usage == Usage(input_tokens=6)
    assert not response.usage_estimated
    assert response.provider == vendor


@every_embedder
@pytest.mark.parametrize("fields", [{}, {"dimensions": 256, "purpose": "query"}], ids=["plain", "all"])
async def test_what_is_sent_and_scripted_fits_the_vendors_own_description(endpoint, vendor, fields):
    contracts.need(vendor)
    embed_all(endpoint, vendor)
    await embed(endpoint, vendor, "a", "bb", **fields)
    contracts.check(vendor, "embed request", endpoint.last.json)
    contracts.check(vendor, "embed response", answer(vendor, ["a", "bb"]))


@pytest.mark.parametrize(
    ("vendor", "shown"),
    [
        ("cohere", {"input_type": "search_query"}),
        ("gemini", {"taskType": "RETRIEVAL_QUERY"}),
    ],
)
async def test_what_the_vectors_are_for_is_told_where_the_vendor_asks(endpoint, vendor, shown):
    embed_all(endpoint, vendor)
    await embed(endpoint, vendor, "a", purpose="query")
    body = endpoint.last.json
    assert shown.items() <= (body["requests"][0] if vendor == "gemini" else body).items()


async def test_geminis_second_generation_refuses_to_be_told_what_vectors_are_for(endpoint):
    embed_all(endpoint, "gemini")
    await embed(endpoint, "gemini", "a", purpose="query", model="gemini-embedding-2")
    assert "taskType" not in endpoint.last.json["requests"][0]


@pytest.mark.parametrize(
    ("vendor", "sizes"),
    [("openai", [2048, 2]), ("gemini", [100, 100, 5]), ("cohere", [96, 96, 13]), ("ollama", [256, 4])],
)
async def test_more_texts_than_the_vendor_takes_at_once_are_sent_in_parts(endpoint, vendor, sizes):
    embed_all(endpoint, vendor)
    texts = ["x" * (n % 7 + 1) for n in range(sum(sizes))]
    response = await embed(endpoint, vendor, *texts)
    assert [len(INPUTS[vendor](received.json)) for received in endpoint.requests] == sizes
    assert [row[0] for row in response.vectors] == [float(len(text)) for text in texts]
    assert response.usage.input_tokens == sum(map(len, texts))


async def test_vectors_in_base64_are_read(endpoint):
    raw = base64.b64encode(struct.pack("<2f", 1.5, -2.0)).decode()
    body = answer("openai", ["a"])
    body["data"][0]["embedding"] = raw
    endpoint.will(json_reply(body))
    assert (await embed(endpoint, "openai", "a")).vectors == ((1.5, -2.0),)


@every_embedder
async def test_a_vector_too_few_breaks_the_contract(endpoint, vendor):
    endpoint.will(json_reply(answer(vendor, ["a"])))
    with pytest.raises(ContractViolation, match="1 vectors for 2 texts"):
        await embed(endpoint, vendor, "a", "b")


@every_embedder
async def test_nothing_to_embed_is_refused_without_asking(endpoint, vendor):
    with pytest.raises(InvalidInput):
        await embed(endpoint, vendor)
    assert not endpoint.requests


@every_embedder
async def test_usage_that_the_vendor_does_not_tell_is_estimated(endpoint, vendor):
    body = answer(vendor, ["some words"])
    for name in ("usage", "usageMetadata", "meta", "prompt_eval_count"):
        body.pop(name, None)
    endpoint.will(json_reply(body))
    response = await embed(endpoint, vendor, "some words")
    assert response.usage_estimated
    assert response.usage.input_tokens > 0


@every_embedder
async def test_a_vendor_that_never_answers_times_out(endpoint, vendor):
    endpoint.will(Reply(then="hang"))
    with pytest.raises(TimedOut):
        await embed(endpoint, vendor, "a", timeout_s=0.3)


async def test_a_model_that_ollama_does_not_have_comes_with_the_command_to_get_it(endpoint):
    endpoint.will(json_reply({"error": "model 'nomic-embed-text' not found"}, status=404))
    with pytest.raises(NotFound) as caught:
        await embed(endpoint, "ollama", "a")
    assert caught.value.hint == "Run `ollama pull nomic-embed-text`."
