"""Jobs with a real model endpoint, journal and database: turns, tools, states, answers."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mosaic.agents import AgentJob, AgentLimits, Completed, TurnUsage, load_agent
from mosaic.agents.spec import AGENT_KEYS
from mosaic.core.errors import (
    BudgetExceeded,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    ToolFailed,
    Unsupported,
)
from mosaic.core.money import Money
from mosaic.engine import Safety
from mosaic.providers.ai import Message
from mosaic.tools import tool
from tests.agents.conftest import PATH, RUN, Bench, said
from tests.agents.script import call, says, texts
from tests.agents.test_handoff import CONTEXT
from tests.providers.endpoint import Reply, event_reply, json_reply

pytestmark = pytest.mark.anyio

SCORE = {
    "type": "object",
    "required": ["score"],
    "additionalProperties": False,
    "properties": {"score": {"type": "number", "maximum": 1}},
}


@tool(name="files.read", risk="read_only", safety=Safety.REPEATABLE)
def read(path: str) -> str:
    """Read a file."""
    return f"content of {path}"


@pytest.mark.requirement("MOZ-08", "MOZ-09", "MOZ-10", "MOZ-14", "MOZ-15", "MOZ-18")
async def test_a_job_takes_its_turns_and_journals_every_move_with_the_effects_that_caused_it(
    bench: Bench,
) -> None:
    bench.tools = [read]
    bench.model.will(
        says("Let me see.", call("files.read", {"path": "a"}), call("files.read", {"path": "b"})),
        says("All good."),
    )
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    assert (outcome.output, outcome.turns, outcome.model) == ("All good.", 2, "openai:test-model")
    assert outcome.usage == TurnUsage(requests=2, input_tokens=200, output_tokens=20, tool_calls=2)
    assert await bench.moves() == [
        "0 idle > ready",
        "0 ready > running",
        "1 running > awaiting_tool",
        "1 awaiting_tool > running",
        "2 running > complete",
    ]
    interesting = {"agent.turn", "agent.message", "model.called"}
    assert [event.type for event in await bench.events() if event.type in interesting] == [
        "agent.turn", "agent.turn",
        "model.called", "agent.message", "agent.turn",
        "agent.turn", "model.called", "agent.message", "agent.turn",
    ]  # fmt: skip
    assert {event.path for event in await bench.events("agent.turn", "agent.message")} == {PATH}
    assert {event.actor for event in await bench.events()} == {"agent:coder"}
    found = await bench.conversations.conversation(bench.ctx, RUN, PATH)
    assert (found.agent, found.state, found.turns) == ("coder", "complete", 2)
    assert [message.role for message in found.messages] == ["user", "assistant", "tool", "assistant"]
    assert await bench.conversations.messages(outcome.messages_ref) == found.messages


async def test_running_a_finished_job_again_repeats_nothing(bench: Bench) -> None:
    counted: list[str] = []

    @tool(name="count", risk="read_only")
    def count(what: str) -> str:
        """Count."""
        counted.append(what)
        return str(len(counted))

    bench.tools = [count]
    bench.model.will(says(None, call("count", {"what": "x"})), says("Done."))
    first = await bench.run()
    head = await bench.journal.head(bench.ctx)
    assert await bench.run() == first
    assert (len(counted), len(bench.model.asked), await bench.journal.head(bench.ctx)) == (1, 2, head)


async def test_what_tools_say_reaches_the_model_as_data_under_the_call_it_answers(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(says(None, call("files.read", {"path": "a"}, id="x1")), says("Done."))
    await bench.run()
    system = texts(bench.model.asked[0], "system")[0]
    mark = system.split("Text between <", 1)[1].split(" ", 1)[0]
    assert bench.model.asked[1]["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "x1",
        "content": f'<{mark} from="files.read">\ncontent of a\n</{mark}>',
    }


async def test_calls_that_only_read_run_at_the_same_time(bench: Bench) -> None:
    both = asyncio.Barrier(2)

    @tool(name="look", risk="read_only")
    async def look(n: int) -> int:
        """Look."""
        async with asyncio.timeout(10):
            await both.wait()
        return n

    bench.tools = [look]
    bench.model.will(says(None, call("look", {"n": 1}), call("look", {"n": 2})), says("Done."))
    await bench.run()
    assert [part.split("\n")[1] for part in texts(bench.model.asked[1], "tool")] == ["1", "2"]


async def test_calls_that_change_something_keep_their_order(bench: Bench) -> None:
    order: list[str] = []

    @tool(name="write", risk="generative", effects=["write"])
    async def write(n: int) -> int:
        """Write."""
        order.append(f"begin {n}")
        for _ in range(20):
            await asyncio.sleep(0)
        order.append(f"end {n}")
        return n

    bench.tools = [write]
    bench.model.will(says(None, *(call("write", {"n": n}) for n in range(3))), says("Done."))
    await bench.run()
    assert order == ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]


async def test_a_tool_that_fails_is_the_models_to_handle(bench: Bench) -> None:
    @tool(name="break", risk="read_only")
    def broken() -> str:
        """Break."""
        raise ToolFailed("The disk is on fire.")

    bench.tools = [broken]
    bench.model.will(says(None, call("break")), says("I give up."))
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    assert said(texts(bench.model.asked[1], "tool"), "[error]", "The disk is on fire.")


@pytest.mark.requirement("MOZ-19")
async def test_an_unknown_outcome_ends_the_job(bench: Bench) -> None:
    @tool(name="pay", risk="read_only")
    def pay() -> str:
        """Pay."""
        raise OutcomeUnknown("Nobody knows whether it was paid.")

    bench.tools = [pay]
    bench.model.will(says(None, call("pay")), says("Done."))
    with pytest.raises(OutcomeUnknown):
        await bench.run()
    assert (await bench.moves())[-1] == "1 awaiting_tool > failed"
    assert await bench.state() == "failed"
    (failed,) = await bench.events("agent.failed")
    assert failed.data["error"]["code"] == "outcome_unknown"
    with pytest.raises(OutcomeUnknown):
        await bench.run()
    assert len(await bench.events("agent.failed")) == 1


async def test_a_tool_that_is_not_there_stops_the_job_before_anything_is_spent(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(says("Done."))
    with pytest.raises(InvalidInput, match=r"needs tools that are not there: files\.raed"):
        await bench.run(bench.job(bench.spec(tools=("files.raed",))))
    assert await bench.journal.head(bench.ctx) == 0
    await bench.run(
        bench.job(bench.spec(tools=("files.raed", "files.read"), preferred_tools=("files.raed",)))
    )
    assert [one["function"]["name"] for one in bench.model.asked[0]["tools"]] == ["files_read"]


async def test_a_coding_agent_is_refused_in_plain_words(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="'coder' is a coding agent"):
        await bench.run(bench.job(bench.spec(model=(), acp="claude")))


async def test_no_usable_model_is_told_and_may_be_usable_later(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.run(bench.job(bench.spec(model=("nobody:model",))))
    bench.model.will(says("Done."))
    assert isinstance(await bench.run(), Completed)


@pytest.mark.requirement("ENT-44")
async def test_the_task_says_which_of_its_models_to_use(bench: Bench) -> None:
    bench.model.will(says("Done."))
    spec = bench.spec(models_by_task={"review": ("openai:reviewer",)})
    await bench.run(bench.job(spec, task_kind="review"))
    await bench.run(bench.job(spec), path="b")
    await bench.run(bench.job(spec, task_kind="review", models=("openai:override",)), path="c")
    assert [body["model"] for body in bench.model.asked] == ["reviewer", "test-model", "override"]


@pytest.mark.requirement("ENT-49")
async def test_another_model_stands_in_when_the_first_cannot_answer(bench: Bench) -> None:
    bench.model.will(
        lambda body: (
            json_reply({"error": {"message": "overloaded"}}, status=503)
            if body["model"] == "first"
            else says("From the second.")
        )
    )
    outcome = await bench.run(bench.job(bench.spec(model=("openai:first", "openai:second"))))
    assert isinstance(outcome, Completed)
    assert outcome.output == "From the second."
    assert [body["model"] for body in bench.model.asked] == ["first", "first", "second"]


async def test_a_budget_that_is_used_up_ends_the_job(bench: Bench) -> None:
    async with bench.database.transaction() as tx:
        await bench.cost.open_budget(tx, bench.ctx, RUN, usd=Money.usd(5), tokens=10)
    bench.model.will(says("Done."))
    with pytest.raises(BudgetExceeded):
        await bench.run()
    assert bench.model.asked == []
    assert (await bench.moves())[-1] == "1 running > failed"


async def test_a_job_goes_on_from_earlier_messages_and_shows_json_as_json(bench: Bench) -> None:
    bench.model.will(says("Done."), says("Done."))
    earlier = (Message.of("user", "Hello"), Message.of("assistant", "Hi"))
    await bench.run(bench.job(prompt={"goal": "x"}, messages=earlier))
    roles = [(message["role"], message["content"]) for message in bench.model.asked[0]["messages"][1:]]
    assert roles == [("user", "Hello"), ("assistant", "Hi"), ("user", '{\n  "goal": "x"\n}')]
    with pytest.raises(InvalidInput):
        bench.job(messages=(Message.of("system", "Obey."),))


async def test_limits_of_the_job_reach_the_model(bench: Bench) -> None:
    bench.model.will(says("Done."))
    await bench.run(bench.job(bench.spec(temperature=0.5), limits=AgentLimits(max_output_tokens=77)))
    body = bench.model.asked[0]
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_old_tool_results_are_left_out_when_the_conversation_grows_too_large(bench: Bench) -> None:
    @tool(name="big", risk="read_only")
    def big(n: int) -> str:
        """Be big."""
        return f"{n}:" + "x" * 4000

    bench.tools = [big]
    bench.model.will(*(says(None, call("big", {"n": n}, id=f"c{n}")) for n in range(6)), says("Done."))
    await bench.run(bench.job(limits=AgentLimits(context_tokens=5000)))
    last = texts(bench.model.asked[-1], "tool")
    assert last[0].startswith("[This older result of big")
    assert "5:xxx" in last[-1]
    found = await bench.conversations.conversation(bench.ctx, RUN, PATH)
    assert all("xxx" in message.parts[0].text for message in found.messages if message.role == "tool")  # type: ignore[union-attr]


@pytest.mark.requirement("ENT-37", "MOZ-16")
async def test_an_agent_at_work_counts_as_load_and_is_free_again_at_the_end(bench: Bench) -> None:
    seen: list[int] = []

    @tool(name="look", risk="read_only")
    async def look() -> str:
        """Look at the registry."""
        seen.append((await bench.registry.agent(bench.ctx, "coder")).active)
        return await bench.state()

    bench.tools = [look]
    bench.model.will(says(None, call("look")), says("Done."))
    await bench.run()
    assert seen == [1]
    assert said(texts(bench.model.asked[1], "tool"), "awaiting_tool")
    assert (await bench.registry.agent(bench.ctx, "coder")).active == 0


async def test_an_answer_that_streams_is_told_piece_by_piece(bench: Bench) -> None:
    def chunk(**delta: Any) -> dict[str, Any]:
        return {
            "id": "c",
            "model": "test-model",
            "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
        }

    end = {"id": "c", "model": "test-model", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"id": "c", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    bench.model.will(
        event_reply([chunk(role="assistant", content="Hel"), chunk(content="lo"), end, usage, "[DONE]"])
    )
    heard: list[tuple[str, str, str]] = []
    bench.runner._on_delta = lambda effects, agent, delta: heard.append((effects.path, agent, delta.text))
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    assert outcome.output == "Hello"
    assert heard == [(PATH, "coder", "Hel"), (PATH, "coder", "lo")]


@pytest.mark.parametrize("model", ["openai:test-model", "anthropic:claude-3-5-haiku"])
async def test_a_structured_answer_is_asked_for_in_the_way_the_model_can_give_it(
    bench: Bench, model: str
) -> None:
    if model.startswith("openai"):
        bench.model.will(says('{"score": 0.5}'))
    else:
        part = {"type": "tool_use", "id": "t1", "name": "final_answer", "input": {"score": 0.5}}
        bench.model.endpoint.answer = lambda _: json_reply(
            {
                "id": "m", "type": "message", "role": "assistant", "model": "claude-3-5-haiku", "content": [part],
                "stop_reason": "tool_use", "usage": {"input_tokens": 10, "output_tokens": 5},
            }
        )  # fmt: skip
    job = bench.job(bench.spec(model=(model,), output_schema=SCORE))
    outcome = await bench.run(job)
    assert isinstance(outcome, Completed)
    assert outcome.output == {"score": 0.5}
    assert await bench.state() == "complete"
    body = bench.model.endpoint.requests[-1].json
    if model.startswith("openai"):
        assert body["response_format"]["json_schema"]["schema"] == SCORE
    else:
        assert body["tools"][0]["input_schema"] == SCORE
        assert (await bench.moves())[-2:] == ["1 awaiting_tool > running", "1 running > complete"]
    assert await bench.run(job) == outcome


async def test_a_job_that_is_cancelled_stops_its_tools_and_can_go_on_later(bench: Bench) -> None:
    began, stopped, free = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @tool(name="wait", risk="read_only", safety=Safety.REPEATABLE)
    async def wait() -> str:
        """Wait."""
        began.set()
        try:
            await free.wait()
        except asyncio.CancelledError:
            stopped.set()
            raise
        return "free"

    bench.tools = [wait, read]
    bench.model.will(says(None, call("wait"), call("files.read", {"path": "a"})), says("Done."))
    task = asyncio.create_task(bench.run())
    async with asyncio.timeout(10):
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert stopped.is_set()
    assert await bench.state() == "awaiting_tool"
    free.set()
    assert isinstance(await bench.run(), Completed)
    assert len(bench.model.asked) == 2


async def test_a_job_that_is_cancelled_while_the_model_thinks_stops_at_once(bench: Bench) -> None:
    bench.model.will(lambda _: Reply(then="hang"))
    task = asyncio.create_task(bench.run())
    async with asyncio.timeout(10):
        await bench.model.endpoint.received.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await bench.model.endpoint.gone.wait()


async def test_two_calls_that_must_end_the_job_end_it_with_one_plain_error(bench: Bench) -> None:
    both = asyncio.Barrier(2)

    @tool(name="pay", risk="read_only")
    async def pay(n: int) -> str:
        """Pay."""
        await both.wait()
        raise OutcomeUnknown(f"Nobody knows whether {n} was paid.")

    bench.tools = [pay]
    bench.model.will(says(None, call("pay", {"n": 1}), call("pay", {"n": 2})), says("Done."))
    with pytest.raises(OutcomeUnknown):
        await bench.run()


async def test_a_secret_of_this_installation_is_in_no_prompt(bench: Bench) -> None:
    bench.redactor.add("hunter2hunter2")
    bench.model.will(says("Done."))
    earlier = (Message.of("user", "the password is hunter2hunter2"),)
    await bench.run(bench.job(prompt="Log in with hunter2hunter2.", messages=earlier))
    assert "hunter2hunter2" not in str(bench.model.asked)
    assert said(texts(bench.model.asked[0], "user"), "Log in with [redacted].")


async def test_a_job_survives_its_trip_through_json(bench: Bench) -> None:
    bench.tools = [read]
    job = bench.job(
        bench.spec(output_schema=SCORE, handoffs=("reviewer",)),
        {"goal": "x"},
        workspace=Path("/tmp/worktree"),
        handoff_context=CONTEXT,
        messages=(Message.of("user", "Hello"),),
        task_kind="review",
        models=("openai:other",),
        peers={"reviewer": "Checks"},
        limits=AgentLimits(max_turns=3, timeout_s=1.5),
    )
    shown = json.loads(json.dumps(job.to_json()))
    assert AgentJob.from_json(shown, toolbox=job.toolbox, policy=job.policy) == job


def test_reading_agents_brings_no_heavy_library_along() -> None:
    heavy = "('pydantic_ai', 'sqlalchemy', 'dbos', 'jsonschema', 'ruamel.yaml')"
    code = f"import sys, mosaic.agents; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_documented_agent_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/agents.md").read_text()
    example = page.split("```markdown\n", 1)[1].split("```", 1)[0]
    (tmp_path / "coder.md").write_text(example)
    spec = load_agent(tmp_path / "coder.md")
    assert (spec.name, spec.handoffs) == ("coder", ("reviewer",))
    missing = [key for key in AGENT_KEYS if f"`{key}`" not in page and f"`{key}." not in page]
    assert missing == []
