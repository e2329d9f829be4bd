"""Providers, models and routes over REST: health, figures, checks, explanations, and a reload that loses no request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from mosaic.api import provider_schemas as documents
from mosaic.app.owner import owner_token
from mosaic.core.values import JsonObject
from mosaic.providers.testing.endpoint import Reply, json_reply, unused_url
from tests.app.site import WAIT_S, database
from tests.gateway.conftest import GatewaySite, chat_reply, open_gateway

pytestmark = pytest.mark.anyio

MODELS = json_reply({"object": "list", "data": [{"id": "gpt-4o"}, {"id": "house-model"}]})


@pytest.fixture
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewaySite]:
    with database(request, "sqlite", tmp_path) as url:
        async with (
            asyncio.timeout(2 * WAIT_S),
            open_gateway(tmp_path / "home", url, gateway={"health_check_s": 0}) as site,
        ):
            yield site


@pytest.fixture
async def http(gateway: GatewaySite) -> AsyncIterator[httpx2.AsyncClient]:
    """The owner's client."""
    headers = {"Authorization": f"Bearer {owner_token(gateway.application.settings.home)}"}
    async with httpx2.AsyncClient(
        base_url=f"{gateway.url}/api/v1", headers=headers, timeout=WAIT_S, trust_env=False
    ) as client:
        yield client


async def asked(http: httpx2.AsyncClient, method: str, path: str, shape: Any, **options: Any) -> JsonObject:
    """Return an answer that has the shape the contract says."""
    answer = await http.request(method, path, **options)
    assert answer.status_code == 200, answer.text
    shape.model_validate(answer.json())
    shown: JsonObject = answer.json()
    return shown


def configure(gateway: GatewaySite, providers: JsonObject) -> None:
    """Write the settings file: the vendors as they are, changed by `providers`."""
    given: JsonObject = {
        "openai": {"base_url": gateway.openai.url + "/v1"},
        "anthropic": {"base_url": gateway.anthropic.url},
    }
    path = gateway.application.settings.home / "config.yaml"
    path.write_bytes(msgspec.json.encode({"providers": given | providers}))


