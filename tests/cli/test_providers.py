"""`mosaic providers`, and both clients behind it: in this process and over HTTP they answer alike."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from mosaic.api import provider_schemas as documents
from mosaic.app.settings import load_settings
from mosaic.cli.client import Client
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject
from mosaic.providers.testing.endpoint import Endpoint, json_reply, running_endpoint, unused_url
from tests.app.site import QUICK, WAIT_S, Site, database, open_site
from tests.cli.process import start

pytestmark = pytest.mark.anyio

MODELS = json_reply({"object": "list", "data": [{"id": "house-model"}]})


def configure(home: Path, providers: JsonObject, **more: JsonObject) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.yaml").write_bytes(msgspec.json.encode({"providers": providers, **more}))


@pytest.fixture
async def vendor() -> AsyncIterator[Endpoint]:
    """A server that speaks OpenAI's protocol and needs no key."""
    async with running_endpoint() as endpoint:
        endpoint.will(MODELS)
        yield endpoint


@pytest.fixture(params=["local", "http"])
async def site(request: pytest.FixtureRequest, vendor: Endpoint, tmp_path: Path) -> AsyncIterator[Site]:
    """An installation with one provider of its own, reached in this process or over HTTP."""
    home = tmp_path / "home"
    configure(
        home,
        {"house": {"plugin": "openai", "base_url": vendor.url, "attributes": {"region": "attic"}}},
        gateway={"health_check_s": 0},
    )
    with database(request, "sqlite", tmp_path) as url:
        settings = load_settings(home, environ={"MOSAIC_DATABASE_URL": url}, overrides=QUICK)
        async with (
            asyncio.timeout(2 * WAIT_S),
            open_site(settings, tmp_path, http=request.param == "http") as site,
        ):
            yield site


async def house(client: Client) -> JsonObject:
    shown = await client.provider("house")
    documents.ProviderDocument.model_validate(shown)
    return shown


async def test_both_clients_show_check_and_reload_alike(site: Site, vendor: Endpoint) -> None:
    page = await site.client.providers()
    documents.ProviderPage.model_validate(page)
    rows = {row["name"]: row for row in page["items"]}
    assert (rows["house"]["plugin"], rows["house"]["status"]) == ("openai", "ready")
    assert rows["house"]["attributes"] == {"region": "attic"}
    health = await site.client.check_provider("house")
    documents.HealthDocument.model_validate(health)
    assert (health["status"], health["parts"]["connectivity"]) == ("ready", "ok")
    assert (await site.client.check_provider("house", model="nobody"))["status"] != "ready"
    assert (await house(site.client))["status"] == "ready"
    models = await site.client.models(provider="house", ask=True)
    documents.ModelPage.model_validate(models)
    assert "house:house-model" in {item["id"] for item in models["items"]}
    assert {item["region"] for item in models["items"]} == {"attic"}
    settings = site.application.settings
    configure(settings.home, {"house": {"plugin": "openai", "base_url": vendor.url, "timeout_s": 5}})
    report = await site.client.reload_providers()
    documents.ReloadDocument.model_validate(report)
    assert (report["changed"], report["draining"]) == (["house"], 0)
    assert (await house(site.client))["attributes"] == {}
    configure(settings.home, {"house": {"plugin": "openai", "base_url": 7}})
    with pytest.raises(InvalidInput):
        await site.client.reload_providers()
    for wrong in (
        site.client.provider("hous"),
        site.client.check_provider("hous"),
        site.client.models(provider="x"),
    ):
        with pytest.raises(NotFound):
            await wrong


async def test_both_clients_list_and_explain_routes_alike(site: Site) -> None:
    path = site.application.settings.home / "routes.yaml"
    path.write_bytes(msgspec.json.encode({"routes": {"ours": {"targets": ["house:house-model"]}}}))
    await site.client.reload_providers()
    page = await site.client.routes()
    documents.RoutePage.model_validate(page)
    assert [(route["name"], route["targets"]) for route in page["items"]] == [("ours", ["house:house-model"])]
    told = await site.client.explain_route({"name": "ours"})
    documents.ExplanationDocument.model_validate(told)
    assert told["decision"]["candidates"][0]["target"] == "house:house-model"
    nowhere = await site.client.explain_route({"name": "nobody:knows"})
    assert (nowhere["decision"], nowhere["error"]["code"]) == (None, "not_found")


async def said(*args: str, home: Path, status: int = 0) -> str:
    async with start("providers", *args, home=home) as process:
        code, out, err = await process.ended()
    assert code == status, (out, err)
    return out + err


async def test_without_a_server_the_commands_show_what_the_settings_say(home: Path, vendor: Endpoint) -> None:
    configure(home, {"house": {"plugin": "openai", "base_url": vendor.url}})
    rows = {row["name"]: row for row in json.loads(await said("list", "--json", home=home))["items"]}
    assert (rows["house"]["status"], rows["house"]["breaker"]) == ("ready", None)
    assert rows["cohere"]["status"] == "unconfigured"
    listed = await said("list", "--kind", "ai", home=home)
    assert "house" in listed
    assert "PROVIDER" in listed
    shown = await said("show", "house", home=home)
    assert "None of its models was asked" in shown
    assert "authentication" in shown.replace("authenticati", "authentication")
    models = await said("models", "--provider", "house", "--ask", home=home)
    assert "house:house-model" in models
    assert "No server runs here" in await said("reload", home=home)


async def test_a_check_gives_a_status_for_scripts(home: Path, vendor: Endpoint) -> None:
    configure(
        home,
        {
            "house": {"plugin": "openai", "base_url": vendor.url},
            "gone": {"plugin": "openai", "base_url": await unused_url()},
        },
    )
    assert "ready" in await said("check", "house", home=home)
    assert "unreachable" in await said("check", "gone", home=home, status=1)
    assert json.loads(await said("check", "gone", "--json", home=home, status=1))["status"] == "unreachable"
    assert "house" in await said("check", "hous", home=home, status=1)


async def test_a_running_servers_figures_are_shown_to_people(site: Site) -> None:
    if site.address is None:
        pytest.skip("there is no server to ask")
    home = site.application.settings.home
    live = site.application.model.live
    live.begin("house:house-model")
    listed = json.loads(await said("list", "--json", home=home))["items"]
    row = next(row for row in listed if row["name"] == "house")
    assert [(target["id"], target["active"]) for target in row["targets"]] == [("house:house-model", 1)]
    assert "house:house-model" in await said("show", "house", home=home)
    assert "No provider changed" in await said("reload", home=home)
