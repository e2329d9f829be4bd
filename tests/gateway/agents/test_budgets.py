"""An exhausted budget ends the agents: they take HTTP 402 for an answer."""

import pytest

from tests.gateway.agents.conftest import MODELS, Desk, Upstream
from tests.gateway.agents.scripted import Call, Turn

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

# Claude Code gives up at once; Codex asks five more times, within seconds, and gives up then.
MOST_REFUSALS = 6
VENDORS: dict[str, Upstream] = {"claude": "anthropic", "codex": "responses"}


@pytest.mark.parametrize("agent", VENDORS)
async def test_an_agent_without_money_stops_and_nobody_is_asked(desk: Desk, agent: str) -> None:
    upstream = VENDORS[agent]
    desk.site.route("coder", f"{upstream}:{MODELS[upstream]}")
    vendor = desk.plays(upstream, Turn("Nobody hears this."))
    await desk.limit(0.000_001)
    finished = await desk.run(agent, "coder")
    assert finished.status != 0
    assert desk.key_id in finished.text, "the agent says whose budget it was"
    assert vendor.asked == []
    refused = await desk.calls()
    assert 1 <= len(refused) <= MOST_REFUSALS
    assert {call["outcome"] for call in refused} == {"budget_exceeded"}
    assert not desk.worktree.changes()


@pytest.mark.parametrize("agent", VENDORS)
async def test_an_agent_whose_money_runs_out_stops_where_it_is(desk: Desk, agent: str) -> None:
    upstream = VENDORS[agent]
    desk.site.route("coder", f"{upstream}:{MODELS[upstream]}")
    looks = {
        "claude": Call("Read", {"file_path": str(desk.worktree.file)}),
        "codex": Call("exec_command", {"cmd": "cat greeting.txt"}),
    }
    all_of_it = (1000, 45_000)
    vendor = desk.plays(
        upstream, Turn("I look at it.", (looks[agent],), usage=all_of_it), Turn("Nobody hears this.")
    )
    await desk.limit(0.45)
    finished = await desk.run(agent, "coder")
    assert finished.status != 0
    assert desk.key_id in finished.text
    assert len(vendor.asked) == 1
    paid, *refused = await desk.calls()
    assert paid["outcome"] == "ok"
    assert 1 <= len(refused) <= MOST_REFUSALS
    assert {call["outcome"] for call in refused} == {"budget_exceeded"}
    assert not desk.worktree.changes()
