"""Models that do not do what they should: put right a few times, then told with what they said."""

import pytest

from mosaic.agents import Completed
from mosaic.core.errors import ContractViolation, ModelRefused
from mosaic.tools import tool
from tests.agents.conftest import Bench, said
from tests.agents.script import call, says, texts
from tests.agents.test_jobs import SCORE, read

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("I would say 0.5.", "not JSON"),
        ('{"score": 0.5', "not JSON"),
        ('{"score": 7}', "7 is greater than the maximum of 1"),
        ('{"points": 1}', "'score' is a required property"),
    ],
)
async def test_a_wrong_structured_answer_is_sent_back_and_then_right(
    bench: Bench, bad: str, told: str
) -> None:
    bench.model.will(says(bad), says('{"score": 1}'))
    outcome = await bench.run(bench.job(bench.spec(output_schema=SCORE)))
    assert isinstance(outcome, Completed)
    assert (outcome.output, outcome.turns) == ({"score": 1}, 2)
    assert said(texts(bench.model.asked[1], "user"), told)
    (retry,) = await bench.events("retry")
    assert (retry.data["budget_left"], retry.data["reason"]["code"]) == (19, "contract_violation")
    assert (await bench.moves())[-1] == "2 running > complete"


async def test_a_model_that_stays_wrong_ends_the_job_with_what_it_said(bench: Bench) -> None:
    secret = "sk-" + "a1b2c3d4e5f6a7b8c9d0e1"
    bench.model.will(says(f"My key is {secret}. " + "x" * 3000))
    with pytest.raises(ContractViolation, match="answered wrongly 3 times in a row") as caught:
        await bench.run(bench.job(bench.spec(output_schema=SCORE)))
    assert caught.value.data["said"].startswith("My key is [redacted].")
    assert len(caught.value.data["said"]) <= 500
    assert len(bench.model.asked) == 3
    assert await bench.state() == "failed"
    assert (await bench.moves())[-1] == "3 running > failed"
    assert secret not in str([event.data for event in await bench.events()])


async def test_repairs_are_the_agents_own_and_count_from_zero_after_a_good_turn(bench: Bench) -> None:
    bench.tools = [read]
    bad, good = says(None, call("nope")), says(None, call("files.read", {"path": "a"}))
    bench.model.will(bad, good, bad, good, bad, says("Done."))
    outcome = await bench.run(bench.job(bench.spec(repairs=1)))
    assert isinstance(outcome, Completed)
    assert outcome.turns == 6


async def test_repairs_come_out_of_the_runs_one_retry_budget(bench: Bench) -> None:
    bench.retry_budget = 1
    bench.model.will(says("nope"))
    with pytest.raises(ContractViolation, match="answered wrongly 2 times") as caught:
        await bench.run(bench.job(bench.spec(output_schema=SCORE, repairs=9)))
    assert caught.value.data["retries"] == "budget_empty"
    assert len(bench.model.asked) == 2


async def test_an_unknown_tool_is_answered_with_the_right_names(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(says(None, call("files_raed", {"path": "a"})), says("Done."))
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    (told,) = texts(bench.model.asked[1], "tool")
    assert "There is no tool 'files_raed'. Did you mean files.read? Your tools are: files.read." in told


async def test_a_tool_the_agent_is_refused_does_not_exist_for_it(bench: Bench) -> None:
    called: list[int] = []

    @tool(name="deploy", risk="read_only")
    def deploy() -> str:
        """Deploy."""
        called.append(1)
        return "deployed"

    bench.tools = [read, deploy]
    bench.model.will(says(None, call("deploy")), says("Done."))
    await bench.run(bench.job(bench.spec(refused_tools=("deploy",))))
    assert called == []
    assert said(texts(bench.model.asked[1], "tool"), "There is no tool 'deploy'")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"path": "a"', "could not be read: not JSON"),
        ("[1]", "could not be read: JSON, but not an object"),
        ({"path": 3}, "path"),
        ({}, "path"),
        ({"path": "a", "mode": "r"}, "mode"),
    ],
)
async def test_wrong_arguments_go_back_to_the_model(bench: Bench, arguments: object, told: str) -> None:
    bench.tools = [read]
    bench.model.will(
        says(None, call("files.read", arguments)),
        says(None, call("files.read", {"path": "a"})),
        says("Done."),
    )
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    assert said(texts(bench.model.asked[1], "tool"), "[error]", told)
    assert said(texts(bench.model.asked[2], "tool"), "content of a")


async def test_a_model_that_keeps_calling_tools_it_does_not_have_is_ended(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(says(None, call("rm", {"path": "/"})))
    with pytest.raises(ContractViolation, match="There is no tool 'rm'") as caught:
        await bench.run()
    assert "rm({'path': '/'})" in caught.value.data["said"]
    assert len(bench.model.asked) == 3


async def test_an_empty_answer_is_asked_for_again(bench: Bench) -> None:
    bench.model.will(says(""), says("Done."))
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    assert outcome.output == "Done."
    assert said(texts(bench.model.asked[1], "user"), "Your answer was empty.")


async def test_an_answer_that_was_cut_off_is_not_taken_for_whole(bench: Bench) -> None:
    bench.model.will(says("The result is", finish="length"), says("The result is 4."))
    outcome = await bench.run()
    assert isinstance(outcome, Completed)
    assert outcome.output == "The result is 4."
    assert said(texts(bench.model.asked[1], "user"), "cut off")


@pytest.mark.parametrize("text", [None, "I cannot"])
async def test_a_refusal_is_told_as_one(bench: Bench, text: str | None) -> None:
    bench.model.will(says(text, finish="content_filter"))
    with pytest.raises(ModelRefused):
        await bench.run()
    assert len(bench.model.asked) == 1
    assert await bench.state() == "failed"


async def test_an_endless_loop_ends_at_the_last_turn(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(lambda body: says(None, call("files.read", {"path": str(len(body["messages"]))})))
    with pytest.raises(ContractViolation, match="used its 4 turns without an answer"):
        await bench.run(bench.job(bench.spec(max_turns=4)))
    assert len(bench.model.asked) == 4
    assert (await bench.moves())[-2:] == ["4 awaiting_tool > running", "4 running > failed"]


async def test_more_turns_than_the_loop_librarys_own_limit_are_possible(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(*(says(None, call("files.read", {"path": str(n)})) for n in range(60)), says("Done."))
    outcome = await bench.run(bench.job(bench.spec(max_turns=100)))
    assert isinstance(outcome, Completed)
    assert outcome.turns == 61


async def test_the_same_call_again_and_again_is_warned_about_then_ended(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(says(None, call("files.read", {"path": "a"})))
    with pytest.raises(ContractViolation, match="same calls 6 times in a row"):
        await bench.run()
    assert len(bench.model.asked) == 6
    assert said(texts(bench.model.asked[3], "user"), "exactly these calls 3 times")


async def test_calls_without_ids_or_with_the_same_id_are_told_apart(bench: Bench) -> None:
    bench.tools = [read]
    bench.model.will(
        says(
            None, call("files.read", {"path": "a"}, id="same"), call("files.read", {"path": "b"}, id="same")
        ),
        says(None, call("files.read", {"path": "c"}, id="same")),
        says("Done."),
    )
    await bench.run()
    results = [message for message in bench.model.asked[2]["messages"] if message["role"] == "tool"]
    assert len({message["tool_call_id"] for message in results}) == 3
    assert [message["content"].split("\n")[1] for message in results] == [
        "content of a",
        "content of b",
        "content of c",
    ]
