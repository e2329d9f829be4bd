"""Checks of providers of resources: create, get, update, list and delete against a store that really keeps them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any

from mosaic.providers.resources import RESOURCES, Resource, ResourceProvider, ResourceService
from mosaic.providers.testing.bench import INSTANCE, Bench
from mosaic.providers.testing.checks import Check, expect, told
from mosaic.providers.testing.endpoint import Reply
from mosaic.providers.testing.sample import ResourceSample
from mosaic.providers.testing.store import ResourceStore

__all__ = ["RESOURCE_CHECKS"]

_WAIT_S = 10.0
_COUNT = 5
_STATUSES = {
    400: "invalid_input",
    403: "permission_denied",
    404: "not_found",
    409: "conflict",
    500: "unavailable",
}


def _serve(bench: Bench) -> ResourceStore:
    store = ResourceStore(bench.sample, bench.manifest.pagination)
    bench.endpoint.answer = store.answer
    return store


def _services(bench: Bench, provider: ResourceProvider) -> list[tuple[ResourceSample, ResourceService]]:
    offered = provider.resources()
    return [(sample, offered[sample.kind]) for sample in bench.sample.resources if sample.kind in offered]


async def _kinds_are_known_and_sampled(bench: Bench) -> None:
    provider = bench.provider()
    offered = set(provider.resources())
    await provider.close()
    allowed = {kind for provided in bench.manifest.kinds for kind in RESOURCES[provided]}
    expect(offered, "it offers no resource")
    expect(offered <= allowed, f"{sorted(offered - allowed)} are no resources of {bench.manifest.kinds}")
    sampled = {sample.kind for sample in bench.sample.resources}
    expect(offered == sampled, f"offered and sampled resources differ: {sorted(offered ^ sampled)}")


async def _every_verb_works(bench: Bench) -> None:
    provider = bench.provider()
    for sample, service in _services(bench, provider):
        _serve(bench)
        made = await service.create(sample.create, parent=sample.parent, idempotency_key="k")
        expect(made.ref.id, f"a new {sample.kind} has no id")
        expect(
            made.ref.provider == INSTANCE,
            f"a new {sample.kind} names {made.ref.provider!r}, not the instance",
        )
        _holds(made, sample.create)
        found = await service.get(made.ref)
        expect(found.ref.id == made.ref.id, f"get found {found.ref.id!r}, not {made.ref.id!r}")
        changed = await service.update(made.ref, sample.change)
        _holds(changed, sample.change)
        _holds(await service.get(made.ref), sample.change)
        listed = await _ids(service, sample)
        expect(listed == [made.ref.id], f"list shows {listed}, not {made.ref.id!r}")
        await service.delete(made.ref)
        for call in (
            service.get(made.ref),
            service.delete(made.ref),
            service.update(made.ref, sample.change),
        ):
            error = await told(call)
            expect(error.code == "not_found", f"what was deleted gives {error.code}, not not_found")
    await provider.close()


def _holds(resource: Resource, fields: dict[str, Any]) -> None:
    wrong = {
        name: resource.fields.get(name)
        for name, value in fields.items()
        if resource.fields.get(name) != value
    }
    expect(not wrong, f"the {resource.ref.kind} holds {wrong}, not what was given")


async def _listings_are_whole(bench: Bench) -> None:
    provider = bench.provider()
    for sample, service in _services(bench, provider):
        store = _serve(bench)
        for number in range(_COUNT):
            await service.create(sample.create, parent=sample.parent, idempotency_key=f"k{number}")
        store.pages = 0
        ids = await _ids(service, sample)
        expect(
            len(set(ids)) == len(ids) == _COUNT, f"{len(ids)} of {_COUNT} were listed in {store.pages} pages"
        )
        cut = store.answer

        def failing(received: Any, pages: list[Any] = [], cut: Any = cut) -> Reply:  # noqa: B006  # counts
            pages.append(received)
            return bench.sample.refusal(503) if len(pages) > 1 else cut(received)

        bench.endpoint.answer = failing
        if store.pages > 1:
            error = await told(_all(service.list(parent=sample.parent)))
            expect(
                error.code == "unavailable",
                f"a listing that was cut off raised {error.code}, not unavailable",
            )
    await provider.close()


async def _ids(service: ResourceService, sample: ResourceSample) -> list[str]:
    ids: list[str] = []
    async with aclosing(service.list(parent=sample.parent)) as listing:  # type: ignore[type-var]  # a generator
        async for one in listing:
            ids.append(one.ref.id)
            if len(ids) > 2 * _COUNT:  # pages that repeat may do so for ever
                break
    return ids


async def _all(listing: AsyncIterator[Resource]) -> list[Resource]:
    return [resource async for resource in listing]


def _calls(sample: ResourceSample, service: ResourceService, made: Resource) -> list[Awaitable[object]]:
    return [
        service.get(made.ref),
        service.create(sample.create, parent=sample.parent, idempotency_key="k"),
        service.update(made.ref, sample.change),
        service.delete(made.ref),
        _all(service.list(parent=sample.parent)),
    ]


async def _errors_are_mapped(bench: Bench) -> None:
    provider = bench.provider()
    declared = {int(word): code for word, code in bench.manifest.errors.items() if word.isdigit()}
    wanted = {**_STATUSES, 401: "unauthenticated", 503: "unavailable", **declared}
    for sample, service in _services(bench, provider):
        _serve(bench)
        made = await service.create(sample.create, parent=sample.parent, idempotency_key="k")
        for status, code in wanted.items():
            bench.endpoint.answer = lambda _, status=status: bench.sample.refusal(status)
            for call in _calls(sample, service, made):
                error = await told(call)
                expect(error.code == code, f"status {status} became {error.code}, not {code}")
                shown = str(error.to_json())
                expect(not any(secret in shown for secret in bench.secrets), "an error shows a secret")
    await provider.close()


async def _rate_limit_keeps_the_wait(bench: Bench) -> None:
    provider = bench.provider()
    for sample, service in _services(bench, provider):
        _serve(bench)
        made = await service.create(sample.create, parent=sample.parent, idempotency_key="k")
        bench.endpoint.answer = lambda _: bench.sample.refusal(429, headers={"retry-after": "7"})
        for call in _calls(sample, service, made):
            error = await told(call)
            waits = error.data.get("retry_after_s")
            expect(
                (error.code, waits) == ("limit_exceeded", 7),
                f"429 became {error.code}, retry_after_s={waits!r}",
            )
    await provider.close()


async def _many_at_once(bench: Bench) -> None:
    provider = bench.provider()
    for sample, service in _services(bench, provider):
        _serve(bench)
        made = await asyncio.gather(
            *(
                service.create(sample.create, parent=sample.parent, idempotency_key=f"k{number}")
                for number in range(4 * _COUNT)
            )
        )
        expect(len({one.ref.id for one in made}) == 4 * _COUNT, "calls at once got each other's answers")
    await provider.close()


RESOURCE_CHECKS: dict[str, Check] = {
    "its resources are known ones, each with a sample": _kinds_are_known_and_sampled,
    "create, get, update, list and delete work": _every_verb_works,
    "a listing is whole, over all pages, or raises": _listings_are_whole,
    "errors are mapped to the common tree, without secrets": _errors_are_mapped,
    "a rate limit keeps the vendor's waiting time": _rate_limit_keeps_the_wait,
    "many calls at once are answered": _many_at_once,
}
"""Sentence -> check, for the kinds other than `ai`."""
