"""The one HTTP core of every adapter: addresses, headers, time limits, bounded answers, errors without secrets.

It never retries: retries belong to the engine, which journals them and spends them from one budget. It follows no
redirect, so that a key goes only where the user sent it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2

from mosaic.core.errors import ContractViolation, InvalidInput, TimedOut, Unavailable
from mosaic.core.redaction import Redactor
from mosaic.providers.credentials import checked_address
from mosaic.providers.faults import Fault, error_for, read_fault, retry_after_s
from mosaic.providers.interfaces import WireEndpoint
from mosaic.providers.wire import ServerEvent, read_events, read_json, read_lines

__all__ = ["Answer", "Form", "ProviderHttp"]

_RESPONSE_LIMIT_BYTES = 32 * 1024 * 1024
_ERROR_LIMIT_BYTES = 64 * 1024
_CONNECT_TIMEOUT_S = 10.0
_MAX_CONNECTIONS = 512
_MAX_IDLE_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Form:
    """A body in parts, as browsers send forms.

    Attributes:
        fields: name -> value, or several values.
        files: name -> (file name, content, media type).
    """

    fields: Mapping[str, str | list[str]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, bytes, str]] = field(default_factory=dict)


class _Sending:
    """How far one request got: whether any of it left this machine."""

    def __init__(self) -> None:
        self.sent = False

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.sent = True


class Answer:
    """An answer whose body is still arriving."""

    def __init__(
        self, http: "ProviderHttp", response: httpx2.Response, deadline: float, sending: _Sending
    ) -> None:
        self._http = http
        self._response = response
        self._deadline = deadline
        self._sending = sending

    @property
    def is_json(self) -> bool:
        """Whether the body is one JSON document, not a stream."""
        return self.media_type == "application/json"

    @property
    def headers(self) -> Mapping[str, str]:
        """The head of the answer; names in any case."""
        return self._response.headers

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support."""
        headers = self._response.headers
        return headers.get("x-request-id") or headers.get("request-id")

    async def chunks(self, *, limit_bytes: int | None = None) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ContractViolation: if it is larger than the limit.
            TimedOut, Unavailable: if it does not arrive whole.
        """
        limit = limit_bytes or self._http.response_limit_bytes
        size = 0
        body = self._response.aiter_bytes()
        while True:
            with self._http.mapped_errors(self._sending):
                async with asyncio.timeout_at(self._deadline):
                    chunk = await anext(body, None)
            if chunk is None:
                return
            size += len(chunk)
            if size > limit:
                raise ContractViolation(
                    f"{self._http.provider} sent more than {limit:,} bytes in one answer.",
                    provider=self._http.provider,
                )
            yield chunk

    @property
    def media_type(self) -> str:
        """What the body is, such as ``audio/mpeg``; empty when the provider does not say."""
        kind: str = self._response.headers.get("content-type", "")
        return kind.partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        """Return the whole body.

        Raises:
            ContractViolation: if it is too large.
            TimedOut, Unavailable: if it does not arrive whole.
        """
        return b"".join([chunk async for chunk in self.chunks()])

    async def json(self) -> dict[str, Any]:
        """Return the whole body as a JSON object.

        Raises:
            ContractViolation: if it is not one, or is too large.
            TimedOut, Unavailable: if it does not arrive whole.
        """
        return self._http.read_json(await self.read())

    def events(self) -> AsyncIterator[ServerEvent]:
        """Yield the body's server-sent events."""
        return read_events(self.chunks(), provider=self._http.provider)

    def lines(self) -> AsyncIterator[str]:
        """Yield the body's lines."""
        return read_lines(self.chunks(), provider=self._http.provider)


