"""What the components of a running installation count, as a scraper reads it."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.installation import of
from tests.agents.script import ScriptedModel, call, says
from tests.app.site import open_site, settings_of
from tests.providers.endpoint import Endpoint, json_reply

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

FLOW = """
workspace: {source: repo/}
agents: {solo: {model: "openai:test-model", instructions: Look., tools: ["files.*"]}}
do:
  - look: {agent: solo, with: "What is there?"}
"""
ROUTES = """
routes:
  kept: {targets: [{target: "openai:test-model"}], cache: {ttl: 1h}}
"""
LIMITS = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "40"}


@pytest.mark.requirement("ENT-52", "STK-23", "MOZ-132", "ORC-06", "ORC-222", "MAOS-40", "STK-45")
async def test_models_tools_engine_cache_providers_and_the_process_are_measured(
    tmp_path: Path, database_url: str, endpoint: Endpoint
) -> None:
    model = ScriptedModel(endpoint)
    looks = says(None, call("files.list"), call("files.read", {"path": "none.txt"}))

    def look(body: Any) -> Any:
        return looks if body.get("tools") else json_reply(says("Hello."), headers=LIMITS)

    model.will(look, says("Nothing much."))
    home = tmp_path / "home" / ".mosaic"
    home.mkdir(parents=True)
    (home / "routes.yaml").write_text(ROUTES)
    (tmp_path / "flows" / "look" / "repo").mkdir(parents=True)
    settings = settings_of(
        home,
        database_url,
        providers={"openai": {"base_url": f"{endpoint.url}/v1"}},
        limits={"usd": None},
    )
    async with open_site(settings, tmp_path, http=True) as site:
        run = await site.finish((await site.start("look", FLOW))["id"])
        assert run["status"] == "succeeded", run["error"]
        token = (home / "owner-token").read_text().strip()
        async with httpx2.AsyncClient(timeout=60, headers={"authorization": f"Bearer {token}"}) as http:
            ask = {"model": "kept", "messages": [{"role": "user", "content": "Hello"}]}
            for _ in range(2):
                answer = await http.post(f"{site.address}/v1/chat/completions", json=ask)
                assert answer.status_code == 200, answer.text
            await http.post(f"{site.address}/api/v1/providers/openai/check")
            text = (await http.get(f"{site.address}/metrics")).text
            provider = (await http.get(f"{site.address}/api/v1/providers/openai")).json()
        called = of(await site.events(run["id"]), "tool.called")
    found = {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    assert found["mosaic_model_calls_total", "no", "test-model", "ok", "openai", "kept"] == 1
    assert found["mosaic_model_calls_total", "yes", "test-model", "ok", "openai", "kept"] == 1
    assert found["mosaic_tool_calls_total", "ok", "read_only", "python"] == len(called) == 1
    assert found["mosaic_tool_calls_total", "failed", "read_only", "python"] == 1
    assert found["mosaic_tool_call_seconds_total", "ok", "read_only", "python"] > 0
    assert found["mosaic_executions_total", "run", "succeeded"] == 1
    assert found["mosaic_executions_total", "agent", "succeeded"] == 1
    assert found["mosaic_executions_open",] == 0
    assert found["mosaic_cache_lookups_total", "kept", "memory"] == 1
    assert found["mosaic_cache_lookups_total", "kept", "fetched"] == 1
    assert found["mosaic_provider_up", "openai"] == 1
    assert found["process_resident_memory_bytes",] > 10_000_000
    quota = provider["rate_limit"]["requests"]
    assert quota["limit"] == 100
    assert 40 <= quota["left"] < 100
