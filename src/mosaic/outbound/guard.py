"""Reaches only hosts on the public internet, unless the settings allow others.

The address is resolved once, checked, and then connected to, so a name cannot mean something else a moment later.
Every redirect comes through here again.
"""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Sequence

import httpx2

from mosaic.core.errors import PolicyDenied

__all__ = ["GuardedTransport", "is_public"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
# Public by their number, but not by what answers there: protocol assignments (a cloud's metadata among them), another
# cloud's metadata and control, and translated addresses of a local network.
_NOT_PUBLIC = (
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("64:ff9b:1::/48"),
)
_SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Refuses private, loopback, link-local and other special addresses.

    Args:
        transport: makes the connections.
        allowed: host names and networks that may be reached all the same.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, *, allowed: Sequence[str] = ()) -> None:
        self._transport = transport
        self._hosts = frozenset(entry.lower() for entry in allowed)
        self._networks = [network for entry in allowed if (network := _network(entry)) is not None]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request to a checked address.

        Raises:
            PolicyDenied: if the host has an address that may not be reached.
        """
        host = request.url.host
        if request.url.scheme not in ("http", "https") or not host:
            raise PolicyDenied(f"Only http and https addresses can be requested, not {request.url.scheme!r}.")
        error: httpx2.ConnectError | None = None
        for address in await self._addresses(host, request.url.port):
            pinned = httpx2.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                # The certificate must be the name's, not the address's.
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self._transport.handle_async_request(pinned)
            except httpx2.ConnectError as failure:
                error = failure
        raise error or httpx2.ConnectError(f"{host} has no address")

    async def check(self, host: str, port: int | None = None) -> None:
        """Refuse a host that may not be reached; what has no address now is nothing to refuse.

        Raises:
            PolicyDenied: if the host has an address that may not be reached.
        """
        with contextlib.suppress(httpx2.ConnectError):
            await self._addresses(host, port)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def admit(self, url: str) -> None:
        """Check an address before it is kept; a name that cannot be resolved now may be later, and is checked then.

        Raises:
            PolicyDenied: if requests to it would be refused.
        """
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise PolicyDenied("That is no address.") from None
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
            raise PolicyDenied("Only http and https addresses can be used, with no user or password in them.")
        try:
            await self._addresses(parsed.host, parsed.port)
        except httpx2.ConnectError:
            return

    async def _addresses(self, host: str, port: int | None) -> list[Address]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port or 80, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(f"the name {host} cannot be resolved") from error
        addresses = list(
            dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found)
        )
        for address in addresses:
            if not (host.lower() in self._hosts or is_public(address) or self._in_allowed_network(address)):
                raise PolicyDenied(
                    f"{host} is {address}, which is not a public address.",
                    hint="An operator can allow it: tools.allow_private_hosts.",
                    host=host,
                )
        return addresses

    def _in_allowed_network(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._networks)


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public internet, also inside IPv6 forms that carry an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address in _SIX_TO_FOUR or address.teredo is not None:
            return False
    if any(address.version == network.version and address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return None
