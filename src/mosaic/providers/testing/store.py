"""A small REST vendor: resources that are really kept, listed in pages, found again and gone when deleted."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from mosaic.core.values import JsonObject
from mosaic.providers.manifest import Pagination
from mosaic.providers.testing.endpoint import Received, Reply, json_reply
from mosaic.providers.testing.sample import ResourceSample, Sample

__all__ = ["ResourceStore"]

_PAGE_SIZE = 2


class ResourceStore:
    """Answers a plugin's requests as its vendor would, by the sample's paths and the manifest's pagination."""

    def __init__(self, sample: Sample, pagination: Pagination | None) -> None:
        self._sample = sample
        self._pagination = pagination or Pagination("none")
        self._kept: dict[str, dict[str, JsonObject]] = {resource.kind: {} for resource in sample.resources}
        self._made = 0
        self.pages = 0

    def answer(self, received: Received) -> Reply:
        """Return the answer to a request."""
        parts = urlsplit(received.path)
        for resource in self._sample.resources:
            found = _matched(resource.item, parts.path, resource)
            if found is not None:
                return self._item(resource, found, received)
            if _matched(resource.collection, parts.path, resource) is not None:
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                return self._collection(resource, received, parts.path, query)
        return self._sample.refusal(404, kind="no_such_path")

    def _collection(
        self, resource: ResourceSample, received: Received, path: str, query: Mapping[str, str]
    ) -> Reply:
        kept = self._kept[resource.kind]
        if received.method == "POST":
            self._made += 1
            made = {**received.json, resource.id_field: str(self._made)}
            kept[str(self._made)] = made
            return json_reply(made, status=201)
        self.pages += 1
        return self._page(resource, list(kept.values()), path, query)

    def _item(self, resource: ResourceSample, id_: str, received: Received) -> Reply:
        kept = self._kept[resource.kind]
        if id_ not in kept:
            return self._sample.refusal(404, kind="not_found_error")
        if received.method == "DELETE":
            del kept[id_]
            return json_reply({})
        if received.method in ("PATCH", "PUT"):
            kept[id_] = {**kept[id_], **received.json}
        return json_reply(kept[id_])

    def _page(
        self, resource: ResourceSample, items: list[JsonObject], path: str, query: Mapping[str, str]
    ) -> Reply:
        paging = self._pagination
        try:
            start = _start(paging, query.get(paging.parameter, ""))
        except ValueError:
            return self._sample.refusal(400, kind="no_such_page")
        size = len(items) if paging.style == "none" else _PAGE_SIZE
        shown, more = items[start : start + size], start + size < len(items)
        headers: dict[str, str] = {}
        body: JsonObject = {resource.list_field or "items": shown}
        if paging.style == "cursor" and more:
            body[paging.next_field] = f"after-{start + size}"
        if paging.style == "link" and more:
            number = start // _PAGE_SIZE + 2
            headers["link"] = f'<http://vendor{path}?{paging.parameter or "page"}={number}>; rel="next"'
        return json_reply(body if resource.list_field else shown, headers=headers)


def _start(paging: Pagination, given: str) -> int:
    """Return the index of the first item of the page that is asked for."""
    if paging.style in ("page", "link"):
        return (int(given or 1) - 1) * _PAGE_SIZE
    if paging.style == "offset":
        return int(given or 0)
    return int(given.removeprefix("after-") or 0) if paging.style == "cursor" else 0


def _matched(template: str, path: str, resource: ResourceSample) -> str | None:
    """Return the id in a path that fits a template (empty for one without); None when it does not fit."""
    pattern = (
        re.escape(template).replace(r"\{id\}", "([^/]+)").replace(r"\{parent\}", re.escape(resource.parent))
    )
    found = re.fullmatch(pattern, path)
    if found is None:
        return None
    return found[1] if found.groups() else ""
