import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mosaic.cache import CachedAnswer
from tests.cache.servers import RedisServer


class HeldClock:
    """Seconds since 1970, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="mosaic-redis-") as folder:  # a socket's path must be short
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


def said(text: str = "hello", **meta: object) -> CachedAnswer:
    """An answer as a gateway would keep it."""
    return CachedAnswer(200, ((b"content-type", b"application/json"),), text.encode(), (), dict(meta))
