"""What every route of the API does besides its own work: pages, chosen fields, ETags, and repetitions that are safe."""

import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from mosaic.api.conditions import content_tag, is_known
from mosaic.api.cursors import PageLinks
from mosaic.api.documented import SPARSE, documented
from mosaic.api.idempotency import HEADER, once
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject

__all__ = ["Route", "encoded"]


_ACTS = frozenset({"POST", "PATCH"})
_encoder = msgspec.json.Encoder(enc_hook=jsonable_encoder)


class Route(APIRoute):
    """A route whose answers are JSON values; what it returns as a `Response` is sent as it is.

    A GET has an ETag and heeds If-None-Match. One whose parameters have a `cursor` has pages: its answers' cursors are
    made opaque, and a Link header names the next page. `fields` chooses among the fields of the answer's document. A
    POST or PATCH with an Idempotency-Key is done once.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        status = options.get("status_code") or 200
        methods = frozenset(options.get("methods") or ("GET",))
        model = (options.get("responses") or {}).get(status, {}).get("model")
        self.shown_once = bool((options.get("openapi_extra") or {}).get("x-shown-once"))
        self.reads = methods == {"GET"} and model is not None
        self.acts = bool(methods & _ACTS)
        names = endpoint.__annotations__
        self.pages = "cursor" in names
        self.known_fields = _known_fields(model) if self.reads and "fields" not in names else ()
        super().__init__(path, _valued(endpoint, status), **documented(self, options))

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def answer(request: Request) -> Response:
            if takes_body:
                _require_json(request)
            fields = self._fields(request)
            links = self._opened(request) if self.pages else None
            response = await handle(request)
            return self._sent(request, response, links, fields) if isinstance(response, _Value) else response

        if not self.acts:
            return answer

        async def answer_once(request: Request) -> Response:
            if HEADER not in request.headers:
                return await answer(request)
            keys, ctx = request.app.state.idempotency, request.state.caller
            return await once(keys, ctx, request, answer, shown_once=self.shown_once)

        return answer_once

    def _fields(self, request: Request) -> frozenset[str] | None:
        """Return the fields that the client chose; None for all.

        Raises:
            InvalidInput: for a field that there is not.
        """
        if not self.known_fields or b"fields=" not in request.scope["query_string"]:
            return None
        given = request.query_params.getlist("fields")
        if not given:
            return None
        chosen = [name.strip() for text in given for name in text.split(",")]
        for name in chosen:
            if name not in self.known_fields:
                known = ", ".join(self.known_fields)
                problem = Problem(f"there is no field {name[:60]!r}", path="query.fields", suggestion=known)
                raise InvalidInput("The request is not valid.", problems=[problem], hint=f"Fields: {known}.")
        return frozenset(chosen)

    def _opened(self, request: Request) -> PageLinks:
        """Put the room's own cursor into the request, and return what makes the next one."""
        links = PageLinks(request.url.path, request.query_params.multi_items())
        if "cursor" in request.query_params:
            request.scope["query_string"] = urlencode(links.opened()).encode()
            vars(request).pop("_query_params", None)
        return links

    def _sent(
        self, request: Request, value: "_Value", links: PageLinks | None, fields: frozenset[str] | None
    ) -> Response:
        content, headers = value.content, dict(value.headers)
        if links is not None and isinstance(content, dict):
            place = content.get("next_cursor")
            if place is not None:
                content = {**content, "next_cursor": links.sealed(str(place))}
            headers["Link"] = links.header(content.get("next_cursor"))
        if fields is not None:
            content = _chosen(content, fields)
        body = encoded(content)
        media = SPARSE if fields is not None else "application/json"
        if not self.reads:
            headers.setdefault("cache-control", "no-store")
            return Response(body, status_code=value.status_code, headers=headers, media_type=media)
        tag = headers.pop("etag", None)
        if tag is None or not tag.startswith("W/"):
            tag = content_tag(body, tag.strip('"') if tag is not None else None)
        headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
        asked = request.headers.get("if-none-match")
        if asked is not None and value.status_code == 200 and is_known(asked, tag):
            return Response(status_code=304, headers=headers)
        return Response(body, status_code=value.status_code, headers=headers, media_type=media)


class _Value(Response):
    """A value on its way out, not yet a body."""

    def __init__(self, content: Any, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.content = content
        self.status_code = status
        self.raw_headers = list(headers)
        self.background = None


def _valued(endpoint: Callable[..., Awaitable[Any]], status: int) -> Callable[..., Awaitable[Response]]:
    """Return the endpoint with its value unencoded: FastAPI would copy it first, which costs more than all the rest."""

    @functools.wraps(endpoint)
    async def valued(**values: Any) -> Response:
        result = await endpoint(**values)
        if isinstance(result, Response):
            return result
        told = next((value for value in values.values() if isinstance(value, Response)), None)
        if told is None:
            return _Value(result, status, ())
        headers = [pair for pair in told.raw_headers if pair[0] != b"content-length"]
        return _Value(result, told.status_code or status, headers)

    return valued


def encoded(content: Any) -> bytes:
    """Return a value as JSON."""
    try:
        return _encoder.encode(content)
    except (TypeError, ValueError, OverflowError):  # numbers of hundreds of digits, keys that are no text
        return bytes(JSONResponse(jsonable_encoder(content)).body)


def _chosen(content: Any, fields: frozenset[str]) -> Any:
    if "items" in content and isinstance(content["items"], list):
        rows: list[JsonObject] = content["items"]
        return {**content, "items": [_chosen_row(row, fields) for row in rows]}
    return _chosen_row(content, fields)


def _chosen_row(row: JsonObject, fields: frozenset[str]) -> JsonObject:
    return {name: value for name, value in row.items() if name in fields}


def _known_fields(model: Any) -> tuple[str, ...]:
    """Return the fields that a client may choose from: of the rows of a page, else of the document."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return ()
    fields = model.model_fields
    if "items" not in fields:
        return tuple(fields)
    rows = next(iter(get_args(fields["items"].annotation)), None)
    if isinstance(rows, type) and issubclass(rows, BaseModel):
        return tuple(rows.model_fields)
    return ()


def _require_json(request: Request) -> None:
    """Refuse a body that says that it is something else than JSON."""
    kind = request.headers.get("content-type")
    if kind is None:
        return
    kind = kind.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, f"The body is {kind[:80] or 'nothing'!r}; this takes application/json.")
