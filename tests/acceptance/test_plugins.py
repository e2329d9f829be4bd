"""Plugins: put into a folder, swapped while they are in use, standing side by side, checked before they harm."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.errors import (
    InvalidInput,
    LimitExceeded,
    MosaicError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from mosaic.core.redaction import Redactor
from mosaic.providers import (
    AiProvider,
    HealthMonitor,
    Message,
    ModelRequest,
    ProviderRegistry,
    Resource,
    ResourceProvider,
    ResourceService,
)
from mosaic.providers.testing import Endpoint, check_plugin, json_reply, running_endpoint, scaffold
from tests.acceptance.installation import Installation, on_sqlite

pytestmark = pytest.mark.anyio

ASK = """
agents: {a: {model: "acme:small-1", instructions: You are a.}}
do: [{one: {agent: a, with: go}}]
"""
ASKED = ModelRequest("small-1", (Message.of("user", "hi"),), timeout_s=30)
BUILT_IN = ("anthropic", "cohere", "gemini", "ollama", "openai")


def says(text: str) -> Any:
    """Return the answer of the vendor for which `mosaic plugins new` writes an adapter."""
    return json_reply({"text": text, "usage": {"input": 11, "output": 7}})


def write(home: Path, name: str, *, kind: Any = "ai", folder: str = "", **replaced: str) -> Path:
    """Write a plugin as `mosaic plugins new` does; `replaced` are texts of its manifest and code."""
    plugins = home / "plugins"
    scaffold(name, kind=kind, directory=plugins / ".new")
    made = plugins / (folder or name)
    (plugins / ".new" / name).rename(made)
    (plugins / ".new").rmdir()
    edit(made, **replaced)
    return made


def edit(folder: Path, **replaced: str) -> None:
    """Replace texts in the files of a plugin: each keyword's value is ``old => new``."""
    for change in replaced.values():
        old, _, new = change.partition(" => ")
        found = [path for path in folder.glob("*.[py]*") if old in path.read_text()]
        assert found, old
        for path in found:
            path.write_text(path.read_text().replace(old, new))


