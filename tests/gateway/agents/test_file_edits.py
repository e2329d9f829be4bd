"""Claude Code and Codex, unmodified and headless, edit a file through the gateway, over either vendor."""

import pytest

from tests.gateway.agents.conftest import MODELS, Desk, Upstream
from tests.gateway.agents.scripted import SEAL, Call, Turn
from tests.plugins import contracts

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PATCH = """*** Begin Patch
*** Update File: greeting.txt
@@
-Hello
+Hello, world
 Good bye
*** End Patch
"""
COMMAND = {"cmd": "sed -i 's/^Hello$/Hello, world/' greeting.txt"}
CODEX_TOOLS = {
    # A name that Codex does not know: tools are functions.
    "coder": Call("exec_command", COMMAND),
    # Its tool for edits takes one text, in a grammar.
    "gpt-5.5": Call("apply_patch", PATCH),
    # All its tools are used by programs, which are one text for a tool in a namespace.
    "gpt-6.2-sol": Call("exec", "text(await tools.apply_patch(" + repr(PATCH) + "));"),
}
# Where the agent's own protocol is spoken, its requests pass as they are, newer than any description of them.
OWN = {"claude": "anthropic", "codex": "responses"}
OPERATIONS = {"claude": "anthropic.messages", "codex": "openai.responses"}


def edited(desk: Desk) -> None:
    """Fail unless the file says hello to the world, and nothing else happened."""
    assert desk.worktree.file.read_text() == "Hello, world\nGood bye\n"
    changed = [
        line
        for line in desk.worktree.changes().splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == ["-Hello", "+Hello, world"]
    assert desk.worktree.untouched()


async def metered(desk: Desk, agent: str, upstream: Upstream, route: str) -> None:
    """Fail unless every request of the vendor's is in the ledger, on the agent's key, with what it used and cost."""
    calls = await desk.calls()
    asked = desk.vendors[upstream].asked
    assert len(calls) == len(asked) >= 2
    for call in calls:
        assert call["type"] == "model.called"
        assert (call["asked"], call["route"], call["operation"]) == (route, route, OPERATIONS[agent])
        assert call["model"].startswith(f"{upstream}:")
        assert (call["input_tokens"], call["output_tokens"], call["usage_estimated"]) == (1000, 50, False)
        assert call["usd"] == pytest.approx((1000 * 1.0 + 50 * 10.0) / 1_000_000, rel=0.5)
    assert {received.json["model"] for received in asked} == {MODELS[upstream]}


@pytest.mark.parametrize("upstream", MODELS)
async def test_claude_code_edits_a_file(desk: Desk, upstream: Upstream) -> None:
    desk.site.route("coder", f"{upstream}:{MODELS[upstream]}")
    folder, file = desk.worktree.folder, str(desk.worktree.file)
    edit = {"file_path": file, "old_string": "Hello\n", "new_string": "Hello, world\n"}
    desk.plays(
        upstream,
        Turn(
            "I look at both.",
            (Call("Read", {"file_path": str(folder / "README")}), Call("Read", {"file_path": file})),
            thought="Look before you leap.",
        ),
        Turn("I change it.", (Call("Edit", edit),), thought="A comma."),
        Turn("It greets the world."),
    )
    finished = await desk.run("claude", "coder")
    assert (finished.status, desk.vendors[upstream].refused) == (0, []), finished.text[-4000:]
    assert finished.events[-1]["result"] == "It greets the world."
    edited(desk)
    await metered(desk, "claude", upstream, "coder")
    remembered(desk, upstream)
    described(desk, "claude", upstream)


@pytest.mark.parametrize("model", CODEX_TOOLS)
@pytest.mark.parametrize("upstream", MODELS)
async def test_codex_edits_a_file(desk: Desk, upstream: Upstream, model: str) -> None:
    desk.site.route(model, f"{upstream}:{MODELS[upstream]}")
    desk.plays(
        upstream,
        Turn("I change it.", (CODEX_TOOLS[model],), thought="A comma."),
        Turn("It greets the world."),
    )
    finished = await desk.run("codex", model)
    assert (finished.status, desk.vendors[upstream].refused) == (0, []), finished.text[-4000:]
    said = [event["item"].get("text") for event in finished.events if event["type"] == "item.completed"]
    assert "It greets the world." in said
    edited(desk)
    await metered(desk, "codex", upstream, model)
    remembered(desk, upstream)
    described(desk, "codex", upstream)


def remembered(desk: Desk, upstream: Upstream) -> None:
    """Fail unless the vendor got back the thoughts that it had sealed; a chat completion has no place for seals."""
    if upstream != "openai":
        assert f'"{SEAL}"'.encode() in desk.vendors[upstream].asked[-1].body


def described(desk: Desk, agent: str, upstream: Upstream) -> None:
    """Fail unless what was translated for a vendor is what the vendor describes."""
    if OWN[agent] != upstream:
        for received in desk.vendors[upstream].asked:
            contracts.check(upstream, "request", received.json)
