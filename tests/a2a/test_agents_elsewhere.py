"""An agent of a workflow is a workflow behind MosAIc's own door for agents, found by its card, let in by a key."""

import socket
from pathlib import Path

import pytest

from mosaic.security import NewKey
from tests.a2a.test_tasks import ECHO, known
from tests.app.site import database, open_site, settings_of

pytestmark = pytest.mark.anyio

FLOW = """
agents:
  partner: {a2a: partner, skill: echo}
do:
  - ask: {agent: partner, with: hello there}
outputs: {said: '${ask}'}
"""


async def test_an_agent_of_a_workflow_is_a_workflow_behind_a_card(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    partner = {
        "url": f"http://127.0.0.1:{port}",
        "headers": {"authorization": {"secret": "PARTNER_KEY", "prefix": "Bearer "}},
    }
    with database(request, "sqlite", tmp_path) as url:
        settings = settings_of(tmp_path / "home", url, tools={"a2a_agents": {"partner": partner}})
        async with open_site(settings, tmp_path, http=True, port=port) as site:
            await known(site, "echo", ECHO)
            _, key = await site.application.model.keys.create(site.ctx, NewKey("ours", scopes=("tools",)))
            site.application.tools._environ = {"PARTNER_KEY": key}
            ended = await site.finish((await site.start("asks-there", FLOW))["id"])
            assert ended["status"] == "succeeded", ended["error"]
            assert ended["outputs"] == {"said": "hello there"}
            events = await site.events(ended["id"])
            remote = [event["data"] for event in events if event["type"] == "agent.remote_task"]
            assert remote[-1]["cost"] == {"known": False, "claimed_usd": 0.0}
            there = await site.client.run(remote[-1]["task"])
            assert (there["workflow"], there["outputs"]) == ("echo", {"said": "hello there"})
            assert key not in str(events)
