"""The proxies that are compared, each started with its own means in front of the canned server."""

import asyncio
import contextlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway_rig.contenders import cache_folder, find_uv, install
from gateway_rig.processes import CannotStart, free_port, running

HERE = Path(__file__).parent
FASTMCP = "fastmcp==4.2.3"
CONTEXTFORGE = "mcp-contextforge-gateway==1.0.7.post20260921"


@dataclass(frozen=True)
class Running:
    """A contender that answers.

    Attributes:
        pid: the root of its processes; None: the canned server itself.
        path: where its MCP endpoint is.
        headers: what its clients send besides.
        tool: what it calls the tool.
    """

    port: int
    pid: int | None
    path: str = "/mcp"
    headers: dict[str, str] = field(default_factory=dict)
    tool: str = "work"


def environment_of(name: str, *packages: str) -> Path:
    """Return an environment of its own with these packages, made on first use."""
    home = cache_folder(name)
    if not (home / "complete").exists():
        uv, python = find_uv(), str(home / "bin" / "python")
        install(
            [uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "-q", "--python", python, *packages],
        )
        (home / "complete").touch()
    return home


@contextlib.contextmanager
def direct(upstream: int, _scratch: Path) -> Iterator[Running]:
    """The canned server itself."""
    yield Running(upstream, None)


@contextlib.contextmanager
def fastmcp(upstream: int, scratch: Path) -> Iterator[Running]:
    """FastMCP's proxy."""
    home, port = environment_of("fastmcp", FASTMCP, "uvloop"), free_port()
    script, address = str(HERE / "fastmcp_proxy.py"), f"http://127.0.0.1:{upstream}/mcp"
    command = [str(home / "bin" / "python"), script, str(port), address]
    with running(command, port=port, log=scratch / "fastmcp.log") as pid:
        yield Running(port, pid)


@contextlib.contextmanager
def contextforge(upstream: int, scratch: Path) -> Iterator[Running]:
    """ContextForge with one worker, no authentication, no user interface and no rate limit."""
    home, port = environment_of("contextforge", CONTEXTFORGE), free_port()
    settings = {
        "ALLOW_UNAUTHENTICATED_ADMIN": "true",
        "AUTH_ENCRYPTION_SECRET": "a-secret-of-the-benchmark-of-enough-length",
        "AUTH_REQUIRED": "false",
        "CACHE_TYPE": "memory",
        "DATABASE_URL": f"sqlite:///{scratch}/contextforge.db",
        "ENVIRONMENT": "development",
        "JSON_RESPONSE_ENABLED": "true",
        "JWT_SECRET_KEY": "another-secret-of-the-benchmark-of-enough-length",
        "LOG_LEVEL": "ERROR",
        "MCPGATEWAY_ADMIN_API_ENABLED": "false",
        "MCPGATEWAY_UI_ENABLED": "false",
        "MCP_REQUIRE_AUTH": "false",
        "PLUGINS_ENABLED": "false",
        "RATE_LIMITING_ENABLED": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "TOOL_RATE_LIMIT": "1000000",
        "USE_STATEFUL_SESSIONS": "false",
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
    }
    command = [str(home / "bin" / "mcpgateway"), "--host", "127.0.0.1", "--port", str(port)]
    log = scratch / "contextforge.log"
    with running(command, port=port, log=log, env=settings, start_s=180) as pid:
        base = f"http://127.0.0.1:{port}"
        given = {"name": "bench", "url": f"http://127.0.0.1:{upstream}/mcp", "transport": "STREAMABLEHTTP"}
        try:
            asked(f"{base}/gateways", given)
            tools = tools_of(base)
            server = {"name": "bench", "associated_tools": [tool["id"] for tool in tools]}
            made = asked(f"{base}/servers", {"server": server})
        except (OSError, KeyError, ValueError) as error:
            said = log.read_text(errors="replace")[-600:]
            raise CannotStart(f"it could not be given the server: {error}; {said}") from error
        yield Running(port, pid, f"/servers/{made['id']}/mcp", tool=tools[0]["name"])


def tools_of(base: str) -> list[Any]:
    """Return the tools it has found; it looks in the background."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = asked(f"{base}/tools")
        found = found if isinstance(found, list) else found["data"]
        if found:
            return list(found)
        time.sleep(0.5)
    raise ValueError("it found no tools")


def asked(url: str, body: object = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())
    except urllib.error.HTTPError as error:
        raise ValueError(f"{error.code}: {error.read()[:400]!r}") from error


@contextlib.contextmanager
def mosaic(upstream: int, scratch: Path) -> Iterator[Running]:
    """`mosaic up` with the server registered: a virtual key, quarantine, policy, limits and the journal on."""
    home, port = scratch / "home", free_port()
    home.mkdir()
    try:
        secret = asyncio.run(_registered(home, upstream))
    except Exception as error:
        raise CannotStart(f"the server could not be registered: {type(error).__name__}: {error}") from error
    command = [
        sys.executable,
        "-m",
        "mosaic.cli",
        "--home",
        str(home),
        "up",
        "--port",
        str(port),
        "--no-example",
    ]
    with running(command, port=port, log=scratch / "mosaic.log") as pid:
        yield Running(port, pid, "/mcp/servers/bench", {"authorization": f"Bearer {secret}"})


async def _registered(home: Path, upstream: int) -> str:
    """Register the server with an installation; return a key for its tools."""
    from mosaic.app.lifespan import open_application
    from mosaic.app.settings import load_settings
    from mosaic.core.context import Actor, Context
    from mosaic.security import NewKey

    settings = load_settings(home)
    async with open_application(settings, execute=False) as application:
        await application.database.migrate()
        ctx = Context(settings.tenant, settings.project, Actor("user", "owner"))
        url = f"http://127.0.0.1:{upstream}/mcp"
        wanted = {"name": "bench", "url": url, "trust_annotations": True}
        await application.tool_operations.add_server(ctx, wanted)
        _, secret = await application.model.keys.create(ctx, NewKey(name="bench", scopes=("tools",)))
    return secret
