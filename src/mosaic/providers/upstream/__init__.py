"""The connection to upstreams on the gateway's hot path: a small HTTP/1.1 client on asyncio and httptools.

Everything else of the product talks to providers by `mosaic.providers.http`; docs/decisions/0013 says why there are two.
"""

from mosaic.providers.upstream.limits import UpstreamLimits, UpstreamTimeouts
from mosaic.providers.upstream.pool import OriginLoad, UpstreamPool
from mosaic.providers.upstream.response import UpstreamResponse

__all__ = ["OriginLoad", "UpstreamLimits", "UpstreamPool", "UpstreamResponse", "UpstreamTimeouts"]