class ProviderHttp:
    """HTTP to one provider with one credential. Usable from several event loops; each has its own connections.

    Attributes:
        provider: the name shown in errors.
        address: scheme and host, safe to show.
        response_limit_bytes: the most that one answer may hold.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        unreachable_hint: str | None = None,
        response_limit_bytes: int = _RESPONSE_LIMIT_BYTES,
        errors: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            provider: see above.
            base_url: what paths stand below.
            headers: sent with every request.
            secrets: masked in everything that is said.
            unreachable_hint: what to do when nobody answers.
            response_limit_bytes: see above.
            errors: the vendor's words for errors, as `ProviderManifest.errors`.

        Raises:
            InvalidInput: if `base_url` is not an http or https address, or holds a password.
        """
        self.provider = provider
        self.address = checked_address(provider, base_url)
        self.response_limit_bytes = response_limit_bytes
        self._base = base_url.rstrip("/")
        self._headers = dict(headers or {})
        self._redactor = Redactor(secrets)
        self._hint = unreachable_hint
        self._errors = dict(errors or {})
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"ProviderHttp({self.provider!r}, {self.address!r})"

    async def get(self, path: str, *, timeout_s: float) -> dict[str, Any]:
        """Return the JSON object at `path`.

        Raises:
            MosaicError: as the provider interface describes.
        """
        async with self.send("GET", path, timeout_s=timeout_s) as answer:
            return await answer.json()

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | Form,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send `body` and return the JSON object that answers it; one attempt.

        Raises:
            MosaicError: as the provider interface describes.
        """
        async with self.send("POST", path, body=body, timeout_s=timeout_s, headers=headers) as answer:
            return await answer.json()

    async def delete(self, path: str, *, timeout_s: float, body: Mapping[str, Any] | None = None) -> None:
        """Delete what is at `path`; whatever answers a success is not read.

        Raises:
            MosaicError: as the provider interface describes.
        """
        async with self.send("DELETE", path, body=body, timeout_s=timeout_s):
            pass

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        *,
        timeout_s: float,
        body: Mapping[str, Any] | Form | None = None,
        headers: Mapping[str, str] | None = None,
        idle_s: float | None = None,
    ) -> AsyncIterator[Answer]:
        """Open one answer; leaving the block ends it, also when its body is still arriving.

        Args:
            method: GET, POST or DELETE.
            path: below the base address.
            timeout_s: from now to the last byte.
            body: sent as JSON, or in parts.
            headers: besides the provider's own.
            idle_s: the longest silence before and between pieces, for answers that take very long as a whole.

        Raises:
            MosaicError: for an answer that is not a success, or none.
        """
        sending = _Sending()
        deadline = asyncio.get_running_loop().time() + timeout_s
        client = self._client()
        request = client.build_request(
            method,
            self._base + path,
            content=self._encode(body) if isinstance(body, Mapping) else None,
            data=body.fields if isinstance(body, Form) else None,
            files=body.files if isinstance(body, Form) else None,
            headers={**self._headers, "accept-encoding": "identity", **(headers or {})}
            | ({"content-type": "application/json"} if isinstance(body, Mapping) else {}),
            timeout=httpx2.Timeout(idle_s or timeout_s, connect=min(_CONNECT_TIMEOUT_S, timeout_s)),
            extensions={"trace": sending.trace},
        )
        with self.mapped_errors(sending):
            async with asyncio.timeout_at(deadline):
                response = await client.send(request, stream=True)
        try:
            answer = Answer(self, response, deadline, sending)
            if response.status_code >= 300:
                await self._refuse(response, answer)
            yield answer
        finally:
            await response.aclose()

    def endpoint(self, path: str) -> WireEndpoint:
        """Return where a request to `path` goes, for a caller with connections of its own."""
        parts = urlsplit(self._base)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return WireEndpoint(
            provider=self.provider,
            origin=f"{parts.scheme}://{host}:{port}",
            path=parts.path + path,
            headers=tuple((name.lower().encode(), value.encode()) for name, value in self._headers.items()),
        )

    def read_json(self, text: str | bytes) -> dict[str, Any]:
        """Return the JSON object in `text`.

        Raises:
            ContractViolation: if it is not one.
        """
        return read_json(text, provider=self.provider, redactor=self._redactor)

    def fault(self, body: bytes | str | Mapping[str, Any]) -> Fault:
        """Return what an error body says, without secrets."""
        fault = read_fault(body)
        return Fault(
            self._redactor.text(fault.message),
            tuple(self._redactor.text(kind) for kind in fault.kinds),
            fault.retry_after_s,
        )

    async def close(self) -> None:
        """Close this loop's connections and forget the others'."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        self._clients.clear()
        if client is not None:
            await client.aclose()

    @contextmanager
    def mapped_errors(self, sending: _Sending) -> Iterator[None]:
        """Turn what the network does into errors of the core tree."""
        data = {"provider": self.provider}
        try:
            yield
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout) as error:
            state = "the request was sent" if sending.sent else "the request was not sent"
            raise TimedOut(
                f"{self.provider} at {self.address} did not answer in time; {state}.",
                hint="Raise the timeout if the model needs longer.",
                sent=sending.sent,
                **data,
            ) from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            reason = self._redactor.text(str(error)) or type(error).__name__
            raise Unavailable(
                f"{self.provider} cannot be reached at {self.address}: {reason}.",
                hint=self._hint,
                sent=False,
                **data,
            ) from error
        except httpx2.TransportError as error:
            reason = self._redactor.text(str(error)) or type(error).__name__
            raise Unavailable(
                f"The connection to {self.provider} at {self.address} broke off: {reason}.",
                sent=sending.sent,
                **data,
            ) from error
        except httpx2.DecodingError as error:
            raise ContractViolation(f"{self.provider} sent a body that cannot be decoded.", **data) from error

    async def _refuse(self, response: httpx2.Response, answer: Answer) -> None:
        if response.status_code < 400:
            raise ContractViolation(
                f"{self.provider} at {self.address} answered with a redirect ({response.status_code}).",
                hint="Set the address to where the API is; redirects are not followed, to keep the key safe.",
                provider=self.provider,
                status=response.status_code,
            )
        body = b""
        async for chunk in answer.chunks(limit_bytes=self.response_limit_bytes):
            body += chunk
            if len(body) > _ERROR_LIMIT_BYTES:
                break
        raise error_for(
            self.fault(body[:_ERROR_LIMIT_BYTES]),
            provider=self.provider,
            status=response.status_code,
            wait_s=retry_after_s(response.headers),
            errors=self._errors,
        )

    def _encode(self, body: Mapping[str, Any]) -> bytes:
        try:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"The request to {self.provider} is not JSON: {error}") from error
        # Text from tools may hold lone surrogates, which UTF-8 has no form for.
        return text.encode("utf-8", "replace")

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None or client.is_closed:
            client = httpx2.AsyncClient(
                follow_redirects=False,
                limits=httpx2.Limits(
                    max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_IDLE_CONNECTIONS
                ),
                # A proxy from the environment must not catch what stays on this machine.
                mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
            )
            self._clients[loop] = client
        return client