async def test_providers_show_health_breaker_and_figures_of_the_models_that_were_asked(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    page = await asked(http, "get", "/providers", documents.ProviderPage)
    rows = {row["name"]: row for row in page["items"]}
    assert {"openai", "anthropic", "ollama", "scripted", "cohere"} <= set(rows)
    assert (rows["openai"]["status"], rows["cohere"]["status"]) == ("ready", "unconfigured")
    assert (rows["openai"]["breaker"], rows["openai"]["targets"]) == (None, [])
    assert (await gateway.chat()).status_code == 200
    gateway.openai.will(json_reply({"error": {"message": "no"}}, status=500))
    for _ in range(12):
        assert (await gateway.chat()).status_code >= 500
    shown = await asked(http, "get", "/providers/openai", documents.ProviderDocument)
    assert shown["breaker"] == "open"
    (target,) = shown["targets"]
    assert (target["id"], target["breaker"], target["active"]) == ("openai:gpt-4o", "open", 0)
    assert target["failed"] >= 3
    assert 0 < target["error_rate"] <= 1
    assert shown["manifest"]["id"] == "openai"
    assert shown["capabilities"]["stream"]["level"] == "supported"
    assert [version["in_flight"] for version in shown["versions"]] == [0]


async def test_only_providers_of_a_kind_are_listed(http: httpx2.AsyncClient) -> None:
    page = await asked(http, "get", "/providers", documents.ProviderPage, params={"kind": "git"})
    assert all("git" in row["kinds"] for row in page["items"])
    assert (await http.get("/providers", params={"kind": "colour"})).status_code == 422


async def test_an_unknown_provider_is_not_found(http: httpx2.AsyncClient) -> None:
    for method, path in (("get", "/providers/opena"), ("post", "/providers/opena/check")):
        answer = await http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "openai" in answer.json()["hint"]
    assert (await http.get("/models", params={"provider": "opena"})).status_code == 404


async def test_a_check_asks_the_provider_and_routes_heed_what_it_found(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    gateway.openai.will(MODELS)
    health = await asked(http, "post", "/providers/openai/check", documents.HealthDocument)
    assert (health["status"], health["parts"]["authentication"]) == ("ready", "ok")
    assert gateway.openai.last.path == "/v1/models"
    missing = await asked(
        http, "post", "/providers/openai/check", documents.HealthDocument, params={"model": "gpt-9"}
    )
    assert missing["status"] != "ready"
    guards = gateway.application.model.guards
    assert not guards.is_open("openai:gpt-4o"), "that one model is missing says nothing against the others"
    gateway.openai.will(json_reply({"error": {"message": "wrong key"}}, status=401))
    refused = await asked(http, "post", "/providers/openai/check", documents.HealthDocument)
    assert (refused["status"], refused["parts"]["authentication"]) == ("refused", "failing")
    assert "sk-upstream-openai" not in str(refused)
    assert guards.is_open("openai:gpt-4o")
    assert (await asked(http, "get", "/providers/openai", documents.ProviderDocument))["status"] == "refused"
    gateway.openai.will(MODELS)
    await asked(http, "post", "/providers/openai/check", documents.HealthDocument)
    assert not guards.is_open("openai:gpt-4o")


async def test_models_are_listed_with_what_they_can_do_and_cost(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    gateway.openai.will(MODELS)
    page = await asked(http, "get", "/models", documents.ModelPage, params={"provider": "openai"})
    models = {item["id"]: item for item in page["items"]}
    assert (models["openai:gpt-4o"]["ready"], models["openai:gpt-4o"]["input_usd_per_mtok"]) == (True, 1.0)
    assert "vision" in models["openai:gpt-4o"]["capabilities"]
    assert "openai:house-model" not in models
    assert {item["provider"] for item in page["items"]} == {"openai"}
    more = await asked(
        http, "get", "/models", documents.ModelPage, params={"provider": "openai", "ask": True}
    )
    assert "openai:house-model" in {item["id"] for item in more["items"]}
    assert more["unanswered"] == []
    gateway.openai.will(Reply((b"nothing",), 500))
    silent = await asked(http, "get", "/models", documents.ModelPage, params={"ask": True})
    assert "openai" in silent["unanswered"]


async def test_routes_are_listed_and_explained_by_live_figures(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    gateway.write(
        {
            "routes": {"smart": {"targets": ["anthropic:claude-sonnet-4-5", "openai:gpt-4o"], "cache": "1m"}},
            "rules": [{"name": "web", "match": {"project": "web"}, "route": "smart", "reason": "they pay"}],
        }
    )
    page = await asked(http, "get", "/routes", documents.RoutePage)
    assert [(route["name"], len(route["targets"])) for route in page["items"]] == [("smart", 2)]
    assert [(rule["name"], rule["route"], rule["reason"]) for rule in page["rules"]] == [
        ("web", "smart", "they pay")
    ]
    wanted = {"name": "anything", "project": "web", "needs": ["tools"], "budget_usd": 1}
    told = await asked(http, "post", "/routes/explain", documents.ExplanationDocument, json=wanted)
    assert told["decision"]["route"] == "smart"
    assert any(rule["name"] == "web" for rule in told["rules"])
    nobody = await asked(
        http,
        "post",
        "/routes/explain",
        documents.ExplanationDocument,
        json={"name": "smart", "privacy": "strict"},
    )
    assert (nobody["decision"], nobody["error"]["code"]) == (None, "policy_denied")
    assert (await http.post("/routes/explain", json={"tenant": "other"})).status_code == 422


@pytest.mark.requirement("ORC-77", "ORC-108", "ORC-06")
async def test_a_reload_adds_changes_and_removes_instances_and_routes_know_them(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    configure(gateway, {"openai-eu": {"plugin": "openai", "base_url": gateway.openai.url + "/v1"}})
    report = await asked(http, "post", "/providers/reload", documents.ReloadDocument)
    assert report["added"] == ["openai-eu"]
    gateway.route("eu", "openai-eu:gpt-4o")
    answer = await gateway.chat("eu")
    assert (answer.status_code, answer.headers["x-mosaic-model"]) == (200, "openai-eu:gpt-4o")
    configure(gateway, {"openai-eu": {"plugin": "openai", "base_url": await unused_url()}})
    report = await asked(http, "post", "/providers/reload", documents.ReloadDocument)
    assert report["changed"] == ["openai-eu"]
    assert (await gateway.chat("eu")).status_code == 503
    configure(gateway, {})
    report = await asked(http, "post", "/providers/reload", documents.ReloadDocument)
    assert report["removed"] == ["openai-eu"]
    assert (await http.get("/providers/openai-eu")).status_code == 404


async def test_a_reload_forgets_the_failures_of_what_was_mended(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    gateway.openai.will(json_reply({"error": {"message": "wrong key"}}, status=401))
    await asked(http, "post", "/providers/openai/check", documents.HealthDocument)
    guards = gateway.application.model.guards
    assert guards.is_open("openai:gpt-4o")
    configure(gateway, {"openai": {"base_url": gateway.openai.url + "/v1", "timeout_s": 33}})
    gateway.openai.will(chat_reply())
    report = await asked(http, "post", "/providers/reload", documents.ReloadDocument)
    assert "openai" in report["changed"]
    assert not guards.is_open("openai:gpt-4o")
    assert (await gateway.chat()).status_code == 200


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.yaml", '{"providers": {"openai": {"base_url": 7}}}'),
        ("config.yaml", '{"providers": {"openai": {"plugin": "nobody"}}}'),
        ("config.yaml", '{"colour": "blue"}'),
        ("routes.yaml", '{"routes": {"fast": {"targets": 7}}}'),
    ],
)
async def test_a_reload_of_what_is_wrong_says_what_and_changes_nothing(
    gateway: GatewaySite, http: httpx2.AsyncClient, file: str, text: str
) -> None:
    before = gateway.application.providers.snapshot
    if file != "config.yaml":
        configure(gateway, {"openai": {"base_url": gateway.openai.url + "/v1", "timeout_s": 44}})
    (gateway.application.settings.home / file).write_text(text)
    answer = await http.post("/providers/reload")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["problems"]
    assert gateway.application.providers.snapshot is before
    assert (await gateway.chat()).status_code == 200


@pytest.mark.requirement("ORC-77")
async def test_no_request_fails_while_providers_are_reloaded_under_load(
    gateway: GatewaySite, http: httpx2.AsyncClient
) -> None:
    done = asyncio.Event()

    async def ask_on() -> list[int]:
        statuses = []
        while not done.is_set():
            statuses.append((await gateway.chat()).status_code)
        return statuses

    async def reload_often() -> None:
        for number in range(10):
            settings = {"base_url": gateway.openai.url + "/v1", "timeout_s": 30 + number}
            configure(gateway, {"openai": settings})
            report = await asked(http, "post", "/providers/reload", documents.ReloadDocument)
            assert "openai" in report["changed"]
        done.set()

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(ask_on()) for _ in range(4)]
        await reload_often()
    statuses = [status for task in asking for status in task.result()]
    assert len(statuses) >= 4
    assert set(statuses) == {200}
