"""A route may lead each request of one conversation to another vendor: the agent does not notice."""

import pytest

from tests.gateway.agents.conftest import MODELS, Desk, Upstream
from tests.gateway.agents.scripted import Call, Turn
from tests.gateway.clients.upstreams import tool_results

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("other", ["responses", "openai"])
async def test_claude_code_goes_on_with_another_vendor_at_each_turn(desk: Desk, other: Upstream) -> None:
    targets = [f"{upstream}:{MODELS[upstream]}" for upstream in ("anthropic", other)]
    desk.site.route("coder", *targets, strategy="round-robin")
    file = str(desk.worktree.file)
    turns = [
        Turn("I look.", (Call("Read", {"file_path": file}),), thought="What does it say?"),
        Turn("Who is greeted?", (_edit(file, "Hello", "Hello, you"),), thought="A comma."),
        Turn("The world is.", (_edit(file, "you", "world"),), thought="The world."),
        Turn("It greets the world."),
    ]
    await _switch(desk, "claude", other, turns)
    assert desk.worktree.file.read_text() == "Hello, world\nGood bye\n"


@pytest.mark.parametrize("other", ["anthropic", "openai"])
async def test_codex_goes_on_with_another_vendor_at_each_turn(desk: Desk, other: Upstream) -> None:
    targets = [f"{upstream}:{MODELS[upstream]}" for upstream in ("responses", other)]
    desk.site.route("coder", *targets, strategy="round-robin")
    commands = (
        "cat greeting.txt",
        "sed -i s/Hello/Hello,/ greeting.txt",
        "sed -i 's/Hello,/Hello, world/' greeting.txt",
    )
    turns = [
        Turn(f"Step {n}.", (Call("exec_command", {"cmd": command}),), thought=f"So {command}.")
        for n, command in enumerate(commands)
    ]
    await _switch(desk, "codex", other, [*turns, Turn("It greets the world.")])
    assert desk.worktree.file.read_text() == "Hello, world\nGood bye\n"


def _edit(file: str, old: str, new: str) -> Call:
    return Call("Edit", {"file_path": file, "old_string": old, "new_string": new})


async def _switch(desk: Desk, agent: str, other: Upstream, turns: list[Turn]) -> None:
    own: Upstream = "anthropic" if agent == "claude" else "responses"
    first, second = desk.plays(own, *turns[::2]), desk.plays(other, *turns[1::2])
    finished = await desk.run(agent, "coder")
    assert (finished.status, first.refused, second.refused) == (0, [], []), finished.text[-4000:]
    assert (len(first.asked), len(second.asked)) == (2, 2)
    assert len(tool_results(second.asked[-1])) == 3, "each knows what was done through the others"
    assert [call["outcome"] for call in await desk.calls()] == ["ok"] * 4
