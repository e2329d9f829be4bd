"""Which addresses an MCP server may have: public ones, loopback and private networks, never those of the machine room.

A server is often beside us; the addresses at which clouds tell a machine its own credentials (link-local ones) never
are servers, whatever a name resolves to.
"""

import ipaddress

from mosaic.outbound import is_public

__all__ = ["BESIDE_US", "may_reach"]

BESIDE_US = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
"""Networks that are no public ones, and may be reached all the same."""

_NETWORKS = tuple(map(ipaddress.ip_network, BESIDE_US))


def may_reach(address: str) -> bool:
    """Say whether an MCP server may be at an address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return is_public(found) or any(found.version == net.version and found in net for net in _NETWORKS)
