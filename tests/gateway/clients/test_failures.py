"""What a client sees of an upstream that refuses, breaks off or answers nonsense: its own vendor's error, promptly."""

from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.app.site import database
from tests.gateway.clients.conftest import Place, ServedGateway, serving_gateway
from tests.gateway.clients.upstreams import Upstream, Vendor
from tests.plugins.vendors import Said, stream
from tests.providers.endpoint import Reply

pytestmark = pytest.mark.anyio

USER = {"role": "user", "content": "hello"}
POEM = "Roses are red,\nviolets are blue,\nso are you."


@pytest.fixture
async def gateway(
    request: pytest.FixtureRequest, sqlite_template: Path, upstreams: dict[Vendor, Upstream], tmp_path: Path
) -> AsyncIterator[ServedGateway]:
    """A gateway for each test: it remembers how its upstreams failed."""
    with database(request, "sqlite", tmp_path) as url:
        async with serving_gateway(tmp_path / "home", url, upstreams) as gateway:
            yield gateway


@pytest.fixture
async def openai_client(openai_place: Place) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{openai_place.url}/v1", api_key=openai_place.key, max_retries=0
    ) as client:
        yield client


@pytest.fixture
async def anthropic_client(anthropic_place: Place) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(
        base_url=anthropic_place.url, api_key=anthropic_place.key, max_retries=0
    ) as client:
        yield client


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_rate_limit_tells_an_openai_client_when_to_come_back(
    openai_place: Place, openai_client: AsyncOpenAI, streamed: bool
) -> None:
    openai_place.upstream.fails(429, "Slow down.", kind="rate_limit_error", **{"retry-after": "7"})
    with pytest.raises(openai.RateLimitError) as told:
        await openai_client.chat.completions.create(
            model=openai_place.model, messages=[USER], stream=streamed
        )
    assert 1 <= float(told.value.response.headers["retry-after"]) <= 7
    assert len(openai_place.upstream.asked) == 1, "a limited vendor is not asked again at once"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_rate_limit_tells_an_anthropic_client_when_to_come_back(
    anthropic_place: Place, anthropic_client: AsyncAnthropic, streamed: bool
) -> None:
    anthropic_place.upstream.fails(429, "Slow down.", kind="rate_limit_error", **{"retry-after": "7"})
    with pytest.raises(anthropic.RateLimitError) as told:
        await anthropic_client.messages.create(
            model=anthropic_place.model, max_tokens=10, messages=[USER], stream=streamed
        )
    assert 1 <= float(told.value.response.headers["retry-after"]) <= 7
    assert told.value.body["error"]["type"] == "rate_limit_error"


async def test_what_the_vendor_says_is_wrong_with_a_request_reaches_the_client(
    openai_place: Place, openai_client: AsyncOpenAI
) -> None:
    openai_place.upstream.fails(400, "temperature must be at most 2", kind="invalid_request_error")
    with pytest.raises(openai.BadRequestError) as told:
        await openai_client.chat.completions.create(model=openai_place.model, messages=[USER], temperature=3)
    assert "temperature" in told.value.message


@pytest.mark.parametrize("status", [500, 503])
async def test_an_upstream_that_is_down_is_a_server_error_on_both_protocols(
    upstreams: dict[Vendor, Upstream], gateway: ServedGateway, status: int
) -> None:
    for vendor, upstream in upstreams.items():
        upstream.fails(status, "out of order", kind="api_error")
        model = gateway.route(vendor, upstream.model)
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(model=model, messages=[USER])
        async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as other:
            with pytest.raises(anthropic.APIStatusError) as told:
                await other.messages.create(model=model, max_tokens=10, messages=[USER])
        assert told.value.status_code >= 500


async def test_the_gateways_own_wrong_key_is_no_error_of_the_client(
    upstreams: dict[Vendor, Upstream], gateway: ServedGateway
) -> None:
    upstream = upstreams["openai"]
    upstream.fails(
        401, "Incorrect API key provided: sk-test-vendor-key-0123456789", kind="invalid_request_error"
    )
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as told:
            await client.chat.completions.create(
                model=gateway.route("openai", upstream.model), messages=[USER]
            )
    assert not isinstance(told.value, openai.AuthenticationError), "the client's key is right"
    assert "0123456789" not in told.value.response.text, "nor is it the client's business what ours is"


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_a_stream_that_breaks_off_is_an_error_and_not_a_short_answer(
    upstreams: dict[Vendor, Upstream], gateway: ServedGateway, vendor: Vendor
) -> None:
    upstream = upstreams[vendor]
    broken = stream(vendor, Said(POEM), then="drop", keep=4)
    model = gateway.route(vendor, upstream.model)
    upstream.script.clear()
    upstream.script.append(broken)
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        seen = ""
        with pytest.raises((openai.APIError, OSError)):  # noqa: PT012  # the stream must break while it is read
            async for chunk in await client.chat.completions.create(
                model=model, messages=[USER], stream=True
            ):
                seen += "".join(choice.delta.content or "" for choice in chunk.choices)
        assert POEM.startswith(seen)
    async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as other:
        with pytest.raises((anthropic.APIError, OSError)):  # likewise
            async with other.messages.stream(model=model, max_tokens=10, messages=[USER]) as streamed:
                await streamed.get_final_message()


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_nonsense_from_an_upstream_is_a_server_error(
    upstreams: dict[Vendor, Upstream], gateway: ServedGateway, vendor: Vendor
) -> None:
    upstream = upstreams[vendor]
    upstream.script.clear()
    upstream.script.append(Reply((b"<html>It works!</html>",), headers={"content-type": "text/html"}))
    client_of_the_other = vendor == "anthropic"
    model = gateway.route(vendor, upstream.model)
    if client_of_the_other:
        async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(model=model, messages=[USER])
    else:
        async with AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as other:
            with pytest.raises(anthropic.APIStatusError) as told:
                await other.messages.create(model=model, max_tokens=10, messages=[USER])
        assert told.value.status_code >= 500
