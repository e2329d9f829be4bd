"""Model providers behind one interface: swapped, chosen by order, standing in for each other."""

import asyncio
import json

import pytest

from mosaic.core.redaction import Redactor
from mosaic.providers import Message, ModelRequest, ProviderRegistry
from tests.acceptance.installation import Installation, of, on_sqlite
from tests.plugins.vendors import KEY, MODELS, Said, reply
from tests.providers.endpoint import Endpoint, json_reply, running_endpoint

pytestmark = pytest.mark.anyio

ASK = """
agents: {a: {model: "openai:test-model", instructions: You are a.}}
do: [{one: {agent: a, with: go}}]
"""


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys in the environment, where they belong."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, KEY)


def at(installation: Installation, **urls: str) -> Installation:
    """Return the installation with providers at these addresses."""
    return Installation(
        installation.home, installation.database_url, {name: {"base_url": url} for name, url in urls.items()}
    )


@on_sqlite
@pytest.mark.requirement("ORC-01", "ORC-02", "ENT-43")
@pytest.mark.usefixtures("keys")
async def test_one_workflow_runs_on_every_vendors_models_without_a_change(
    installation: Installation, endpoint: Endpoint
) -> None:
    folder = installation.workflow(ASK)
    wire = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
    urls = {"openai": f"{endpoint.url}/v1", "anthropic": endpoint.url, "ollama": endpoint.url}
    async with at(installation, **urls).open() as desk:
        for vendor, model in MODELS.items():
            tags = json_reply({"models": [{"name": model, "model": model}]})
            said = reply(vendor, Said(f"{vendor} says hello"))
            endpoint.answer = lambda request, tags=tags, said=said: tags if "tags" in request.path else said
            run = await desk.run(folder, model=f"{vendor}:{model}")
            assert run["outputs"] == {"result": f"{vendor} says hello"}, run["error"]
            assert endpoint.last.path == wire[vendor]
            (called,) = of(await desk.events(run["id"]), "model.called")
            assert (called["input_tokens"], called["output_tokens"]) == (11, 7)


@on_sqlite
@pytest.mark.requirement("ENT-49", "ORC-60", "ENT-51")
@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("status", [503, 401, 404])
async def test_the_next_model_of_the_list_stands_in_when_one_fails(
    installation: Installation, endpoint: Endpoint, status: int
) -> None:
    endpoint.will(json_reply({"error": {"type": "some_error", "message": "no"}}, status=status))
    async with running_endpoint() as second:
        second.will(reply("openai", Said("I stand in")))
        async with at(installation, anthropic=endpoint.url, openai=f"{second.url}/v1").open() as desk:
            run = await desk.run(
                installation.workflow(
                    ASK.replace('"openai:test-model"', '["anthropic:claude-sonnet-5-5", "openai:test-model"]')
                )
            )
            assert run["outputs"] == {"result": "I stand in"}, run["error"]
            failed = of(await desk.events(run["id"]), "model.failed")
            assert {data["model"] for data in failed} == {"anthropic:claude-sonnet-5-5"}
            (called,) = of(await desk.events(run["id"]), "model.called")
            assert called["model"] == "openai:test-model"


@on_sqlite
@pytest.mark.requirement("ENT-46")
async def test_a_local_model_and_any_compatible_server_can_be_used_without_a_key(
    installation: Installation, endpoint: Endpoint
) -> None:
    async with at(installation, openai=f"{endpoint.url}/v1", ollama=endpoint.url).open() as desk:
        endpoint.answer = lambda request: (
            json_reply({"data": [{"id": "home-made"}], "object": "list"})
            if request.path.endswith("/models")
            else reply("openai", Said("home-made says hello"))
        )
        run = await desk.run(installation.workflow(ASK.replace("openai:test-model", "openai:home-made")))
        assert run["outputs"] == {"result": "home-made says hello"}, run["error"]
        assert (
            "authorization" not in endpoint.last.headers or KEY not in endpoint.last.headers["authorization"]
        )
        tags = json_reply({"models": [{"name": "mine:7b", "model": "mine:7b"}]})
        endpoint.answer = lambda request: tags if "tags" in request.path else reply("ollama", Said("mine"))
        run = await desk.run(installation.workflow(ASK.replace("openai:test-model", "ollama:mine:7b")))
        assert run["outputs"] == {"result": "mine"}, run["error"]
        assert run["cost"]["usd"] == 0
        assert run["cost"]["unpriced_calls"] == 0, "a model of one's own costs nothing"


@pytest.mark.requirement("ORC-06", "ORC-221", "ENT-50")
@pytest.mark.usefixtures("keys")
async def test_one_place_tells_of_every_provider_whether_it_can_be_used(
    installation: Installation, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    endpoint.will(json_reply({"models": [{"name": "mine:7b", "model": "mine:7b"}]}))
    async with at(installation, ollama=endpoint.url).open() as desk:
        shown = await desk.operations.system(desk.ctx)
    health = {one["provider"]: one for one in shown["providers"]}
    assert {name: one["status"] for name, one in health.items()} == {
        "anthropic": "unconfigured",
        "cohere": "unconfigured",
        "gemini": "unconfigured",
        "ollama": "ready",
        "openai": "ready",
        "scripted": "ready",
    }
    assert "ANTHROPIC_API_KEY" in health["anthropic"]["hint"]
    postgresql = installation.database_url.startswith("postgresql")
    assert shown["database"]["dialect"] == ("postgresql" if postgresql else "sqlite")
    assert len(shown["nodes"]) == 1
    assert KEY not in json.dumps(shown)


@pytest.mark.requirement("ORC-65")
async def test_calls_to_a_provider_share_its_connections() -> None:
    connections: list[object] = []
    body = reply("openai", Said("hello")).pieces[0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    registry = ProviderRegistry(
        redactor=Redactor(),
        environment={},
        settings={"openai": {"base_url": f"http://127.0.0.1:{port}/v1", "api_key": KEY}},
    )
    asked = ModelRequest("test-model", (Message.of("user", "hi"),), timeout_s=10)
    try:
        for number in range(5):
            response = await registry.ai("openai").complete(asked, idempotency_key=f"k{number}")
            assert response.message.text == "hello"
        assert len(connections) == 1
        await asyncio.gather(
            *(registry.ai("openai").complete(asked, idempotency_key=f"m{number}") for number in range(4))
        )
        assert len(connections) <= 4, "the one that was free is used again"
    finally:
        await registry.close()
        server.close()
