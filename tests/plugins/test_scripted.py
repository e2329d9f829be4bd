"""A script plays the same part whenever the same conversation is shown, and says clearly when it has no answer."""

import asyncio
import json
import re
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    ModelRefused,
    NotFound,
    TimedOut,
)
from mosaic.plugins import scripted
from mosaic.plugins.scripted import ScriptedProvider, load_script, parse_script
from mosaic.providers import Delta, Message, ModelRequest, ToolCallResponsePart, Usage

pytestmark = pytest.mark.anyio

PLAY = """
scripted: 1
name: fix
price: {input_usd_per_mtok: 3, output_usd_per_mtok: 15}
agents:
  coder:
    - when: {prompt: {regex: 'Fix (?P<file>\\S+)'}}
      turns:
        - reasoning: Which file?
          text: I read <<file>>.
          tool_calls: [{tool: files.read, arguments: {path: <<file>>}}]
        - first_of:
            - when: {tool_result: {tool: files.read, contains: a - b}}
              tool_calls: [{tool: files.edit, arguments: {path: <<file>>}}, {tool: shell.run, raw: '{oops'}]
            - when: {tool_result: {is_error: true}}
              text: I cannot read <<file>>.
            - output: {changed: false}
        - text: Done.
          repeat: true
    - turns:
        - text: Nothing to do.
  "*":
    - text: Hello.
"""


@pytest.fixture
def play(tmp_path):
    """Write a script and return a function that asks it."""

    def write(text=PLAY):
        path = tmp_path / "scripted.yaml"
        path.write_text(dedent(text))
        provider = ScriptedProvider()

        async def ask(*messages, agent="coder", attempt=1, **fields):
            metadata = {"agent": agent, "attempt": str(attempt), "path": "build/code"} if agent else {}
            request = ModelRequest(str(path), messages, metadata=metadata, **fields)
            return await provider.complete(request, idempotency_key="k")

        ask.provider, ask.path = provider, path
        return ask

    return write


USER = Message.of("user", "Fix calc.py now")


def result(text, *, tool="files.read", is_error=False):
    return Message("tool", (ToolCallResponsePart("call_1_1", tool, text, is_error),))


async def test_turns_are_played_in_order_with_what_the_prompt_named(play):
    ask = play()
    first = await ask(USER)
    assert first.message.text == "I read calc.py."
    assert [(call.id, call.name, call.arguments) for call in first.message.tool_calls] == [
        ("call_1_1", "files.read", {"path": "calc.py"})
    ]
    assert first.finish_reason == "tool_call"
    assert (first.provider, first.model) == ("scripted", "fix")
    second = await ask(USER, first.message, result("return a - b"))
    assert [call.name for call in second.message.tool_calls] == ["files.edit", "shell.run"]
    assert second.message.tool_calls[1].malformed == "{oops"
    third = await ask(USER, first.message, result("x"), second.message, result("ok"))
    assert third.message.text == "Done."
    assert third.finish_reason == "stop"


async def test_the_last_turn_may_repeat(play):
    ask = play()
    said = Message.of("assistant", "x")
    assert (await ask(USER, *[said, USER] * 7)).message.text == "Done."


async def test_the_same_conversation_is_answered_the_same_by_another_process(play):
    ask = play()
    first = await ask(USER)
    again = await ScriptedProvider().complete(
        ModelRequest(str(ask.path), (USER,), metadata={"agent": "coder"}), idempotency_key="other"
    )
    assert first == again


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (result("return a - b"), ""),
        (result("no", is_error=True), "I cannot read calc.py."),
        (result("x"), '{"changed": false}'),
    ],
)
async def test_the_first_alternative_that_fits_answers(play, answer, text):
    ask = play()
    first = await ask(USER)
    assert (await ask(USER, first.message, answer)).message.text == text


async def test_the_first_scene_that_fits_is_played(play):
    assert (await play()(Message.of("user", "Say hello"))).message.text == "Nothing to do."


async def test_an_agent_without_a_part_gets_everyones(play):
    ask = play()
    assert (await ask(USER, agent="stranger")).message.text == "Hello."
    assert (await ask(USER, agent=None)).message.text == "Hello."


async def test_a_structured_output_is_its_json_text(play):
    ask = play("{scripted: 1, agents: {coder: [{output: {a: [1, null]}}]}}")
    assert json.loads((await ask(USER)).message.text) == {"a": [1, None]}


