"""Access tokens of an authorization server: signed by it, for us, in time, and granted the scope."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import jwt
from jwt import PyJWK
from jwt.exceptions import InvalidTokenError, PyJWKError

from mosaic.core.context import Actor, Context
from mosaic.core.errors import PermissionDenied, Unauthenticated, Unavailable
from mosaic.mcp.schemas import Caller, OAuthSettings

__all__ = ["AccessTokens"]

# Asymmetric ones only: with a shared secret, whoever can check could also sign.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LEEWAY_S = 30.0
_FETCH_S = 10.0
_KEYS_BYTES = 200_000
_MOST_KEYS = 100
_LONGEST_TOKEN = 16_000
_LONGEST_SUBJECT = 180
# Keys are read again when they are old, and when a token names one we do not know, but not for every such token.
_OLD_S = 600.0
_AGAIN_S = 30.0


class AccessTokens:
    """Checks tokens, and says whom they stand for.

    Who bears one acts as a program for its subject: it may call tools, and cannot answer approvals.

    Args:
        settings: which authorization server, and who we are to it.
        scope: the tenant and the project that its subjects act in.
        client: fetches the keys; an own one by default.
    """

    def __init__(
        self, settings: OAuthSettings, scope: Context, *, client: httpx2.AsyncClient | None = None
    ) -> None:
        self._settings = settings
        self._scope = scope
        self._client = client
        self._keys: dict[str, PyJWK] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def __call__(self, token: str) -> Caller:
        """Return whom a token stands for.

        Raises:
            Unauthenticated: if it is not good, or not for us.
            PermissionDenied: if it was not granted the scope.
            Unavailable: if the authorization server's keys cannot be read.
        """
        if len(token) > _LONGEST_TOKEN:
            raise _bad("it is too long")
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(str(header.get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (InvalidTokenError, PyJWKError) as error:
            raise _bad(str(error)[:200].lower()) from error
        if self._settings.scope not in _granted(claims):
            raise PermissionDenied(
                f"The token was not granted the scope {self._settings.scope!r}.", scope=self._settings.scope
            )
        subject = str(claims["sub"])
        if not subject or len(subject) > _LONGEST_SUBJECT or not subject.isprintable():
            raise _bad("its subject is none")
        ctx = self._scope.acting_as(Actor("agent", f"oauth:{subject}"))
        return Caller(ctx, f"oauth:{self._settings.issuer}#{subject}")

    async def _key(self, identifier: str) -> PyJWK:
        age_s = time.monotonic() - self._read_at
        if age_s > _OLD_S or (identifier not in self._keys and age_s > _AGAIN_S):
            async with self._reading:
                if time.monotonic() - self._read_at >= age_s:  # nobody has read them while we waited
                    await self._read()
        found = self._keys.get(identifier)
        if found is None:
            raise _bad("it is signed with a key that the authorization server does not name")
        return found

    async def _read(self) -> None:
        try:
            listed = await self._fetched()
        except (httpx2.HTTPError, ValueError) as error:
            if self._keys:
                return  # what we know stays good through an outage; a key that was withdrawn runs out by its tokens
            raise Unavailable(
                f"The keys of the authorization server cannot be read: {str(error)[:200] or type(error).__name__}.",
                hint="See `mcp.oauth.jwks_url` in the settings.",
            ) from error
        keys: dict[str, PyJWK] = {}
        for entry in listed[:_MOST_KEYS]:
            try:
                key = PyJWK(entry)
            except (InvalidTokenError, PyJWKError):
                continue  # of a kind that we do not know, or not for signing
            if entry.get("use", "sig") == "sig" and key.algorithm_name in _ALGORITHMS:
                keys[str(entry.get("kid", ""))] = key
        self._keys, self._read_at = keys, time.monotonic()

    async def _fetched(self) -> list[Any]:
        """Return the published keys.

        Raises:
            HTTPError: if they cannot be read.
            ValueError: if what is there is no set of keys.
        """
        client = self._client or httpx2.AsyncClient(timeout=_FETCH_S, follow_redirects=False)
        try:
            async with client.stream("GET", self._settings.jwks_url) as answer:
                answer.raise_for_status()
                data = b""
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > _KEYS_BYTES:
                        raise ValueError(f"they are longer than {_KEYS_BYTES} bytes")
        finally:
            if self._client is None:
                await client.aclose()
        found = json.loads(data)
        keys = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(keys, list) or not all(isinstance(entry, dict) for entry in keys):
            raise ValueError("there is no set of keys")
        return keys


def _granted(claims: Mapping[str, Any]) -> frozenset[str]:
    granted = claims.get("scope", claims.get("scp", ""))
    if isinstance(granted, str):
        return frozenset(granted.split())
    return frozenset(map(str, granted)) if isinstance(granted, list) else frozenset()


def _bad(why: str) -> Unauthenticated:
    return Unauthenticated(
        f"The access token is not good here: {why}.", hint="Ask the authorization server for a new one."
    )
