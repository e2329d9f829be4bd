"""GraphQL over HTTP: requests read, run and answered as the specification says."""

import json
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from mosaic.api.graphql.context import Asked
from mosaic.api.graphql.negotiation import JSON, RESPONSE, preferred
from mosaic.api.graphql.schema import the_schema
from mosaic.api.problems import plain_problem, problem_response
from mosaic.api.routing import encoded
from mosaic.core.errors import PermissionDenied
from mosaic.core.values import JsonObject

__all__ = ["MOST_IN_BATCH", "answer"]

MOST_IN_BATCH = 10
"""How many operations one request may hold."""

_PREFLIGHTED = "graphql-require-preflight"


@dataclass(frozen=True, slots=True)
class _Operation:
    query: str
    name: str | None
    variables: JsonObject | None
    extensions: JsonObject | None


class _Refused(Exception):
    """The request is none; with the status to say so, and headers."""

    def __init__(self, message: str, status: int = 400, **headers: str) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


async def answer(request: Request, asked: Asked) -> Response:
    """Return the answer to a request: an operation, or an array of up to `MOST_IN_BATCH`, done one after another."""
    path, media = request.url.path, preferred(request.headers.get("accept"))
    if media is None:
        return plain_problem(path, 406, f"This answers with {RESPONSE} or {JSON}.")
    if request.method not in ("GET", "POST"):
        return plain_problem(path, 405, "This takes GET and POST.", headers={"Allow": "GET, POST"})
    if request.method == "GET" and not _is_deliberate(request.headers):
        return problem_response(
            path,
            PermissionDenied(
                "A browser may have been made to send this by another page.",
                hint="Send the header `GraphQL-Require-Preflight: 1`, or use POST.",
            ),
        )
    try:
        if request.method == "GET":
            operation = _operation(_from_query(request))
            status, body = await _run(operation, asked, media=media, may_change=False)
            return _response(body, status, media)
        given = _parsed(await _body(request))
        if isinstance(given, list):
            return _response(await _batch(given, asked), 200, JSON)
        status, body = await _run(_operation(given), asked, media=media, may_change=True)
        return _response(body, status, media)
    except _Refused as refused:
        return _response(_error(refused.message), refused.status, media, refused.headers)


def _is_deliberate(headers: Headers) -> bool:
    """Say whether a GET is one that no foreign page could have a browser send with its cookies.

    `Gate` has refused what browsers say comes from elsewhere; this is for browsers that say nothing.
    """
    return (
        "authorization" in headers
        or "sec-fetch-site" in headers
        or _PREFLIGHTED in headers
        or headers.get("content-type", "").partition(";")[0].strip().lower() == JSON
    )


async def _batch(given: list[Any], asked: Asked) -> list[JsonObject]:
    if not 1 <= len(given) <= MOST_IN_BATCH:
        raise _Refused(f"A batch holds 1 to {MOST_IN_BATCH} operations; this one has {len(given)}.")
    operations = [_operation(one) for one in given]
    # In order: a later one may ask for what an earlier one has changed.
    return [(await _run(one, asked, media=JSON, may_change=True))[1] for one in operations]


async def _run(
    operation: _Operation, asked: Asked, *, media: str, may_change: bool
) -> tuple[int, JsonObject]:
    allowed = {OperationType.QUERY, OperationType.MUTATION} if may_change else {OperationType.QUERY}
    try:
        result = await the_schema().execute(
            operation.query,
            variable_values=operation.variables,
            context_value=asked,
            operation_name=operation.name,
            operation_extensions=operation.extensions,
            allowed_operation_types=allowed,
        )
    except InvalidOperationTypeError as error:
        if error.operation_type is OperationType.SUBSCRIPTION:
            message = "Subscriptions come over a WebSocket here: subprotocol graphql-transport-ws."
            raise _Refused(message) from None
        raise _Refused("A GET may only ask; send this with POST.", 405, Allow="POST") from None
    except CannotGetOperationTypeError as error:
        return _status(media, was_run=False), _error(error.as_http_error_reason())
    return _shown(result, media)


def _shown(result: ExecutionResult, media: str) -> tuple[int, JsonObject]:
    errors = [error.formatted for error in result.errors or ()]
    # What fails before the first field is asked for has no path: syntax, validation, variables.
    was_run = result.data is not None or any(error.get("path") for error in errors)
    body: JsonObject = {"data": result.data} if was_run else {}
    if errors:
        body = {"errors": errors, **body}
    return _status(media, was_run=was_run), body


def _status(media: str, *, was_run: bool) -> int:
    return 200 if was_run or media == JSON else 400


# Reading


def _from_query(request: Request) -> JsonObject:
    given: JsonObject = {}
    for name in ("query", "operationName", "variables", "extensions"):
        values = request.query_params.getlist(name)
        if len(values) > 1:
            raise _Refused(f"`{name}` is there more than once.")
        if values:
            is_json = name in ("variables", "extensions") and values[0]
            given[name] = _parsed(values[0].encode()) if is_json else values[0] or None
    return given


async def _body(request: Request) -> bytes:
    kind, *parameters = request.headers.get("content-type", "").lower().split(";")
    if kind.strip() != JSON:
        raise _Refused(f"The body must be {JSON}.", 415, Accept_Post=JSON)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            raise _Refused("The body must be UTF-8.", 415)
    return await request.body()


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _Refused("That is not JSON.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _operation(given: Any) -> _Operation:
    if not isinstance(given, dict):
        raise _Refused("A request is an object with a `query`.")
    query, name = given.get("query"), given.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise _Refused("A request has a `query`, which is text.")
    if name is not None and not isinstance(name, str):
        raise _Refused("`operationName` is text or null.")
    for field in ("variables", "extensions"):
        if given.get(field) is not None and not isinstance(given[field], dict):
            raise _Refused(f"`{field}` is an object or null.")
    return _Operation(query, name or None, given.get("variables"), given.get("extensions"))


# Answering


def _error(message: str) -> JsonObject:
    return {"errors": [{"message": message}]}


def _response(content: Any, status: int, media: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        encoded(content),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=f"{media}; charset=utf-8",
    )
