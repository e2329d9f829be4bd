"""A message goes to where it may, once, in bounded time; and what came of it is told without the address."""

import asyncio
import base64

import pytest
from standardwebhooks import Webhook as Standard

from mosaic.core.clock import now
from mosaic.core.errors import InvalidInput, PolicyDenied
from mosaic.outbound import RETRY_S, Poster, key_of, pause_s, secret_of, sign
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio

LOCAL = ("127.0.0.1",)


async def test_an_answer_is_told_by_its_status_and_a_redirect_is_not_followed() -> None:
    async with Receiver().open() as receiver:
        receiver.answers = [204, 410, (302, "Location: http://127.0.0.1:1/\r\n"), (503, "Retry-After: 7\r\n")]
        poster = Poster(allowed=LOCAL)
        answers = [await poster.post(receiver.url, headers={"x-a": "b"}, body=b"{}") for _ in range(4)]
    assert [(answer.status, answer.error) for answer in answers] == [
        (204, None),
        (410, "it answered 410"),
        (302, "it answered 302"),
        (503, "it answered 503"),
    ]
    assert [answer.gone for answer in answers] == [False, True, False, False]
    assert answers[3].after_s == 7
    assert receiver.heard[0][0]["x-a"] == "b"


async def test_what_does_not_answer_in_time_did_not_arrive() -> None:
    async with Receiver().open() as receiver:
        receiver.hold = asyncio.Event()
        answer = await Poster(allowed=LOCAL, timeout_s=0.2).post(receiver.url, headers={}, body=b"")
        receiver.hold.set()
    assert answer.status is None
    assert "cannot be reached" in str(answer.error)


async def test_the_answer_s_body_is_not_read_however_long_it_is() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    answer = await Poster(allowed=LOCAL).post(url, headers={}, body=b"")
    server.close()
    assert (answer.status, answer.error) == (200, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/s3cret",
        "http://169.254.169.254/s3cret",
        "http://[::1]:9/s3cret",
        "http://localhost:9/s3cret",
    ],
)
async def test_a_private_address_is_refused_before_and_when_something_is_sent(url: str) -> None:
    with pytest.raises(PolicyDenied, match="not a public address"):
        await Poster().check(url)
    answer = await Poster().post(url, headers={}, body=b"")
    assert "not a public address" in str(answer.error)
    assert "s3cret" not in str(answer.error)


async def test_what_is_no_address_and_what_is_not_there_are_told_apart() -> None:
    with pytest.raises(InvalidInput):
        await Poster().check("http://example.org:port/")
    await Poster().check("http://name.invalid/")
    answer = await Poster().post("http://name.invalid/s3cret", headers={}, body=b"")
    assert "cannot be reached" in str(answer.error)
    assert "s3cret" not in str(answer.error)


def test_pauses_grow_vary_heed_the_receiver_and_end() -> None:
    for attempts, usual in enumerate(RETRY_S):
        pauses = {pause_s(attempts) for _ in range(20)}
        assert len(pauses) > 1
        assert all(pause is not None and 0.9 * usual <= pause <= 1.1 * usual for pause in pauses)
    assert pause_s(len(RETRY_S)) is None
    assert pause_s(0, retry_s=(1.0,), after_s=50.0) == 50.0


def test_two_keys_sign_one_message() -> None:
    old, new = b"o" * 32, b"n" * 32
    headers = sign(new, message_id="msg_1", moment=now(), body=b"{}", old_key=old)
    for key in (old, new):
        secret = secret_of(key)
        assert key_of(secret, name="it") == key
        Standard(secret).verify(b"{}", headers)
    with pytest.raises(Exception, match="signature"):
        Standard("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(b"{}", headers)
