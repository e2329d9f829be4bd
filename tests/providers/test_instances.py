"""One plugin under several names: each with its own settings, variables and attributes."""

import pytest

from mosaic.core.errors import InvalidInput, Unavailable, Unsupported
from mosaic.core.redaction import MASK, Redactor
from mosaic.providers import ProviderRegistry
from tests.providers.folders import write_plugin

pytestmark = pytest.mark.anyio

EU = {
    "plugin": "openai",
    "base_url": "https://eu.api.test/v1",
    "attributes": {"region": "eu", "residency": ["eu"]},
}
KEY = "key-that-nobody-may-see"


def registry(settings, environment=None, **options):
    redactor = options.pop("redactor", None) or Redactor()
    return ProviderRegistry(redactor=redactor, environment=environment or {}, settings=settings, **options)


@pytest.mark.requirement("ORC-100")
def test_an_instance_stands_beside_its_plugin_with_attributes_of_its_own():
    found = registry({"openai-eu": EU})
    assert {"openai", "openai-eu"} <= set(found.names())
    assert found.instance("openai-eu").plugin == "openai"
    assert found.instance("openai-eu").attributes == {"region": "eu", "residency": ["eu"]}
    assert found.ai("openai-eu").name == "openai-eu"
    assert found.ai("openai").name == "openai"
    assert found.ai("openai-eu") is not found.ai("openai")


async def test_the_health_of_an_instance_speaks_its_name():
    health = await registry({"openai-eu": {"plugin": "openai"}}, {"OPENAI_API_KEY": KEY}).health("openai-eu")
    assert (health.provider, health.status) == ("openai-eu", "ready")


async def test_a_key_of_the_plugin_is_not_sent_to_an_address_of_the_instance(endpoint):
    from tests.providers.endpoint import json_reply

    endpoint.will(json_reply({"object": "list", "data": []}))
    given = {"openai-mine": {"plugin": "openai", "base_url": f"{endpoint.url}/v1"}}
    found = registry(given, {"OPENAI_API_KEY": KEY})
    await found.ai("openai-mine").models()
    assert "authorization" not in endpoint.last.headers
    await found.close()
    found = registry(given, {"OPENAI_API_KEY": KEY, "OPENAI_MINE_API_KEY": "key-of-this-instance"})
    await found.ai("openai-mine").models()
    assert endpoint.last.headers["authorization"] == "Bearer key-of-this-instance"
    await found.close()


async def test_a_secret_is_named_in_the_settings_and_read_from_its_variable():
    redactor = Redactor()
    given = {"openai-eu": {**EU, "api_key": {"secret": "EU_KEY"}}}
    found = registry(given, {"EU_KEY": KEY}, redactor=redactor)
    assert found.ai("openai-eu")
    assert redactor.text(KEY) == MASK
    assert KEY not in repr(found.instance("openai-eu"))
    missing = await registry(given).health("openai-eu")
    assert missing.status == "unconfigured"
    assert "EU_KEY" in str(missing.hint)


@pytest.mark.parametrize(
    "given", [{"version": "1", "versions": {"1": 1}}, {"version": "new"}, {"versions": {"1": 0}}]
)
async def test_a_wrong_pin_is_the_instances_own_trouble(given):
    found = registry({"openai": given})
    with pytest.raises(InvalidInput):
        found.ai("openai")
    assert (await found.health("openai")).status == "unconfigured"
    assert (await found.health("scripted")).usable


async def test_an_instance_of_a_plugin_that_is_not_there_is_listed_and_says_so():
    found = registry({"mine": {"plugin": "nowhere"}})
    assert "mine" in found.names()
    assert (await found.health("mine")).status == "broken"
    with pytest.raises(Unavailable, match="nowhere"):
        found.ai("mine")


def test_an_instance_may_stand_while_its_plugins_own_name_is_disabled():
    found = registry({"openai-eu": EU}, disabled=["openai"])
    assert "openai" not in found.names()
    assert found.ai("openai-eu").name == "openai-eu"


def test_a_provider_of_another_kind_offers_no_models(tmp_path):
    from mosaic.providers.testing import scaffold

    scaffold("forge", kind="git", directory=tmp_path)
    write_plugin(tmp_path, "plain")
    found = registry({}, plugins=[], directory=tmp_path)
    assert found.names("git") == ["forge"]
    assert found.names("ai") == ["plain"]
    with pytest.raises(Unsupported, match="git"):
        found.ai("forge")
    assert set(found.provider("forge").resources()) == {"repository"}