def with_acme(installation: Installation, endpoint: Endpoint, **more: Any) -> Installation:
    return Installation(
        installation.home,
        installation.database_url,
        {"acme": {"base_url": f"{endpoint.url}/v1", **more}},
    )


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the vendor, where keys belong."""
    monkeypatch.setenv("ACME_API_KEY", "acceptance-key-0123456789")


@on_sqlite
@pytest.mark.requirement("ORC-91", "ORC-95", "ORC-101", "ORC-06", "ORC-104")
async def test_a_plugin_put_into_the_folder_serves_a_workflow_at_once(
    installation: Installation, endpoint: Endpoint
) -> None:
    write(installation.home, "acme")
    endpoint.will(says("acme says hello"))
    async with with_acme(installation, endpoint).open() as desk:
        run = await desk.run(installation.workflow(ASK))
        assert run["outputs"] == {"result": "acme says hello"}, run["error"]
        shown = await desk.operations.system(desk.ctx)
        health = {one["provider"]: one["status"] for one in shown["providers"]}
        assert health["acme"] == "ready"
    assert endpoint.last.headers["authorization"] == "Bearer acceptance-key-0123456789"


@on_sqlite
@pytest.mark.requirement("ORC-96", "ORC-91", "STK-11")
async def test_a_plugin_is_swapped_in_the_running_product_and_calls_in_flight_end_well(
    installation: Installation, endpoint: Endpoint
) -> None:
    folder = write(installation.home, "acme")
    endpoint.answer = lambda request: says(request.path)
    async with with_acme(installation, endpoint).open() as desk:
        providers = desk.application.providers
        assert (await desk.run(installation.workflow(ASK)))["outputs"] == {"result": "/v1/chat"}
        with providers.lease("acme") as held:
            edit(folder, path='"/chat" => "/v2/chat"')
            report = await providers.reload(wait=False)
            assert report.changed == ("acme",)
            response = await held.complete(ASKED, idempotency_key="k")
            assert response.message.text == "/v1/chat", "the call began on the old one"
            assert (await desk.run(installation.workflow(ASK)))["outputs"] == {"result": "/v1/v2/chat"}
        edit(folder, path="class Acme => klass Acme")
        with pytest.raises(InvalidInput, match="not reloaded") as caught:
            await providers.reload()
        assert "SyntaxError" in str(caught.value.problems[0])
        assert (await desk.run(installation.workflow(ASK)))["outputs"] == {"result": "/v1/v2/chat"}


@on_sqlite
@pytest.mark.requirement("ORC-96")
async def test_no_call_fails_over_many_swaps_under_load(
    installation: Installation, endpoint: Endpoint
) -> None:
    folder = write(installation.home, "acme")
    endpoint.answer = lambda request: says(request.path)
    async with with_acme(installation, endpoint).open() as desk:
        providers, done, paths = desk.application.providers, asyncio.Event(), set()

        async def caller() -> None:
            while not done.is_set():
                with providers.lease("acme") as provider:
                    paths.add((await provider.complete(ASKED, idempotency_key="k")).message.text)

        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(caller())
            await asyncio.to_thread(edit, folder, path='"/chat" => "/0/chat"')
            for number in range(20):
                await providers.reload(wait=False)
                edit(folder, path=f'"/{number}/chat" => "/{number + 1}/chat"')
            await providers.reload()
            done.set()
        assert len(paths) > 3, "old and new code answered"
        with providers.lease("acme") as provider:
            assert (await provider.complete(ASKED, idempotency_key="k")).message.text == "/v1/20/chat"


@on_sqlite
@pytest.mark.requirement("ORC-93", "ORC-92")
async def test_broken_plugins_are_refused_before_they_run_and_the_product_goes_on(
    installation: Installation, endpoint: Endpoint
) -> None:
    write(installation.home, "acme")
    marker = installation.home / "ran"
    runs = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    broken = write(
        installation.home,
        "unread",
        code=f'"""Models of => {runs}\n"""Models of',
        id="kinds: [ai] => kinds: [toaster]",
    )
    write(installation.home, "leaves", code='"""Models of => import sys; sys.exit(9)\n"""Models of')
    endpoint.will(says("still here"))
    async with with_acme(installation, endpoint).open() as desk:
        run = await desk.run(installation.workflow(ASK))
        assert run["outputs"] == {"result": "still here"}, run["error"]
        shown = {one["provider"]: one for one in (await desk.operations.system(desk.ctx))["providers"]}
    assert shown["unread"]["status"] == shown["leaves"]["status"] == "broken"
    assert f"{broken / 'plugin.yaml'}:4:" in shown["unread"]["detail"]
    assert not marker.exists(), "its code did not run"


@on_sqlite
@pytest.mark.requirement("ORC-42", "ORC-98")
async def test_two_versions_stand_side_by_side_are_pinned_and_share_requests(
    installation: Installation, endpoint: Endpoint
) -> None:
    for version in ("1.4", "2.0"):
        write(
            installation.home,
            "acme",
            folder=f"acme@{version}",
            version=f'version: "0.1" => version: "{version}"',
            path=f'"/chat" => "/{version}/chat"',
        )
    endpoint.answer = lambda request: says(request.path)
    sharing = with_acme(installation, endpoint, versions={"1": 70, "2": 30})
    sharing.providers["pinned"] = {
        **sharing.providers["acme"],
        "plugin": "acme",
        "version": "1",
        "versions": None,
    }
    async with sharing.open() as desk:
        providers = desk.application.providers

        async def served(name: str, request_id: str) -> str:
            with providers.lease(name, request_id) as provider:
                return str((await provider.complete(ASKED, idempotency_key="k")).message.text)

        ids = [f"request-{number}" for number in range(60)]
        first = [await served("acme", id_) for id_ in ids]
        assert [await served("acme", id_) for id_ in ids] == first, "a request stays where it was"
        assert {"/v1/1.4/chat", "/v1/2.0/chat"} == set(first)
        assert first.count("/v1/1.4/chat") > first.count("/v1/2.0/chat")


@pytest.mark.requirement("ORC-97")
async def test_a_plugin_waits_for_what_it_requires(installation: Installation) -> None:
    requires = "secrets: [api_key] => secrets: [api_key]\nrequires: [{plugin: base, versions: '>=2'}]"
    write(installation.home, "acme", requires=requires)
    registry = ProviderRegistry(
        redactor=Redactor(), environment={}, plugins=[], directory=installation.home / "plugins"
    )
    with pytest.raises(Unavailable, match="requires base >=2: There is no plugin 'base'"):
        registry.ai("acme")
    write(installation.home, "base")
    await registry.reload()
    with pytest.raises(Unavailable, match="no version >=2"):
        registry.ai("acme")
    edit(installation.home / "plugins" / "base", version='version: "0.1" => version: "2.0"')
    await registry.reload()
    assert registry.ai("acme").name == "acme"
    await registry.close()


async def renamed(service: ResourceService, name: str) -> Resource:
    """What a caller writes once, for every vendor: make one, find it in the list, rename it, and return it."""
    made = await service.create({"name": name}, idempotency_key=name)
    (listed,) = [one async for one in service.list() if one.ref.id == made.ref.id]
    await service.update(listed.ref, {"name": f"{name}-2"})
    return await service.get(made.ref)


@pytest.mark.requirement("ORC-99", "ORC-94", "ORC-101", "ORC-103", "ORC-07")
async def test_the_same_code_works_on_two_vendors_and_one_stands_in_for_the_other(
    installation: Installation,
) -> None:
    from mosaic.providers.manifest import Pagination
    from mosaic.providers.testing.sample import ResourceSample, Sample
    from mosaic.providers.testing.store import ResourceStore

    write(installation.home, "hub", kind="git")
    write(
        installation.home,
        "lab",
        kind="git",
        paths="/repositories => /api/v4/projects",
        listed='list_field: ClassVar[str] = "items" => list_field: ClassVar[str] = ""',
        words='"title" => "path"',
        pages='Pagination("page", "page", "limit", 100) => Pagination("link", "page")',
    )

    def store(collection: str, list_field: str, pagination: Pagination) -> Any:
        sample = ResourceSample("repository", collection, collection + "/{id}", {}, {}, list_field)
        return ResourceStore(Sample({}, resources=(sample,)), pagination).answer

    async with running_endpoint() as hub, running_endpoint() as lab:
        hub.answer = store("/repositories", "items", Pagination("page", "page"))
        lab.answer = store("/api/v4/projects", "", Pagination("link", "page"))
        registry = ProviderRegistry(
            redactor=Redactor(),
            environment={},
            plugins=[],
            directory=installation.home / "plugins",
            settings={"hub": {"base_url": hub.url}, "lab": {"base_url": lab.url}},
        )

        async def first_that_answers(names: list[str]) -> Resource:
            for name in names:
                provider = registry.provider(name)
                assert isinstance(provider, ResourceProvider)
                try:
                    return await renamed(provider.resources()["repository"], "mosaic")
                except MosaicError as error:
                    if not error.failover_safe:
                        raise
            raise AssertionError("nobody answered")

        assert (await first_that_answers(["hub", "lab"])).ref.provider == "hub"
        hub.answer = lambda _: json_reply({"message": "down"}, status=503)
        stand_in = await first_that_answers(["hub", "lab"])
        assert (stand_in.ref.provider, stand_in.fields) == ("lab", {"name": "mosaic-2"})
        await registry.provider("lab").resources()["repository"].delete(stand_in.ref)
        with pytest.raises(NotFound):
            await registry.provider("lab").resources()["repository"].get(stand_in.ref)
        await registry.close()


@pytest.mark.requirement("ORC-102")
@pytest.mark.parametrize(
    ("status", "error"), [(401, Unauthenticated), (404, NotFound), (429, LimitExceeded), (503, Unavailable)]
)
async def test_vendors_of_every_kind_fail_with_the_same_errors(
    installation: Installation, endpoint: Endpoint, status: int, error: type[MosaicError]
) -> None:
    for name, kind in (("acme", "ai"), ("hub", "git"), ("wiki", "knowledge")):
        write(installation.home, name, kind=kind)
    at = {"base_url": endpoint.url}
    registry = ProviderRegistry(
        redactor=Redactor(),
        environment={},
        plugins=[],
        directory=installation.home / "plugins",
        settings={"acme": at, "hub": at, "wiki": at},
    )
    endpoint.will(json_reply({"message": "no"}, status=status, headers={"retry-after": "3"}))
    calls = [registry.ai("acme").complete(ASKED, idempotency_key="k")]
    calls += [
        service.create({"name": "x"}, idempotency_key="k")
        for name in ("hub", "wiki")
        for service in registry.provider(name).resources().values()
    ]
    for call in calls:
        with pytest.raises(error) as caught:
            await call
        assert caught.value.data["retry_after_s"] == 3
    await registry.close()


@pytest.mark.requirement("ORC-94", "ORC-100", "ORC-103")
def test_one_registry_holds_providers_of_every_kind_each_behind_its_interface(
    installation: Installation,
) -> None:
    kinds = ("ai", "git", "ci", "knowledge", "projects", "automation")
    for kind in kinds:
        write(installation.home, f"my-{kind}", kind=kind)
    registry = ProviderRegistry(
        redactor=Redactor(), environment={}, plugins=[], directory=installation.home / "plugins"
    )
    for kind in kinds:
        assert registry.names(kind) == [f"my-{kind}"]  # type: ignore[arg-type]  # one of the kinds
        provider = registry.provider(f"my-{kind}")
        assert isinstance(provider, AiProvider if kind == "ai" else ResourceProvider)


@pytest.mark.requirement("ORC-217", "ORC-218")
async def test_what_every_provider_can_do_is_data_and_true(installation: Installation) -> None:
    registry = ProviderRegistry(redactor=Redactor(), environment={})
    rows = {row["provider"]: row["operations"] for row in registry.matrix()}
    interfaces = {
        "embeddings": "embed",
        "count_tokens": "count_tokens",
        "speech": "speak",
        "moderation": "moderate",
    }
    for name in BUILT_IN:
        for operation, method in interfaces.items():
            offered = hasattr(registry.ai(name), method)
            assert (rows[name][operation]["level"] != "unsupported") == offered, (name, operation)
            assert offered or rows[name][operation]["reason"]
    assert rows["ollama"]["local_models"]["level"] == "supported"
    assert rows["anthropic"]["embeddings"]["level"] == "unsupported"


@pytest.mark.requirement("ORC-243")
@pytest.mark.parametrize("name", BUILT_IN)
async def test_every_provider_passes_the_conformance_suite(name: str) -> None:
    report = await check_plugin(name)
    assert report.passed, [finding for finding in report.findings if finding.outcome == "failed"]
    assert {finding.outcome for finding in report.findings} <= {"passed", "skipped"}


@on_sqlite
@pytest.mark.requirement("ENT-50")
async def test_a_monitor_sees_a_provider_go_and_come_back(
    installation: Installation, endpoint: Endpoint
) -> None:
    write(installation.home, "acme")
    seen: list[tuple[str, str]] = []

    async def note(changed: Any) -> None:
        seen.extend((health.provider, health.status) for health in changed if health.provider == "acme")

    async with with_acme(installation, endpoint).open() as desk:
        monitor = HealthMonitor(desk.application.providers, on_change=note)
        models = json_reply({"models": [{"id": "small-1"}]})
        for reply in (models, models, json_reply({}, status=503), models):
            endpoint.will(reply)
            await monitor.round()
    assert seen == [("acme", "ready"), ("acme", "unreachable"), ("acme", "ready")]
