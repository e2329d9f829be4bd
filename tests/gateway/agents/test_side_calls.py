"""What agents ask of models that nobody configured goes to the default route, on the agent's key."""

import re
from typing import Any

import pytest

from tests.gateway.agents.conftest import MODELS, Desk, Upstream
from tests.gateway.agents.scripted import Call, Turn
from tests.gateway.clients.upstreams import tool_results

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def routes(desk: Desk, main: Upstream, side: Upstream) -> None:
    """Have `coder` lead to one upstream, and every name that nobody knows to another."""
    targets = {"coder": main, "side": side}
    shown = {name: {"targets": [f"{upstream}:{MODELS[upstream]}"]} for name, upstream in targets.items()}
    desk.site.write({"routes": shown, "default": "side"})


async def metered(desk: Desk, side: Upstream) -> None:
    """Fail unless all calls are in the ledger, and those for a name that is no route came by the default one."""
    calls = await desk.calls()
    assert len(calls) == sum(len(vendor.asked) for vendor in desk.vendors.values())
    aside = [call for call in calls if call["asked"] != "coder"]
    assert aside
    for call in aside:
        assert (call["route"], call["outcome"], call["usage_estimated"]) == ("side", "ok", False)
        assert call["model"].startswith(f"{side}:")
        assert call["usd"] > 0
    assert {call["route"] for call in calls if call["asked"] == "coder"} == {"coder"}


async def test_claude_code_sends_a_helper_with_a_model_of_its_own_choice(desk: Desk) -> None:
    routes(desk, "anthropic", "openai")
    helper = {
        "description": "Look",
        "prompt": "What does greeting.txt say?",
        "subagent_type": "general-purpose",
        "model": "haiku",
        "run_in_background": False,
    }
    main = desk.plays("anthropic", Turn("Another looks.", (Call("Agent", helper),)), Turn("It says hello."))
    side = desk.plays("openai", Turn("Hello, it says."))
    finished = await desk.run("claude", "coder")
    assert (finished.status, main.refused, side.refused) == (0, [], []), finished.text[-4000:]
    assert finished.events[-1]["result"] == "It says hello."
    assert "Hello, it says." in tool_results(main.asked[-1])[-1]
    await metered(desk, "openai")
    names = {call["asked"] for call in await desk.calls()}
    assert any(name.startswith("claude-haiku-") for name in names)


async def test_codex_sends_a_helper_with_a_model_of_its_own_choice(desk: Desk) -> None:
    def the_helper(asked: Any) -> dict[str, Any]:
        found = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", asked)
        assert found is not None
        return {"targets": [found[0]]}

    routes(desk, "responses", "anthropic")
    helper = {"message": "What does greeting.txt say?", "model": "gpt-6-luna"}
    main = desk.plays(
        "responses",
        Turn("Another looks.", (Call("spawn_agent", helper),)),
        Turn("I wait.", (Call("wait_agent", the_helper),)),
        Turn("It says hello."),
    )
    side = desk.plays("anthropic", Turn("Hello, it says."))
    finished = await desk.run("codex", "coder")
    assert (finished.status, main.refused, side.refused) == (0, [], []), finished.text[-4000:]
    assert "Hello, it says." in tool_results(main.asked[-1])[-1]
    await metered(desk, "anthropic")
    assert "gpt-6-luna" in {call["asked"] for call in await desk.calls()}
