"""TLS to upstreams: only certificates that are trusted, only for the name that was asked for."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mosaic.core.errors import Unavailable
from mosaic.providers.upstream import UpstreamPool
from mosaic.providers.upstream.trust import system_trust
from tests.providers.upstream.server import CHUNKED, OK, answering, chunk, dropping, hanging, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for `localhost` that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def serve(certificate: Path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return lambda *scripts: serving(*scripts, context=context)


@pytest.fixture
async def trusting(anyio_backend, certificate: Path):
    pool = UpstreamPool(tls=ssl.create_default_context(cafile=certificate))
    yield pool
    await pool.close()


async def test_calls_over_tls_share_one_connection(serve, trusting):
    async with serve(answering(OK)) as server:
        for _ in range(3):
            assert await (await trusting.send(server.endpoint(), b"x" * 200_000)).read() == b"ok"
        assert server.connections == 1


async def test_a_stream_over_tls_is_read_and_left(serve, trusting):
    async with serve(hanging(CHUNKED, chunk(b"one"))) as server:
        response = await trusting.send(server.endpoint(), b"{}")
        assert await anext(response) == b"one"
        response.close()
        await server.ended.get()


async def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_sent(serve, pool):
    async with serve(answering(OK)) as server:
        with pytest.raises(Unavailable, match=r"(?i)certificate") as caught:
            await pool.send(server.endpoint("/", (b"authorization", b"secret")), b"{}")
        assert caught.value.data["sent"] is False
        assert pool.loads()[0].open == 0


async def test_a_certificate_for_another_name_is_refused(serve, trusting):
    async with serve(answering(OK)) as server:
        server.origin = server.origin.replace("localhost", "127.0.0.1")
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            await trusting.send(server.endpoint(), b"{}")


async def test_a_server_without_tls_is_refused(trusting):
    async with serving(lambda peer: peer.say(OK)) as server:
        server.origin = server.origin.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(Unavailable) as caught:
            await trusting.send(server.endpoint(), b"{}")
        assert caught.value.data["sent"] is False


async def test_a_reset_in_the_middle_of_a_tls_answer_is_an_error(serve, trusting):
    async with serve(dropping(CHUNKED, chunk(b"one"))) as server:
        with pytest.raises(Unavailable):  # noqa: PT012  # either statement may be the one
            response = await trusting.send(server.endpoint(), b"{}")
            await response.read()


def test_the_systems_certificates_are_read_once_and_checked():
    context = system_trust()
    assert context is system_trust()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
