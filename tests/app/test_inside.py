"""From inside the real sandbox a command reaches the model gateway and the tool door, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from mosaic.app.owner import owner_token
from mosaic.core.clock import now
from mosaic.doors import create_doors
from mosaic.server import serving_inside
from mosaic.tools import Hold
from tests.app.site import Site, database, open_site, settings_of
from tests.gateway.conftest import PRICES, chat_reply
from tests.providers.endpoint import running_endpoint
from tests.tools.sandbox.drivers import driver

pytestmark = pytest.mark.anyio

INSIDE = """
import json, os, socket, sys, urllib.error, urllib.request

def ask(url, body=None, key=os.environ.get("OPENAI_API_KEY", "")):
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json",
               "accept": "application/json, text/event-stream"}
    data = json.dumps(body).encode() if body is not None else None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)

def connects(family, address):
    with socket.socket(family) as one:
        one.settimeout(3)
        try:
            one.connect(address)
        except OSError:
            return False
    return True

base = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8420/v1")
root = base.removesuffix("/v1")
chat = {"model": "openai:gpt-test", "messages": [{"role": "user", "content": "Hello from inside"}]}
hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "inside", "version": "1"}}}
port = int(sys.argv[1])
print(json.dumps({
    "model": ask(f"{base}/chat/completions", chat),
    "tools": ask(f"{root}/mcp", hello)[0],
    "stranger": ask(f"{base}/chat/completions", chat, key="mk-nobody")[0],
    "api": ask(f"{root}/api/v1/runs")[0],
    "metrics": ask(f"{root}/metrics")[0],
    "server": connects(socket.AF_INET, ("127.0.0.1", port)),
    "beside": connects(socket.AF_INET, (sys.argv[2], port)),
    "metadata": connects(socket.AF_INET, ("169.254.169.254", 80)),
    "sockets": [name for name in ("/var/run/docker.sock", "/run/dbus/system_bus_socket") if os.path.exists(name)],
}))
"""


def flow(port: int, *, policies: str) -> str:
    return (
        f"workspace: {{source: repo/}}\npolicies: {{exec: allow{policies}}}\n"
        f"do:\n  - inside: {{run: 'python3 inside.py {port} 127.0.0.2'}}\n"
        "outputs: {said: '${inside.stdout}'}\n"
    )


async def ran(site: Site, name: str, port: int, *, policies: str) -> dict[str, Any]:
    repo = site.folder / "flows" / name / "repo"
    repo.mkdir(parents=True)
    (repo / "inside.py").write_text(INSIDE)
    done = await site.finish((await site.start(name, flow(port, policies=policies)))["id"])
    assert done["status"] == "succeeded", done["error"]
    return {**json.loads(done["outputs"]["said"]), "run": done}


async def test_a_command_asks_a_model_through_the_one_socket_it_has(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await driver("bubblewrap", Hold.NETWORK)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-upstream-openai")
    async with running_endpoint() as upstream:
        upstream.will(chat_reply())
        with database(request, "sqlite", tmp_path) as url:
            settings = settings_of(
                tmp_path / "home",
                url,
                tools={"sandbox": {"network": "gateway", "driver": "bubblewrap"}},
                providers={"openai": {"base_url": upstream.url + "/v1"}},
                cost={"prices": PRICES},
            )
            async with open_site(settings, tmp_path, http=True) as site:
                application = site.application
                doors = create_doors(application, owner_token=owner_token(settings.home))
                async with serving_inside(application, doors):
                    port = int((site.address or "").rpartition(":")[2])
                    seen = await ran(site, "granted", port, policies=", network: allow")
                    status, answer = seen["model"]
                    assert status == 200, answer
                    assert json.loads(answer)["choices"][0]["message"]["content"]
                    assert (seen["tools"], seen["stranger"], seen["api"], seen["metrics"]) == (
                        200,
                        401,
                        404,
                        404,
                    )
                    assert (seen["server"], seen["beside"], seen["metadata"]) == (False, False, False)
                    assert seen["sockets"] == []
                    assert len(upstream.requests) == 1
                    # It pays from the run's own budget, and its key is good for nothing afterwards.
                    assert seen["run"]["cost"]["calls"] == 1
                    [key] = await application.model.keys.list(site.ctx)
                    assert (key.status(now()), key.run_id) == ("revoked", seen["run"]["id"])
                    # Where nobody said `network: allow`, there is not even that.
                    other = await ran(site, "silent", port, policies="")
                    assert (other["model"][0], other["tools"], other["server"]) == (0, 0, False)
                    assert len(upstream.requests) == 1
                await doors.close()
