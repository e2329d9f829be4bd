"""`/mcp` as an OAuth resource: tokens of one authorization server, meant for us, and nothing else."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from mosaic.providers.testing.endpoint import Endpoint, Received, Reply, json_reply, running_endpoint
from tests.mcp.conftest import McpSite, open_mcp_site

pytestmark = pytest.mark.anyio

AUDIENCE = "https://mosaic.example/mcp"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class AuthorizationServer:
    """Signs tokens and publishes its keys."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.issuer = endpoint.url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other = ec.generate_private_key(ec.SECP256R1())
        self.published = [self._public("one")]
        self.asked = 0
        endpoint.answer = self._answer

    def _answer(self, received: Received) -> Reply:
        self.asked += 1
        return json_reply({"keys": self.published})

    def _public(self, kid: str) -> dict[str, Any]:
        return {**RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": kid, "alg": "RS256"}

    def publish_other(self) -> None:
        shown = {**ECAlgorithm.to_jwk(self.other.public_key(), as_dict=True), "kid": "two", "alg": "ES256"}
        self.published.append(shown)

    def token(self, *, key: Any = None, algorithm: str = "RS256", kid: str = "one", **changes: Any) -> str:
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": time.time() + 60,
            "scope": "openid tools",
        }
        claims |= changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """One database is enough here."""
    file = tmp_path / "mosaic.db"
    file.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{file}"


@pytest.fixture
async def server() -> AsyncIterator[AuthorizationServer]:
    async with running_endpoint() as endpoint:
        yield AuthorizationServer(endpoint)


@pytest.fixture
async def resource(tmp_path: Path, database_url: str, server: AuthorizationServer) -> AsyncIterator[McpSite]:
    oauth = {"issuer": server.issuer, "audience": AUDIENCE, "jwks_url": f"{server.issuer}/keys"}
    async with open_mcp_site(tmp_path / "home" / ".mosaic", database_url, mcp={"oauth": oauth}) as site:
        yield site


async def status(site: McpSite, token: str) -> int:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    return (await site.post(hello, token=token)).status_code


async def test_a_client_finds_out_where_to_ask_for_a_token(resource: McpSite, server: AuthorizationServer):
    async with httpx2.AsyncClient() as http:
        refused = await http.post(resource.url, json=LIST)
        where = "/.well-known/oauth-protected-resource/mcp"
        shown = await http.get(f"{resource.address}{where}")

    assert refused.status_code == 401
    assert (
        refused.headers["www-authenticate"]
        == f'Bearer resource_metadata="https://mosaic.example{where}", scope="tools"'
    )
    assert shown.json()["resource"] == AUDIENCE
    assert shown.json()["authorization_servers"] == [server.issuer]


@pytest.mark.requirement("STK-21", "STK-37", "MAOS-32")
async def test_a_token_that_is_meant_for_us_lets_its_subject_in(
    resource: McpSite, server: AuthorizationServer
):
    async with resource.client(token=server.token()) as client:
        result = await client.call_tool("runs__list", {})

    assert not result.is_error
    (event,) = await resource.application.journal.read(resource.ctx, types=["tool.called"])
    assert event.actor == "agent:oauth:alice"
    assert await status(resource, resource.token) == 200  # the owner's token is as good as before


@pytest.mark.requirement("STK-21", "STK-37", "MAOS-32")
async def test_any_other_token_does_not(resource: McpSite, server: AuthorizationServer):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong = {
        "for another": server.token(aud="https://other.example/mcp"),
        "for nobody": server.token(aud=None),
        "of another issuer": server.token(iss="https://other.example"),
        "late": server.token(exp=time.time() - 120),
        "for ever": server.token(exp=None),
        "without a subject": server.token(sub=None),
        "early": server.token(nbf=time.time() + 600),
        "of an unknown key": server.token(kid="unknown"),
        "of a stranger's key": server.token(key=stranger),
        "with a shared secret": server.token(key="s" * 64, algorithm="HS256"),
        "unsigned": jwt.encode({"sub": "alice"}, None, algorithm="none"),
        "changed": server.token()[:-8] + "AAAAAAAA",
        "nonsense": "a.b.c",
        "without the scope": server.token(scope="openid"),
    }
    found = {name: await status(resource, token) for name, token in wrong.items()}

    assert found == {**dict.fromkeys(wrong, 401), "without the scope": 403}


async def test_a_new_key_is_learnt_and_unknown_ones_do_not_make_us_ask_again_and_again(
    resource: McpSite, server: AuthorizationServer, monkeypatch: pytest.MonkeyPatch
):
    assert await status(resource, server.token()) == 200
    for _ in range(5):
        assert await status(resource, server.token(kid="unknown")) == 401
    asked = server.asked
    server.publish_other()
    monkeypatch.setattr("mosaic.mcp.tokens._AGAIN_S", 0.0)
    rotated = server.token(key=server.other, algorithm="ES256", kid="two")

    assert asked == 1
    assert await status(resource, rotated) == 200
