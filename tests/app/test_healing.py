"""A provider that is found gone is taken out of traffic, looked into, mended where that can be done, and seen to work."""

import asyncio
from pathlib import Path

import pytest

from mosaic.app.build import Application
from mosaic.app.home import make_home
from mosaic.app.settings import load_settings
from mosaic.core.context import Actor, Context
from mosaic.providers.testing.endpoint import Received, Reply, json_reply, running_endpoint
from tests.app.site import WAIT_S

pytestmark = pytest.mark.anyio

_MODELS = json_reply({"object": "list", "data": [{"id": "gpt-4o", "object": "model"}]})
_REFUSED = json_reply({"error": {"message": "wrong key", "code": "invalid_api_key"}}, status=401)


async def _healed(application: Application) -> dict[str, object]:
    """Check the provider, wait until its healing has ended, and return the report."""
    await application.model.health.check("openai")
    await application.model.healing.ended()
    return application.model.healing.reports["openai"].to_json()


@pytest.mark.requirement("ORC-62")
async def test_a_rotated_key_is_read_again_and_traffic_comes_back(database_url: str, tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-old-one"}
    async with asyncio.timeout(2 * WAIT_S), running_endpoint() as openai:

        def answer(request: Received) -> Reply:
            return _MODELS if request.headers["authorization"] == "Bearer sk-new-one" else _REFUSED

        openai.answer = answer
        home = tmp_path / "home"
        make_home(home)
        overrides = {
            "providers": {"openai": {"base_url": openai.url + "/v1"}},
            "gateway": {"health_check_s": 0},
        }
        settings = load_settings(home, environ={"MOSAIC_DATABASE_URL": database_url}, overrides=overrides)
        (home / "config.yaml").write_text(f"providers: {{openai: {{base_url: '{openai.url}/v1'}}}}\n")
        application = Application(settings, environ=environ)
        try:
            await application.open(execute=False, address=None)
            await application.model.start()
            environ["OPENAI_API_KEY"] = "sk-new-one"
            report = await _healed(application)
            assert (report["healed"], report["cause"], report["fixed_by"]) == (True, "refused", "refused")
            assert [step["step"] for step in report["steps"]] == ["reroute", "diagnose", "fix", "verify"]  # type: ignore[attr-defined]
            assert not application.model.guards.is_open("openai:gpt-4o")
            owner = Context(settings.tenant, settings.project, Actor("user", "owner"))
            shown = await application.provider_operations.provider(owner, "openai")
            assert shown["healing"] == report
        finally:
            await application.close()


async def test_what_a_reload_does_not_mend_stays_out_of_traffic(database_url: str, tmp_path: Path) -> None:
    async with asyncio.timeout(2 * WAIT_S), running_endpoint() as openai:
        openai.will(_REFUSED)
        home = tmp_path / "home"
        make_home(home)
        overrides = {
            "providers": {"openai": {"base_url": openai.url + "/v1"}},
            "gateway": {"health_check_s": 0},
        }
        settings = load_settings(home, environ={"MOSAIC_DATABASE_URL": database_url}, overrides=overrides)
        application = Application(settings, environ={"OPENAI_API_KEY": "sk-wrong-one"})
        try:
            await application.open(execute=False, address=None)
            await application.model.start()
            report = await _healed(application)
            assert not report["healed"]
            assert application.model.guards.is_open("openai:gpt-4o")
        finally:
            await application.close()


async def test_one_odd_answer_keeps_nobody_away_for_long(database_url: str, tmp_path: Path) -> None:
    async with asyncio.timeout(2 * WAIT_S), running_endpoint() as openai:
        openai.will(Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nodd"), _MODELS)
        home = tmp_path / "home"
        make_home(home)
        overrides = {
            "providers": {"openai": {"base_url": openai.url + "/v1"}},
            "gateway": {"health_check_s": 0},
        }
        settings = load_settings(home, environ={"MOSAIC_DATABASE_URL": database_url}, overrides=overrides)
        application = Application(settings, environ={"OPENAI_API_KEY": "sk-good-one"})
        try:
            await application.open(execute=False, address=None)
            await application.model.start()
            report = await _healed(application)
            assert report["healed"]
            assert not application.model.guards.is_open("openai:gpt-4o")
        finally:
            await application.close()