async def test_a_script_may_be_json(play):
    ask = play(json.dumps({"scripted": 1, "agents": {"coder": [{"text": "hi"}]}}))
    assert (await ask(USER)).message.text == "hi"


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("{prompt: calc}", True),
        ("{prompt: Calc}", False),
        ("{prompt: {contains: [calc, now]}}", True),
        ("{prompt: {contains: [calc, later]}}", False),
        ("{prompt: {lacks: later}}", True),
        ("{prompt: {lacks: [later, calc]}}", False),
        ("{prompt: {regex: '^Fix'}}", True),
        ("{system: terse}", True),
        ("{last: 'Fix'}", True),
        ("{path: {regex: '^build/'}}", True),
        ("{path: deploy}", False),
        ("{prompt: calc, system: verbose}", False),
        ("{tool_result: {tool: files.read}}", False),
    ],
)
async def test_a_condition_needs_all_it_names(play, when, fits):
    ask = play(
        f"{{scripted: 1, agents: {{coder: [{{first_of: [{{when: {when}, text: 'yes'}}, {{text: 'no'}}]}}]}}}}"
    )
    answer = await ask(Message.of("system", "Be terse."), USER)
    assert answer.message.text == ("yes" if fits else "no")


@pytest.mark.parametrize(
    ("messages", "agent", "said"),
    [
        (
            (USER, Message.of("assistant", "x"), USER),
            "once",
            "has 1 turns for agent 'once', and this is turn 2",
        ),
        ((USER,), "picky", "has no scene for agent 'picky'"),
        ((USER,), "choosy", "has no answer in turn 1 of agent 'choosy'"),
        ((USER,), "nobody", "has no part for the agent 'nobody' (it has: choosy, once, picky)"),
    ],
)
async def test_a_script_without_an_answer_says_what_was_looked_for(play, messages, agent, said):
    ask = play(
        """
        scripted: 1
        agents:
          once: [{text: only this}]
          picky: [{when: {prompt: unicorns}, turns: [{text: x}]}]
          choosy: [{first_of: [{when: {last: unicorns}, text: x}]}]
        """
    )
    with pytest.raises(ContractViolation) as caught:
        await ask(*messages, agent=agent)
    assert said in caught.value.message
    assert "Fix calc.py now" in caught.value.message


async def test_usage_is_as_written_else_estimated(play):
    ask = play(
        "{scripted: 1, agents: {coder: [{text: hi, usage: {input_tokens: 100, reasoning_tokens: 3}}]}}"
    )
    usage = (await ask(USER)).usage
    assert (usage.input_tokens, usage.reasoning_tokens) == (100, 3)
    assert usage.output_tokens > 0


async def test_a_declared_price_is_told_and_no_price_means_free(play):
    ask = play()
    price = ask.provider.capabilities(str(ask.path)).price
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (3, 15)
    free = play("{scripted: 1, agents: {}}")
    assert free.provider.capabilities(str(free.path)).price.output_usd_per_mtok == 0


async def test_a_failure_is_played_for_as_many_attempts_as_written(play):
    ask = play(
        """
        scripted: 1
        agents:
          coder:
            - {text: at last, error: {code: limit_exceeded, attempts: 2, retry_after_s: 0.5, message: slow down}}
          never: [{error: {code: model_refused}}]
        """
    )
    for attempt in (1, 2):
        with pytest.raises(LimitExceeded, match="slow down") as caught:
            await ask(USER, attempt=attempt)
        assert caught.value.data["retry_after_s"] == 0.5
    assert (await ask(USER, attempt=3)).message.text == "at last"
    with pytest.raises(ModelRefused):
        await ask(USER, agent="never", attempt=9)


async def test_an_answer_that_takes_too_long_times_out(play):
    ask = play("{scripted: 1, delay_s: 60, agents: {coder: [{text: late}]}}")
    with pytest.raises(TimedOut):
        await ask(USER, timeout_s=0.01)


async def test_a_delay_can_be_cancelled(play):
    ask = play("{scripted: 1, agents: {coder: [{text: late, delay_s: 60}]}}")
    task = asyncio.create_task(ask(USER))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_a_streamed_answer_comes_in_pieces_and_then_whole(play):
    ask = play()
    request = ModelRequest(str(ask.path), (USER,), metadata={"agent": "coder"})
    *deltas, response = [item async for item in ask.provider.stream(request, idempotency_key="k")]
    assert all(isinstance(delta, Delta) for delta in deltas)
    assert [delta.kind for delta in deltas] == ["reasoning", "text", "tool_call"]
    assert all(a.index <= b.index for a, b in pairwise(deltas))
    assert response == await ask(USER)


