"""An exhausted budget ends the agents: they take HTTP 402 for an answer."""

import pytest

from tests.gateway.agents.conftest import MODELS, Desk, Upstream
from tests.gateway.agents.scripted import Call, Turn

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

VENDORS: dict[str, Upstream] = {"claude": "anthropic", "codex": "responses"}


@pytest.mark.parametrize("agent", VENDORS)
async def test_an_agent_without_money_stops_and_nobody_is_asked(desk: Desk, agent: str) -> None:
    vendor = VENDORS[agent]
    desk.site.route("coder", f"{vendor}:{MODELS[vendor]}")
    desk.vendors[vendor].plays(MODELS[vendor], Turn("Nobody hears this."))
    await desk.limit(0.000_001)
    finished = await desk.run(agent, "coder")
    assert finished.status != 0
    assert desk.key_id in finished.text, "the agent says whose budget it was"
    assert desk.vendors[vendor].asked == []
    refused = await desk.calls()
    assert len(refused) <= 6
    assert {call["outcome"] for call in refused} == {"budget_exceeded"}
    assert not desk.worktree.changes()


@pytest.mark.parametrize("agent", VENDORS)
async def test_an_agent_whose_money_runs_out_stops_where_it_is(desk: Desk, agent: str) -> None:
    vendor = VENDORS[agent]
    desk.site.route("coder", f"{vendor}:{MODELS[vendor]}")
    looks = {
        "claude": Call("Read", {"file_path": str(desk.worktree.file)}),
        "codex": Call("exec_command", {"cmd": "cat greeting.txt"}),
    }
    all_of_it = (1000, 45_000)
    desk.vendors[vendor].plays(
        MODELS[vendor], Turn("I look at it.", (looks[agent],), usage=all_of_it), Turn("Nobody hears this.")
    )
    await desk.limit(0.45)
    finished = await desk.run(agent, "coder")
    assert finished.status != 0
    assert desk.key_id in finished.text
    assert len(desk.vendors[vendor].asked) == 1
    paid, *refused = await desk.calls()
    assert paid["outcome"] == "ok"
    assert 1 <= len(refused) <= 6
    assert {call["outcome"] for call in refused} == {"budget_exceeded"}
    assert not desk.worktree.changes()
