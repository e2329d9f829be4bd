"""An agent of another installation (A2A) as an agent of ours: one task, whatever happens, under our rules."""

import json
from typing import Any

import pytest

from mosaic.agents import AgentRunner, AgentSpec, Completed, NeedsApproval, parse_agent
from mosaic.core.errors import ContractViolation, NotFound, PolicyDenied, ToolFailed, Unavailable
from mosaic.tools import Policy
from mosaic.tools.a2a import A2aPeer, A2aPeers
from tests.agents.conftest import PATH, Bench
from tests.agents.elsewhere import elsewhere

pytestmark = pytest.mark.anyio


def asking(bench: Bench, url: str, **peers: str) -> None:
    """Let the bench's runner know agents of the settings."""
    found = {
        name: A2aPeer(name, where, {"authorization": "Bearer s3cr3t-of-the-peer"})
        for name, where in peers.items()
    }
    bench.redactor.add("s3cr3t-of-the-peer")
    bench.runner = AgentRunner(
        inference=bench.inference,
        door=bench.runner._door,
        registry=bench.registry,
        conversations=bench.conversations,
        redactor=bench.redactor,
        peers=A2aPeers(found, found.__getitem__),
    )


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "polling"])
async def test_the_task_goes_there_once_and_the_answer_comes_back(bench: Bench, streaming: bool) -> None:
    async with elsewhere(streaming=streaming) as there:
        asking(bench, there.url, partner=there.url)
        spec = AgentSpec("partner", a2a="partner", skill="echo", instructions="Be brief.")
        outcome = await bench.run(bench.job(spec, "Ship it."))
        assert isinstance(outcome, Completed)
        assert (outcome.output, outcome.model, outcome.turns) == (
            "Done: Be brief.\n\nShip it.",
            "a2a:partner",
            1,
        )
        again = await bench.run(bench.job(spec, "Ship it."))
        assert again == outcome
        assert there.said == ["Be brief.\n\nShip it."]
        assert there.metadata()["skill"] == "echo"
        assert {headers["authorization"] for headers in there.headers} == {"Bearer s3cr3t-of-the-peer"}
    remote = [event.data for event in await bench.events("agent.remote_task")]
    assert [each["state"] for each in remote] == ["taken", "completed"]
    assert remote[-1]["cost"] == {"known": False, "claimed_usd": None}
    assert [event.data["risk"] for event in await bench.events("audit.tool_called")] == ["external_api"]
    assert (await bench.moves())[-1] == "1 running > complete"
    found = await bench.conversations.conversation(bench.ctx, "run_1", PATH)
    assert [message.role for message in found.messages] == ["user", "assistant"]
    shown = json.dumps([event.to_json() for event in await bench.events()])
    assert "s3cr3t" not in shown


async def test_its_answer_is_held_to_the_schema_and_a_message_is_an_answer_too(bench: Bench) -> None:
    schema = {"type": "object", "required": ["score"], "properties": {"score": {"type": "number"}}}
    async with elsewhere() as there:
        spec = AgentSpec("partner", a2a=there.url, output_schema=schema)
        outcome = await bench.run(bench.job(spec, "data, please"))
        assert isinstance(outcome, Completed)
        assert outcome.output == {"score": 7}
        with pytest.raises(ContractViolation, match="not JSON"):
            await bench.run(bench.job(spec, "words"), path="second")
        plain = await bench.run(bench.job(AgentSpec("partner", a2a=there.url), "chat"), path="third")
        assert isinstance(plain, Completed)
        assert plain.output == "Hi."
        with pytest.raises(ToolFailed, match="failed: I cannot"):
            await bench.run(bench.job(AgentSpec("partner", a2a=there.url), "fail"), path="fourth")
        assert there.cards == 1


async def test_policy_and_people_decide_whether_the_task_leaves(bench: Bench) -> None:
    async with elsewhere() as there:
        spec = AgentSpec("partner", a2a=there.url)
        with pytest.raises(PolicyDenied):
            await bench.run(bench.job(spec, policy=Policy().narrowed({"network": "deny"})), path="denied")
        with pytest.raises(PolicyDenied):
            await bench.run(bench.job(spec, policy=Policy().narrowed({"a2a.partner": "deny"})), path="named")
        asks = bench.job(spec, policy=Policy().narrowed({"external_api": "ask"}))
        waits = await bench.run(asks)
        assert isinstance(waits, NeedsApproval)
        assert there.taken == []
        assert await bench.state() == "awaiting_approval"
        await bench.approvals.decide(bench.ctx, waits.approval_ids[0], approve=True)
        outcome = await bench.run(asks)
        assert isinstance(outcome, Completed)
        assert len(there.taken) == 1
        refused = await bench.run(asks, path="refused")
        assert isinstance(refused, NeedsApproval)
        await bench.approvals.decide(bench.ctx, refused.approval_ids[0], approve=False, note="not there")
        with pytest.raises(PolicyDenied, match="not there"):
            await bench.run(asks, path="refused")
        assert len(there.taken) == 1


async def test_what_it_asks_a_person_answers_on_the_same_task(bench: Bench) -> None:
    async with elsewhere() as there:
        job = bench.job(AgentSpec("partner", a2a=there.url), "ask me")
        waits = await bench.run(job)
        assert isinstance(waits, NeedsApproval)
        asked = await bench.approvals.get(bench.ctx, waits.approval_ids[0])
        assert (asked.kind, asked.title) == ("ask", "partner asks: Which branch?")
        await bench.approvals.decide(bench.ctx, asked.id, approve=True, answer="main")
        outcome = await bench.run(job)
        assert isinstance(outcome, Completed)
        assert (outcome.output, outcome.turns) == ("Done: main", 2)
        assert there.said == ["ask me", "main"]
        assert there.taken[1].task_id != ""


async def test_an_agent_that_is_not_where_it_should_be_gets_nothing(bench: Bench) -> None:
    async with elsewhere() as there, elsewhere() as other:
        there.card.supported_interfaces[0].url = f"{other.url}/rpc"
        with pytest.raises(ContractViolation, match="another host"):
            await bench.run(bench.job(AgentSpec("partner", a2a=there.url)), path="moved")
        assert other.headers == []
    with pytest.raises(Unavailable):
        await bench.run(bench.job(AgentSpec("partner", a2a=there.url)), path="gone")
    with pytest.raises(PolicyDenied, match="not a public address"):
        await bench.run(bench.job(AgentSpec("partner", a2a="http://169.254.169.254/")), path="metadata")
    with pytest.raises(NotFound, match=r"know no A2A agent 'nobody'"):
        await bench.run(bench.job(AgentSpec("partner", a2a="nobody")), path="unknown")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "openai:gpt-5"}, "has its own model"),
        ({"tools": ["files.read"]}, "cannot use tools"),
        ({"a2a": "https://user@example.com/"}, "is no a2a"),
        ({"a2a": "ftp://example.com/"}, "is no a2a"),
    ],
    ids=["model", "tools", "user", "scheme"],
)
def test_a_definition_that_makes_no_sense_is_refused(more: dict[str, Any], says: str) -> None:
    _, problems = parse_agent({"a2a": "https://example.com/agent", **more}, name="partner")
    assert any(says in problem.message for problem in problems), problems
    spec, none = parse_agent({"a2a": "https://example.com/agent", "skill": "echo"}, name="partner")
    assert none == []
    assert spec is not None
    assert (spec.kind, AgentSpec.from_json(spec.to_json())) == ("a2a", spec)