async def test_a_changed_script_is_read_again(play):
    ask = play("{scripted: 1, agents: {coder: [{text: one}]}}")
    await ask(USER)
    ask.path.write_text("{scripted: 1, agents: {coder: [{text: 'two, longer'}]}}")
    assert (await ask(USER)).message.text == "two, longer"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[1]", ""),
        ("{agents: {}}", "scripted"),
        ("{scripted: 2, agents: {}}", "scripted"),
        ("{scripted: 1}", "agents"),
        ("{scripted: 1, agents: {}, extra: 1}", "extra"),
        ("{scripted: 1, agents: {a: []}}", "agents.a"),
        ("{scripted: 1, agents: {a: [{}]}}", "agents.a[0]"),
        ("{scripted: 1, agents: {a: [text]}}", "agents.a[0]"),
        ("{scripted: 1, agents: {a: [{txt: hi, text: x}]}}", "agents.a[0].txt"),
        ("{scripted: 1, agents: {a: [{text: x, repeat: true}, {text: y}]}}", "agents.a[0].repeat"),
        ("{scripted: 1, agents: {a: [{turns: []}]}}", "agents.a[0]"),
        ("{scripted: 1, agents: {a: [{turns: [{text: x}]}, {text: y}]}}", "agents.a[1]"),
        ("{scripted: 1, agents: {a: [{first_of: x}]}}", "agents.a[0].first_of"),
        ("{scripted: 1, agents: {a: [{tool_calls: [{name: x}]}]}}", "agents.a[0].tool_calls[0]"),
        (
            "{scripted: 1, agents: {a: [{tool_calls: [{tool: x, arguments: y}]}]}}",
            "agents.a[0].tool_calls[0].arguments",
        ),
        ("{scripted: 1, agents: {a: [{error: {code: nope}}]}}", "agents.a[0].error.code"),
        ("{scripted: 1, agents: {a: [{error: unavailable}]}}", "agents.a[0].error"),
        (
            "{scripted: 1, agents: {a: [{text: x, usage: {input_tokens: many}}]}}",
            "agents.a[0].usage.input_tokens",
        ),
        ("{scripted: 1, agents: {a: [{text: x, finish: now}]}}", "agents.a[0].finish"),
        ("{scripted: 1, agents: {a: [{text: x, when: {promt: y}}]}}", "agents.a[0].when"),
        ("{scripted: 1, agents: {a: [{text: x, when: {prompt: {regex: '('}}}]}}", "agents.a[0].when"),
        ("{scripted: 1, agents: {a: [{text: x, delay_s: -1}]}}", "agents.a[0].delay_s"),
        ("{scripted: 1, price: {input_usd_per_mtok: x}, agents: {}}", "price.input_usd_per_mtok"),
    ],
)
def test_a_wrong_script_names_the_place(text, place):
    with pytest.raises(InvalidInput) as caught:
        parse_script(text, name="play")
    assert place in [problem.path for problem in caught.value.problems]


def test_every_problem_of_a_script_is_named_at_once():
    with pytest.raises(InvalidInput) as caught:
        parse_script("{scripted: 3, agents: {a: [{}, {txt: 1, text: x}]}}", name="play")
    assert len(caught.value.problems) == 3


def test_broken_yaml_names_line_and_column(tmp_path):
    path = tmp_path / "play.yaml"
    path.write_text("scripted: 1\nagents: {a: [\n")
    with pytest.raises(InvalidInput) as caught:
        load_script(path)
    assert caught.value.problems[0].line == 3
    assert caught.value.problems[0].file == str(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 5_000_000])
def test_what_cannot_be_a_script_is_refused(tmp_path, content):
    path = tmp_path / "play.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        load_script(path)


def test_a_script_cannot_make_python_objects(tmp_path):
    with pytest.raises(InvalidInput):
        parse_script("!!python/object/apply:os.system [echo]", name="play")


async def test_the_health_of_a_script_is_whether_it_can_be_read(play):
    ask = play()
    assert (await ask.provider.check(str(ask.path))).usable
    assert (await ask.provider.check()).usable
    missing = await ask.provider.check("/nowhere/play.yaml")
    assert (missing.status, missing.usable) == ("unconfigured", False)


async def test_the_default_script_is_the_configured_one(play):
    ask = play()
    provider = ScriptedProvider(str(ask.path))
    assert await provider.default_model() == "default"
    assert provider.script("default").name == "fix"
    with pytest.raises(NotFound):
        ScriptedProvider().script("default")


async def test_usage_adds_up_over_a_conversation(play):
    ask = play()
    first = await ask(USER)
    second = await ask(USER, first.message, result("x"))
    assert second.usage.input_tokens > first.usage.input_tokens
    assert first.usage + second.usage == Usage(
        first.usage.input_tokens + second.usage.input_tokens,
        first.usage.output_tokens + second.usage.output_tokens,
    )


def test_the_documented_script_is_a_script():
    page = (Path(__file__).parents[2] / "docs/reference/providers.md").read_text()
    (block,) = re.findall(r"^```yaml\n(scripted: .*?)^```$", page, re.MULTILINE | re.DOTALL)
    example = dedent(scripted.__doc__.partition("::\n\n")[2].partition("\n\n**Which turn.**")[0])
    for text in (block, example):
        assert set(parse_script(text, name="play").agents) == {"planner", "coder"}
