"""Resources over a REST API with JSON: the base that plugins of the kinds other than `ai` build on.

A vendor that follows the usual form (POST and GET on a collection, GET, PATCH and DELETE on an item) needs two methods,
`read` and `write`; one that differs overrides a verb.
"""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from mosaic.core.errors import ContractViolation, InvalidInput, MosaicError
from mosaic.core.values import JsonObject
from mosaic.providers.adapter import health_of, reading
from mosaic.providers.health import ProviderHealth
from mosaic.providers.http import ProviderHttp
from mosaic.providers.manifest import Pagination
from mosaic.providers.resources import Resource, ResourceRef

__all__ = ["HttpResourceProvider", "HttpResourceService"]

_TIMEOUT_S = 30.0
_CHECK_TIMEOUT_S = 10.0
_MOST_PAGES = 10_000
_NEXT_LINK = re.compile(r'<([^>]+)>[^,]*;\s*rel="?next"?')


class HttpResourceService:
    """One kind of resource over REST.

    Attributes:
        kind: the resource's, one of `resources.RESOURCES`.
        collection: path of the collection; ``{parent}`` stands for the id it belongs to.
        item: path of one; ``{id}`` and ``{parent}`` are filled in.
        list_field: where in a listing's body the items stand; empty when the body is the list.
        update_method: PATCH, or PUT where the vendor has only that.
        pagination: how listings are divided.
    """

    kind: ClassVar[str]
    collection: ClassVar[str]
    item: ClassVar[str]
    list_field: ClassVar[str] = ""
    update_method: ClassVar[str] = "PATCH"
    pagination: ClassVar[Pagination] = Pagination("none")

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    def read(self, body: JsonObject, *, parent: str) -> Resource:
        """Return the resource that the vendor's body describes. A surprise in it is reported as the vendor's."""
        ref = ResourceRef(self._http.provider, self.kind, str(body["id"]), str(body.get("name", "")), parent)
        return Resource(ref, dict(body), raw=body)

    def write(self, fields: JsonObject) -> JsonObject:
        """Return the vendor's form of the fields to set."""
        return dict(fields)

    async def create(self, fields: JsonObject, *, parent: str = "", idempotency_key: str) -> Resource:
        """Make one and return it as it now is."""
        body = await self._call(
            "POST",
            self._path(self.collection, parent=parent),
            body=self.write(fields),
            headers={"idempotency-key": idempotency_key},
        )
        return self._read(body, parent)

    async def get(self, ref: ResourceRef) -> Resource:
        """Return one by its id."""
        return self._read(await self._call("GET", self._item(ref)), ref.parent)

    async def update(
        self, ref: ResourceRef, fields: JsonObject, *, if_version: str | None = None
    ) -> Resource:
        """Change the fields given and return it as it now is."""
        headers = {"if-match": if_version} if if_version is not None else None
        body = await self._call(self.update_method, self._item(ref), body=self.write(fields), headers=headers)
        return self._read(body, ref.parent)

    async def delete(self, ref: ResourceRef) -> None:
        """Remove it."""
        await self._http.delete(self._item(ref), timeout_s=_TIMEOUT_S)

    async def list(
        self, *, parent: str = "", filters: Mapping[str, str] | None = None
    ) -> AsyncIterator[Resource]:
        """Yield every one, all pages; a page that does not come raises."""
        path = self._path(self.collection, parent=parent)
        query = {**(filters or {}), **self._first_page()}
        for _ in range(_MOST_PAGES):
            address = f"{path}?{urlencode(query)}" if query else path
            async with self._http.send("GET", address, timeout_s=_TIMEOUT_S) as answer:
                body: Any = _decoded(await answer.read(), self._http)
            with reading(self._http.provider):
                items = body[self.list_field] if self.list_field else body
                following = self._next_page(query, len(items), body, answer.headers)
            for item in items:
                yield self._read(item, parent)
            if following is None:
                return
            query = following
        raise ContractViolation(
            f"{self._http.provider} listed more than {_MOST_PAGES:,} pages.", provider=self._http.provider
        )

    def _first_page(self) -> dict[str, str]:
        paging = self.pagination
        query = (
            {paging.size_parameter: str(paging.max_size)} if paging.size_parameter and paging.max_size else {}
        )
        if paging.style == "page":
            query[paging.parameter] = "1"
        elif paging.style == "offset":
            query[paging.parameter] = "0"
        return query

    def _next_page(
        self, query: dict[str, str], count: int, body: Any, headers: Mapping[str, str]
    ) -> dict[str, str] | None:
        paging = self.pagination
        if paging.style == "cursor":
            cursor = body.get(paging.next_field)
            return {**query, paging.parameter: str(cursor)} if cursor else None
        if paging.style == "link":
            found = _NEXT_LINK.search(headers.get("link", ""))
            return dict(parse_qsl(urlsplit(found[1]).query)) if found else None
        # A vendor may give fewer than were asked for, so only an empty page is the end.
        if paging.style in ("page", "offset") and count:
            step = 1 if paging.style == "page" else count
            return {**query, paging.parameter: str(int(query[paging.parameter]) + step)}
        return None

    async def _call(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JsonObject:
        async with self._http.send(method, path, body=body, headers=headers, timeout_s=_TIMEOUT_S) as answer:
            return await answer.json()

    def _read(self, body: JsonObject, parent: str) -> Resource:
        with reading(self._http.provider):
            return self.read(body, parent=parent)

    def _item(self, ref: ResourceRef) -> str:
        if not ref.id:
            raise InvalidInput(f"{self._http.provider} finds a {self.kind} by its id, and none is given.")
        return self._path(self.item, parent=ref.parent, id=ref.id)

    def _path(self, template: str, **parts: str) -> str:
        return template.format_map({name: quote(part, safe="") for name, part in parts.items()})


class HttpResourceProvider:
    """A provider whose resources are all behind one address and one credential.

    Attributes:
        services: the class of each resource's service.
        check_path: a small thing to read that needs the credential.
    """

    services: ClassVar[tuple[type[HttpResourceService], ...]] = ()
    check_path: ClassVar[str] = "/"

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http
        self._services = {service.kind: service(http) for service in self.services}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.address!r})"

    @property
    def name(self) -> str:
        """The instance's name, in errors and references."""
        return self._http.provider

    @name.setter
    def name(self, name: str) -> None:
        self._http.provider = name

    def resources(self) -> Mapping[str, HttpResourceService]:
        """Return the service of each kind of resource."""
        return self._services

    async def check(self, *, thorough: bool = False) -> ProviderHealth:
        """Say where calls go; `thorough` reads one small thing there."""
        if thorough:
            try:
                async with self._http.send("GET", self.check_path, timeout_s=_CHECK_TIMEOUT_S):
                    pass
            except MosaicError as error:
                return health_of(error, self.name)
        return ProviderHealth(self.name, "ready", f"calls go to {self._http.address}")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _decoded(content: bytes, http: ProviderHttp) -> Any:
    """Return the JSON of a listing, which may be a list where other answers are objects."""
    if content.lstrip().startswith(b"["):
        return http.read_json(b'{"items":' + content + b"}")["items"]
    return http.read_json(content)
