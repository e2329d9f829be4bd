"""`mosaic cache` and its REST: hit rates, forgetting, warming; alike in this process and over HTTP."""

import json
from collections.abc import AsyncIterator

import pytest

from mosaic.api import cache_schemas as documents
from mosaic.cache import CachedAnswer, CachePolicy, request_key
from mosaic.core.errors import InvalidInput
from tests.app.site import Site, database, open_site, settings_of

pytestmark = pytest.mark.anyio

_BODY = b'{"model":"kept","messages":[{"role":"user","content":"hi"}]}'


@pytest.fixture(params=["local-sqlite", "http-sqlite"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    door, kind = request.param.split("-")
    folder = tmp_path_factory.mktemp(request.param)
    with database(request, kind, folder) as url:
        async with open_site(settings_of(folder / "home", url), folder, http=door == "http") as site:
            yield site


def _keep(site: Site, route: str) -> str:
    key = request_key("openai.chat", _BODY, tenant=site.application.settings.tenant, route=route)
    assert key is not None
    answer = CachedAnswer(200, (), json.dumps({"route": route}).encode(), (), {"provider": "openai"})
    assert site.application.model.cache.put(key, answer, CachePolicy())
    return key


async def test_hit_rates_are_told_by_route_and_answers_are_forgotten(site: Site) -> None:
    cache = site.application.model.cache
    support, sales = _keep(site, "support"), _keep(site, "sales")
    assert cache.peek(support) is not None
    shown = await site.client.cache()
    documents.CacheDocument.model_validate(shown)
    assert [(one["route"], one["hits"], one["hit_rate"]) for one in shown["routes"]] == [("support", 1, 1.0)]
    assert [(tier["name"], tier["entries"]) for tier in shown["tiers"]] == [("memory", 2)]
    assert await site.client.purge_cache(route="support") == {"forgotten": 1}
    assert (cache.peek(support), cache.peek(sales) is not None) == (None, True)
    assert await site.client.purge_cache(tag="provider:openai") == {"forgotten": 1}
    with pytest.raises(InvalidInput):
        await site.client.purge_cache(route="support", tag="provider:openai")
    assert await site.client.warm_cache(hours_ahead=1) == {"warm": 0, "missing": 0}
