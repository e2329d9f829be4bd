"""The suite's client: our connection to a server, driven through one scenario; run as ``python -m ... URL``.

`MCP_CONFORMANCE_SCENARIO` names the scenario, `MCP_CONFORMANCE_CONTEXT` holds what it gives along.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import mcp.types as t
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.context import ClientRequestContext
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from mosaic.core.errors import MosaicError
from mosaic.tools import McpServer
from mosaic.tools.mcp.connection import McpConnection

CALL_S = 30.0
CALLBACK = "http://localhost:3000/callback"
STUBS: dict[str, Any] = {
    "string": "x",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "object": {},
    "array": [],
}


class Tokens(TokenStorage):
    """Keeps tokens for as long as the scenario takes."""

    def __init__(self, client: OAuthClientInformationFull | None) -> None:
        self._client = client
        self._tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


class Consent:
    """The person who logs in: the authorization page sends them back at once."""

    def __init__(self) -> None:
        self._result: AuthorizationCodeResult | None = None

    async def redirect(self, url: str) -> None:
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url, follow_redirects=False)
        given = parse_qs(urlsplit(answer.headers["location"]).query)

        def one(name: str) -> str | None:
            return given[name][0] if name in given else None

        self._result = AuthorizationCodeResult(code=given["code"][0], state=one("state"), iss=one("iss"))

    async def callback(self) -> AuthorizationCodeResult:
        assert self._result is not None
        result, self._result = self._result, None
        return result


def authorization(url: str) -> httpx2.Auth:
    """Log in as the suite's authorization server wants it."""
    given, client = context(), None
    if (client_id := given.get("client_id")) is not None:
        secret = given.get("client_secret")
        client = OAuthClientInformationFull(
            client_id=client_id,
            client_secret=secret,
            redirect_uris=[AnyUrl(CALLBACK)],
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
        )
    consent = Consent()
    return OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="mosaic",
            redirect_uris=[AnyUrl(CALLBACK)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        storage=Tokens(client),
        redirect_handler=consent.redirect,
        callback_handler=consent.callback,
        client_metadata_url="https://conformance-test.local/client-metadata.json",
    )


async def accept(_: ClientRequestContext, asked: t.ElicitRequestParams) -> t.ElicitResult:
    """Agree to everything, with the defaults of the form."""
    fields = asked.requested_schema["properties"] if isinstance(asked, t.ElicitRequestFormParams) else {}
    content = {name: field["default"] for name, field in fields.items() if "default" in field}
    return t.ElicitResult(action="accept", content=content or {"confirmed": True})


def context() -> dict[str, Any]:
    """What the scenario gives along."""
    return dict(json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}"))


@asynccontextmanager
async def connected(url: str, scenario: str) -> AsyncIterator[McpConnection]:
    """Our connection to the scenario's server."""
    with tempfile.TemporaryDirectory() as scratch:
        connection = McpConnection(
            "suite",
            McpServer(url=url),
            workspace=None,
            scratch=Path(scratch),
            auth=authorization(url) if scenario.startswith("auth/") else None,
            elicit=accept,
        )
        try:
            yield connection
        finally:
            await connection.close()


async def call(connection: McpConnection, tool: str, arguments: dict[str, Any]) -> None:
    """Call a tool; what a scenario refuses on purpose is said and gone over."""
    try:
        await connection.call(tool, arguments, timeout_s=CALL_S, report=print)
    except MosaicError as error:
        sys.stderr.write(f"{tool}: {error}\n")


async def replay(connection: McpConnection, listed: list[t.Tool]) -> None:
    """Call what the suite says."""
    names = {tool.name for tool in listed}
    for asked in context().get("toolCalls", ()):
        if asked["name"] in names:
            await call(connection, asked["name"], asked.get("arguments") or {})


async def call_all(connection: McpConnection, listed: list[t.Tool]) -> None:
    """Call every tool, with what it needs at least."""
    for tool in listed:
        wanted = tool.input_schema.get("properties", {})
        required = tool.input_schema.get("required", [])
        await call(
            connection,
            tool.name,
            {name: STUBS.get(wanted.get(name, {}).get("type"), "x") for name in required},
        )


async def answer(connection: McpConnection, _listed: list[t.Tool]) -> None:
    """Call what asks, and what does not."""
    for kind in ("echo_state", "unrelated", "no_state", "no_result_type"):
        await call(connection, f"test_mrtr_{kind}", {})


async def echo(connection: McpConnection, listed: list[t.Tool]) -> None:
    """Give a schema back as it came."""
    focal = next(tool for tool in listed if tool.name == "json_schema_2020_12_tool")
    await call(connection, "json_schema_echo", {"schema": focal.input_schema})


async def call_first(connection: McpConnection, listed: list[t.Tool]) -> None:
    """Call one tool."""
    arguments = {"a": 5, "b": 3} if listed[0].name == "add_numbers" else {}
    await call(connection, listed[0].name, arguments)


async def nothing(_connection: McpConnection, _listed: list[t.Tool]) -> None:
    """Be content with the list."""


SCENARIOS = {
    "initialize": nothing,
    "http-custom-headers": replay,
    "http-invalid-tool-headers": call_all,
    "sep-2322-client-request-state": answer,
    "json-schema-2020-12-preservation": echo,
}


async def play(url: str, scenario: str) -> None:
    """Do what the scenario wants to see."""
    async with connected(url, scenario) as connection:
        if listed := await connection.tools():
            await SCENARIOS.get(scenario, call_first)(connection, listed)


if __name__ == "__main__":
    asyncio.run(play(sys.argv[1], os.environ["MCP_CONFORMANCE_SCENARIO"]))
