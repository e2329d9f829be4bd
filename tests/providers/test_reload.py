"""Plugins are swapped while they are in use: no call fails, what did not change stays, a wrong one changes nothing."""

import asyncio
import sys

import pytest

from mosaic.core.errors import InvalidInput, MosaicError, NotFound
from mosaic.core.redaction import Redactor
from mosaic.providers import Message, ModelRequest, ProviderPlugin, ProviderRegistry
from tests.providers.folders import write_plugin

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("ORC-96")]

ASKED = ModelRequest("m", (Message.of("user", "hi"),))


def registry(directory, settings=None, environment=None):
    return ProviderRegistry(
        redactor=Redactor(), environment=environment or {}, plugins=[], directory=directory, settings=settings
    )


async def test_changed_code_answers_after_a_reload_and_the_old_provider_is_closed(tmp_path):
    write_plugin(tmp_path, "plain", mark="one")
    found = registry(tmp_path)
    old = found.ai("plain")
    assert not found.is_stale()
    write_plugin(tmp_path, "plain", mark="two")
    assert found.is_stale()
    report = await found.reload()
    assert not found.is_stale()
    assert (report.changed, report.added, report.removed, report.unfinished) == (("plain",), (), (), 0)
    assert found.ai("plain").mark == "two"
    assert (old.mark, old.closed) == ("one", 1)


async def test_a_change_as_quick_and_as_long_as_the_old_code_is_seen(tmp_path):
    found = registry(tmp_path)
    for number in range(20):
        write_plugin(tmp_path, "plain", mark=f"{number:03}")
        await found.reload()
        assert found.ai("plain").mark == f"{number:03}"


async def test_reloads_do_not_pile_up_modules(tmp_path):
    write_plugin(tmp_path, "piled", mark="0")
    found = registry(tmp_path)
    for number in range(10):
        write_plugin(tmp_path, "piled", mark=str(number))
        await found.reload()
        found.ai("piled")
    assert len([name for name in sys.modules if ".piled_" in name and name.endswith(".provider")]) == 1


async def test_what_did_not_change_keeps_its_provider(tmp_path):
    write_plugin(tmp_path, "plain")
    write_plugin(tmp_path, "other")
    found = registry(tmp_path)
    kept = found.ai("plain")
    write_plugin(tmp_path, "other", mark="two")
    await found.reload()
    assert found.ai("plain") is kept
    assert kept.closed == 0


async def test_plugins_and_instances_come_and_go(tmp_path):
    write_plugin(tmp_path, "plain")
    found = registry(tmp_path)
    held = found.ai("plain")
    write_plugin(tmp_path, "second")
    report = await found.reload({"third": {"plugin": "second", "region": "eu"}})
    assert (report.added, report.changed) == (("second", "third"), ())
    assert found.ai("third").config["region"] == "eu"
    for path in (tmp_path / "plain").iterdir():
        path.unlink()
    (tmp_path / "plain").rmdir()
    assert (await found.reload()).removed == ("plain",)
    assert held.closed == 1
    with pytest.raises(NotFound):
        found.ai("plain")
    assert found.ai("third").config["region"] == "eu", "settings that are not given stay"


@pytest.mark.requirement("ORC-108")
async def test_changed_settings_and_variables_make_a_new_provider(tmp_path):
    write_plugin(tmp_path, "plain")
    environment = {"PLAIN_API_KEY": "key-number-one"}
    found = registry(tmp_path, {"plain": {"region": "eu"}}, environment)
    old = found.ai("plain")
    await found.reload({"plain": {"region": "us"}})
    second = found.ai("plain")
    assert (old.closed, second.config["region"], second.config["api_key"]) == (1, "us", "key-number-one")
    environment["PLAIN_API_KEY"] = "key-number-two"
    await found.reload()
    assert found.ai("plain").config["api_key"] == "key-number-two"
    assert second.closed == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": "raise ValueError('surprise')"}, "surprise"),
        ({"version": "one"}, "version"),
        ({"code": "def create(config): return object()"}, "lacks"),
        ({"requires": [{"plugin": "nowhere"}]}, "nowhere"),
    ],
)
async def test_a_reload_that_would_break_a_provider_changes_nothing_and_says_why(tmp_path, change, words):
    write_plugin(tmp_path, "plain")
    write_plugin(tmp_path, "other")
    found = registry(tmp_path)
    kept, other = found.ai("plain"), found.ai("other")
    before = found.snapshot
    write_plugin(tmp_path, "plain", **{"mark": "two", **change})
    write_plugin(tmp_path, "other", mark="two")
    with pytest.raises(InvalidInput, match="plain") as caught:
        await found.reload()
    (problem,) = caught.value.problems
    assert problem.path == "plain"
    assert words in problem.message
    assert found.snapshot is before
    assert (found.ai("plain"), found.ai("other")) == (kept, other)
    assert (kept.closed, other.closed) == (0, 0)
    assert (await kept.complete(ASKED, idempotency_key="k")).message.text == "one"
    write_plugin(tmp_path, "plain", mark="three")
    await found.reload()
    assert found.ai("plain").mark == "three"


