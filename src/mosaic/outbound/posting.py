"""One message to one address, and what came of it; and when to try again."""

import asyncio
import contextlib
import functools
import random
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx2

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.outbound.guard import GuardedTransport

__all__ = ["RETRY_S", "Answer", "Poster", "pause_s"]

RETRY_S = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds between attempts, as Standard Webhooks recommends; after the last one a message is given up."""

_ANSWER_S = 15.0
_LOOKUP_S = 5.0
_LONGEST_ERROR = 500
_GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt.

    Attributes:
        error: why it did not arrive; None when it did.
        status: the HTTP status; None without an answer.
        gone: the receiver says that it wants nothing any more.
        after_s: how long the receiver asks us to wait.
        took_s: how long the attempt took.
    """

    error: str | None = None
    status: int | None = None
    gone: bool = False
    after_s: float | None = None
    took_s: float = 0.0


class Poster:
    """Sends messages, each on a connection of its own: a pooled one could be another host's.

    Args:
        allowed: private hosts and networks that may be reached all the same.
        timeout_s: for the whole attempt.
    """

    def __init__(self, *, allowed: Sequence[str] = (), timeout_s: float = _ANSWER_S) -> None:
        self._allowed = tuple(allowed)
        self._timeout_s = timeout_s

    @property
    def timeout_s(self) -> float:
        """The longest an attempt takes."""
        return self._timeout_s

    async def check(self, url: str) -> None:
        """Refuse an address that may not be reached, before anything is sent there.

        Raises:
            InvalidInput: if it is none.
            PolicyDenied: if its host may not be reached.
        """
        try:
            parts = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise InvalidInput("This is no address.", hint="Such as https://example.org/hook.") from None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_LOOKUP_S, self._timeout_s)):
                await self._guard().check(parts.host, parts.port)

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a message once. Redirects are not followed, and nothing of the answer but its head is read.

        An error never holds the address: it may have a secret in it, and so may what the library says of it.
        """
        began = time.monotonic()
        try:
            status, wait = await self._sent(url, headers, body)
        except MosaicError as error:
            return Answer(error.message[:_LONGEST_ERROR], took_s=time.monotonic() - began)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, TimeoutError, ValueError) as error:
            told = f"it cannot be reached ({type(error).__name__})"
            return Answer(told, took_s=time.monotonic() - began)
        took_s = time.monotonic() - began
        if 200 <= status < 300:
            return Answer(status=status, took_s=took_s)
        return Answer(
            f"it answered {status}", status, gone=status == _GONE, after_s=_wait_s(wait), took_s=took_s
        )

    async def _sent(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        client = httpx2.AsyncClient(
            transport=self._guard(), timeout=self._timeout_s, follow_redirects=False, trust_env=False
        )
        async with (
            asyncio.timeout(self._timeout_s),
            client,
            client.stream("POST", url, content=body, headers={"user-agent": "mosaic", **headers}) as response,
        ):
            return response.status_code, response.headers.get("retry-after", "")

    def _guard(self) -> GuardedTransport:
        return GuardedTransport(
            httpx2.AsyncHTTPTransport(verify=_trusted(), trust_env=False), allowed=self._allowed
        )


def pause_s(
    attempts: int, *, retry_s: Sequence[float] = RETRY_S, after_s: float | None = None
) -> float | None:
    """Return how long to wait before another attempt; None when there is none.

    Args:
        attempts: how many there have been before the one that failed now.
        retry_s: seconds between attempts.
        after_s: how long the receiver asks us to wait.
    """
    if attempts >= len(retry_s):
        return None
    # Spread, so that what failed together does not come back together.
    wait_s = retry_s[attempts] * random.uniform(0.9, 1.1)  # noqa: S311  # no secret
    return max(wait_s, after_s or 0.0)


def _wait_s(wait: str) -> float | None:
    """Return what Retry-After means: seconds, or a moment; at most a day."""
    if not wait.isascii():
        return None
    if wait.isdigit():
        # Digits beyond these are longer than the longest wait, and `float` of very many is an error.
        return min(float(wait[:9]), RETRY_S[-1])
    try:
        moment = parsedate_to_datetime(wait)
        return min(max(moment.timestamp() - time.time(), 0.0), RETRY_S[-1])
    except (ValueError, OverflowError, OSError):
        return None


@functools.cache
def _trusted() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)
