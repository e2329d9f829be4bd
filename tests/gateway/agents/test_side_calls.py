"""What agents ask of models that nobody configured goes to the default route, on the agent's key."""

import re
from typing import Any

import pytest

from tests.gateway.agents.conftest import MODELS, Desk
from tests.gateway.agents.scripted import Call, Turn
from tests.gateway.clients.upstreams import tool_results

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SMALL = {"openai": "gpt-6.1-mini", "anthropic": "claude-haiku-5"}


async def test_x(desk: Desk) -> None:
    desk.site.write({"routes": {"coder": {"targets": ["anthropic:"+MODELS["anthropic"]]}, "side": {"targets": ["openai:"+MODELS["openai"]]}}, "default": "side"})
    desk.vendors["anthropic"].plays(MODELS["anthropic"], Turn("Others look.", Call("Agent", {"description": "look", "prompt": "Look at greeting.txt", "subagent_type": "general-purpose", "model": "haiku", "run_in_background": False})), Turn("Done."))
    desk.vendors["openai"].plays(MODELS["openai"], Turn("It says hello."))
    finished = await desk.run("claude", "coder")
    print(finished.text[-3000:])
    for v in desk.vendors.values(): print(v.vendor, v.models_asked, v.refused)
    for c in await desk.calls(): print(c)
    assert 0

async def test_y(desk: Desk) -> None:
    desk.site.write({"routes": {"coder": {"targets": ["openai:"+MODELS["openai"]]}, "side": {"targets": ["anthropic:"+MODELS["anthropic"]]}}, "default": "side"})
    def wait(asked):
        print(asked["input"][-1])
        return {"targets": [re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", str(asked["input"][-1]["output"]))[0]]}
    desk.vendors["openai"].plays(MODELS["openai"], Turn("Others look.", Call("spawn_agent", {"message": "Look at greeting.txt", "model": "gpt-6-luna"})), Turn("wait", Call("wait_agent", wait)), Turn("Done."))
    desk.vendors["anthropic"].plays(MODELS["anthropic"], Turn("It says hello."))
    finished = await desk.run("codex", "coder")
    print(finished.text[-3000:])
    for v in desk.vendors.values(): print(v.vendor, v.models_asked, v.refused)
    for c in await desk.calls(): print(c)
    assert 0
