"""A server made with the official SDK: over stdio, or with a port over streamable HTTP."""

import os
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("example")


@server.tool(annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True))
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool(annotations=ToolAnnotations(destructive_hint=False, open_world_hint=False))
def text(word: str) -> str:
    """Return a word."""
    return word


@server.tool(structured_output=False)
def plain() -> str:
    """Return unstructured text."""
    return "plain text"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("it went wrong")


@server.tool()
def about() -> dict[str, object]:
    """Tell about the process."""
    return {
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "names": sorted(os.environ),
        "extra": os.environ.get("EXTRA"),
    }


@server.tool()
async def slow(ctx: Context) -> str:
    """Report progress."""
    await ctx.report_progress(1, 2, "half way")
    return "done"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
