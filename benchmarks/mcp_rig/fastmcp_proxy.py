"""FastMCP's proxy: fastmcp_proxy.py PORT UPSTREAM, run in an environment of its own.

As fast as it goes: one session with the server, opened once and used by every call, where its documentation's plain form
opens one for each; no sessions of clients; JSON answers; uvloop.
"""

import asyncio
import sys

import uvloop
from fastmcp import Client
from fastmcp.server import create_proxy


async def main(port: int, upstream: str) -> None:
    async with Client(upstream) as client:
        proxy = create_proxy(client, name="proxy")
        await proxy.run_http_async(
            transport="http",
            host="127.0.0.1",
            port=port,
            stateless_http=True,
            json_response=True,
            show_banner=False,
            log_level="ERROR",
        )


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