async def test_wrong_settings_for_a_new_instance_refuse_the_reload(tmp_path):
    write_plugin(tmp_path, "plain")
    found = registry(tmp_path)
    with pytest.raises(InvalidInput, match="second"):
        await found.reload({"second": {"plugin": "plain", "fails": True}})
    with pytest.raises(InvalidInput, match="third"):
        await found.reload({"third": {"plugin": "nowhere"}})
    assert found.names() == ["plain"]


async def test_one_that_was_broken_before_is_no_reason_against_a_reload(tmp_path):
    write_plugin(tmp_path, "broken", code="raise ValueError('surprise')")
    write_plugin(tmp_path, "plain")
    found = registry(tmp_path, {"lost": {"plugin": "nowhere"}})
    for name in ("broken", "lost"):
        with pytest.raises(MosaicError):
            found.ai(name)
    found.ai("plain")
    write_plugin(tmp_path, "plain", mark="two")
    await found.reload()
    assert found.ai("plain").mark == "two"


async def test_a_lease_keeps_the_old_provider_open_until_it_ends(tmp_path):
    write_plugin(tmp_path, "plain", mark="one")
    found = registry(tmp_path)
    with found.lease("plain") as old:
        write_plugin(tmp_path, "plain", mark="two")
        reloading = asyncio.create_task(found.reload())
        async with asyncio.timeout(10):
            while found.ai("plain") is old:  # noqa: ASYNC110  # a swap is an assignment, nobody tells of it
                await asyncio.sleep(0)
        with found.lease("plain") as new:
            assert new.mark == "two"
        assert old.closed == 0
        assert not reloading.done()
        assert (await old.complete(ASKED, idempotency_key="k")).message.text == "one"
    async with asyncio.timeout(10):
        report = await reloading
    assert (old.closed, report.unfinished) == (1, 0)


async def test_a_call_that_never_ends_is_counted_and_its_provider_closed_in_the_end(tmp_path):
    write_plugin(tmp_path, "plain", mark="one")
    found = registry(tmp_path)
    with found.lease("plain") as old:
        write_plugin(tmp_path, "plain", mark="two")
        report = await found.reload(drain_s=0.01)
        assert (report.unfinished, old.closed) == (1, 1)
    assert found.ai("plain").mark == "two"


async def test_no_call_fails_while_plugins_are_reloaded_again_and_again(tmp_path):
    for id_ in ("plain", "other"):
        write_plugin(tmp_path, id_, mark="0")
    found = registry(tmp_path)
    done, answers = asyncio.Event(), []

    async def caller(name):
        while not done.is_set():
            with found.lease(name) as provider:
                assert provider.closed == 0
                await asyncio.sleep(0)
                answers.append((await provider.complete(ASKED, idempotency_key="k")).message.text)
                assert provider.closed == 0, "closed while in use"

    async with asyncio.timeout(60):
        async with asyncio.TaskGroup() as group:
            for name in ("plain", "other") * 8:
                group.create_task(caller(name))
            for number in range(1, 31):
                write_plugin(tmp_path, "plain", mark=str(number))
                report = await found.reload()
                assert report.unfinished == 0
            done.set()
    assert "30" in answers or found.ai("plain").mark == "30"
    assert found.snapshot.number == 30
    assert all(seat.in_flight == 0 for seat in found.snapshot.seats())


async def test_closing_does_not_wait_for_replaced_providers(tmp_path):
    write_plugin(tmp_path, "plain", mark="one")
    found = registry(tmp_path)
    with found.lease("plain"):
        write_plugin(tmp_path, "plain", mark="two")
        await found.reload(wait=False)
        new = found.ai("plain")
        async with asyncio.timeout(10):
            await found.close()
    assert new.closed == 1


async def test_a_registered_plugin_takes_the_place_of_an_installed_one(tmp_path):
    write_plugin(tmp_path, "plain", mark="one")
    found = registry(tmp_path)
    plugin = found.plugin("plain")
    second = registry(tmp_path / "nowhere")
    second.register(ProviderPlugin(plugin.manifest, plugin.create))
    assert second.ai("plain").mark == "one"
    await second.reload()
    assert second.ai("plain").mark == "one"
