"""The door's order: exists, valid, allowed, approved, in time, once, checked, masked, journaled."""

import asyncio
import math
import threading
from typing import Any

import pytest

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    OutcomeUnknown,
    PolicyDenied,
    TimedOut,
    ToolFailed,
    Unavailable,
)
from mosaic.engine import Effects, RetryPolicy, Safety
from mosaic.tools import (
    BaseTool,
    InvalidArguments,
    Invocation,
    Policy,
    RiskClass,
    Toolbox,
    ToolResult,
    ToolSpec,
    UnknownTool,
    model_result,
    tool,
)
from tests.tools.conftest import Bench

pytestmark = pytest.mark.anyio

OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}


class Counter(BaseTool):
    """A tool that counts its calls and does what its script says."""

    def __init__(self, *script: Any, **spec: Any) -> None:
        fields: dict[str, Any] = {"risk": RiskClass.READ_ONLY, "safety": Safety.REPEATABLE}
        super().__init__(
            ToolSpec(**({"name": "x.count", "description": "", "input_schema": OBJECT} | fields | spec))
        )
        self.script = list(script)
        self.invocations: list[Invocation] = []

    async def call(self, invocation: Invocation, arguments: dict[str, Any]) -> ToolResult:
        self.invocations.append(invocation)
        step = self.script.pop(0) if self.script else ToolResult(len(self.invocations))
        if isinstance(step, Exception):
            raise step
        if step == "hang":
            await asyncio.Event().wait()
        return step if isinstance(step, ToolResult) else ToolResult(step)


@pytest.mark.requirement("MOZ-40")
async def test_a_call_is_journaled_with_arguments_result_and_duration(bench: Bench) -> None:
    result = await bench.call(Counter({"answer": 42}), {"n": 1}, agent="coder")
    assert result == ToolResult({"answer": 42})
    (event,) = await bench.events()
    assert event.type == "tool.called"
    assert event.run_id == "run_1"
    assert event.path == "step"
    assert event.data.pop("duration_ms") >= 0
    assert event.data == {
        "tool": "x.count",
        "risk": "read_only",
        "agent": "coder",
        "arguments": {"n": 1},
        "policy": {"version": "built-in", "rule": "risk class read_only"},
        "result": {"answer": 42},
    }


async def test_a_replay_returns_what_is_recorded_and_touches_nothing(bench: Bench) -> None:
    counter = Counter()
    first = await bench.call(counter, name="c")
    again = await bench.call(counter, name="c")
    gone = await bench.door.call(
        bench.effects(), "c", tool="x.count", arguments={"wrong": 1}, toolbox=Toolbox(), policy=Policy()
    )
    assert first == again == gone
    assert len(counter.invocations) == 1
    assert len(await bench.events()) == 1


async def test_an_unknown_tool_names_the_nearest(bench: Bench) -> None:
    with pytest.raises(UnknownTool) as caught:
        await bench.call("file.raed", {"path": "x"})
    assert caught.value.data["nearest"][0] == "files.read"
    told = model_result(caught.value)
    assert told is not None
    assert told.is_error
    assert "files.read" in str(told.content)


async def test_a_tool_is_found_by_the_name_that_model_apis_allow(bench: Bench) -> None:
    assert (await bench.call("files__list")).content == {"entries": [], "more": False}


@pytest.mark.requirement("MOZ-33")
async def test_wrong_arguments_are_all_listed_and_nothing_is_called(bench: Bench) -> None:
    counter = Counter()
    with pytest.raises(InvalidArguments) as caught:
        await bench.call(counter, {"n": "x", "m": 1})
    assert len(caught.value.problems) == 2
    assert counter.invocations == []
    told = model_result(caught.value)
    assert told is not None
    assert len(told.content["problems"]) == 2  # type: ignore[index,call-overload,arg-type]


async def test_a_denied_call_is_refused_journaled_and_stays_refused(bench: Bench) -> None:
    counter = Counter(risk=RiskClass.GENERATIVE)
    policy = Policy().narrowed({"generative": "deny"})
    for _ in range(2):
        with pytest.raises(PolicyDenied, match="risk class generative"):
            await bench.call(counter, name="c", policy=policy)
    assert [event.type for event in await bench.events()] == ["tool.denied"]
    with pytest.raises(PolicyDenied):
        await bench.call(counter, name="c")  # also under a milder policy: it is how the call ended
    assert counter.invocations == []


@pytest.mark.requirement("MOZ-28")
async def test_calls_to_other_systems_leave_an_audit_event(bench: Bench) -> None:
    await bench.call(Counter(risk=RiskClass.EXTERNAL_API))
    called, audited = await bench.events()
    assert (called.type, audited.type) == ("tool.called", "audit.tool_called")
    assert audited.data["outcome"] == "succeeded"


@pytest.mark.requirement("MOZ-36")
async def test_a_tool_that_hangs_times_out(bench: Bench) -> None:
    with pytest.raises(TimedOut, match=r"longer than 0\.05 s"):
        await bench.call(Counter("hang", timeout_s=0.05))
    (event,) = await bench.events()
    assert (event.type, event.data["error"]["code"]) == ("tool.failed", "timed_out")


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        (ToolResult(math.nan), "number nan"),
        (ToolResult({"a": object()}), "no JSON"),
        (ToolResult("x" * 20_000_000), "20000002 bytes"),
    ],
)
async def test_a_tool_that_returns_nonsense_is_a_contract_violation(
    bench: Bench, nonsense: ToolResult, message: str
) -> None:
    with pytest.raises(ContractViolation, match=message):
        await bench.call(Counter(nonsense))


@pytest.mark.requirement("MOZ-39")
async def test_a_result_outside_the_promised_schema_is_a_contract_violation(bench: Bench) -> None:
    with pytest.raises(ContractViolation, match=r"result\.answer: 'x' is not of type 'integer'"):
        await bench.call(
            Counter({"answer": "x"}, output_schema={"properties": {"answer": {"type": "integer"}}})
        )


async def test_a_long_result_is_cut_and_kept_whole(bench: Bench) -> None:
    result = await bench.call(Counter("a" * 300_000))
    assert result.truncated
    assert "bytes left out" in str(result.content)
    assert len(str(result.content)) < 101_000
    assert result.blob is not None
    assert await bench.door._blobs.get(result.blob) == b"a" * 300_000
    (event,) = await bench.events()
    assert len(str(event.data)) < 6_000


async def test_secrets_in_results_events_and_blobs_are_masked(bench: Bench) -> None:
    bench.door._redactor.add("hunter2-hunter2")
    result = await bench.call(Counter({"text": "it is hunter2-hunter2", "api_key": "abc"}), {"n": 1})
    assert result.content == {"text": "it is [redacted]", "api_key": "[redacted]"}
    long = await bench.call(Counter("hunter2-hunter2 " * 10_000))
    assert long.blob is not None
    assert b"hunter2" not in await bench.door._blobs.get(long.blob)
    assert "hunter2" not in str([event.data for event in await bench.events()])


async def test_nul_and_half_characters_reach_neither_database(bench: Bench) -> None:
    result = await bench.call(Counter({"t": "a\0b\ud800"}))
    assert result.content == {"t": "a\ufffdb?"}
    assert (await bench.call("files.write", {"path": "f", "content": "a\0b"})).content["size_bytes"] == 3  # type: ignore[index,call-overload]
    assert len(await bench.events()) == 2


@pytest.mark.requirement("MOZ-37")
async def test_a_retryable_failure_is_tried_again_where_the_tool_allows(bench: Bench) -> None:
    policy = RetryPolicy(attempts=3, base_s=0.001)
    counter = Counter(Unavailable("down"), Unavailable("down"), "up", retries=True)
    assert (await bench.call(counter, name="c", retry=policy)).content == "up"
    assert [invocation.attempt for invocation in counter.invocations] == [1, 2, 3]
    assert [event.type for event in await bench.events()] == [
        *("tool.failed", "retry", "tool.failed", "retry", "tool.called"),
    ]
    assert (await bench.call(counter, name="c", retry=policy)).content == "up"
    assert len(counter.invocations) == 3
    once = Counter(Unavailable("down"))
    with pytest.raises(Unavailable):
        await bench.call(once, retry=policy)
    assert len(once.invocations) == 1, "not every tool may be called again"


async def test_a_failed_result_is_no_error_but_is_journaled_as_failed(bench: Bench) -> None:
    result = await bench.call(Counter(ToolResult("no", is_error=True)))
    assert result.is_error
    assert [event.type for event in await bench.events()] == ["tool.failed"]


async def test_an_unsafe_call_cut_short_by_a_crash_is_not_repeated(bench: Bench) -> None:
    counter = Counter("hang", safety=Safety.UNSAFE, timeout_s=30)
    task = asyncio.create_task(bench.call(counter, name="c"))
    async with asyncio.timeout(10):
        while not counter.invocations:  # noqa: ASYNC110  # the tool says nothing else
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(OutcomeUnknown):
        await bench.call(counter, name="c")
    assert len(counter.invocations) == 1


async def test_what_a_model_may_read_is_told_apart_from_what_ends_its_work() -> None:
    assert model_result(ToolFailed("x", hint="try y")) == ToolResult(
        {"error": "tool_failed", "message": "x", "hint": "try y"}, is_error=True
    )
    assert model_result(OutcomeUnknown("x")) is None


# Python functions as tools


@tool(risk="read_only", effects=["read"])
def weather(city: str, days: int = 1) -> dict[str, list[float]]:
    """Tell the weather.

    Args:
        city: where.
        days: how many
    """
    return {city: [20.5] * days}


async def test_a_functions_hints_become_its_schema(bench: Bench) -> None:
    spec = weather.spec
    assert (spec.name, spec.description, spec.risk) == ("weather", "Tell the weather.", "read_only")
    assert spec.input_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["city"],
        "properties": {
            "city": {"type": "string", "description": "where."},
            "days": {"type": "integer", "default": 1, "description": "how many"},
        },
    }
    assert (await bench.call(weather, {"city": "Oslo", "days": 2})).content == {"Oslo": [20.5, 20.5]}
    assert weather("Oslo") == {"Oslo": [20.5]}
    with pytest.raises(InvalidArguments, match="did you mean city"):
        await bench.call(weather, {"ciy": "Oslo"})


async def test_a_function_without_a_risk_class_is_destructive() -> None:
    @tool()
    def plain() -> None:
        """Do something."""

    assert plain.spec.risk is RiskClass.DESTRUCTIVE


async def test_a_synchronous_function_does_not_block_others(bench: Bench) -> None:
    release = threading.Event()

    @tool(risk="read_only", safety=Safety.REPEATABLE)
    def slow() -> str:
        """Wait."""
        assert release.wait(10)
        return "done"

    task = asyncio.create_task(bench.call(slow))
    assert (await bench.call(weather, {"city": "x"})).content == {"x": [20.5]}
    release.set()
    assert (await task).content == "done"


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1), StopIteration(), KeyboardInterrupt()])
async def test_whatever_a_function_raises_is_a_tool_failure(bench: Bench, error: BaseException) -> None:
    @tool(risk="read_only")
    def broken() -> None:
        """Break."""
        raise error

    with pytest.raises(ToolFailed):
        await bench.call(broken)


async def test_a_function_that_hangs_is_left_behind_and_others_go_on(bench: Bench) -> None:
    release = threading.Event()

    @tool(risk="read_only", timeout_s=0.05, safety=Safety.REPEATABLE)
    def hangs() -> None:
        """Hang."""
        release.wait(30)

    for _ in range(8):  # more than the default thread pool has places here
        with pytest.raises(TimedOut):
            await bench.call(hangs)
    assert (await bench.call(weather, {"city": "x"})).content == {"x": [20.5]}
    release.set()


async def test_a_function_that_returns_something_else_than_it_says_violates_its_contract(
    bench: Bench,
) -> None:
    @tool(risk="read_only")
    def liar() -> int:
        """Lie."""
        return "x"  # type: ignore[return-value]  # the lie

    with pytest.raises(ContractViolation, match="liar returned a str"):
        await bench.call(liar)


async def test_a_function_may_ask_for_its_invocation(bench: Bench) -> None:
    @tool(risk="read_only")
    async def whoami(invocation: Invocation, suffix: str = "!") -> str:
        """Say who."""
        invocation.progress("working")
        return f"{invocation.agent}{suffix}"

    seen: list[str] = []
    assert "invocation" not in whoami.spec.input_schema["properties"]
    assert (await bench.call(whoami, agent="coder", progress=seen.append)).content == "coder!"
    assert seen == ["working"]


async def test_invalid_input_of_a_tool_is_for_the_model_to_correct(bench: Bench) -> None:
    with pytest.raises(InvalidInput) as caught:
        await bench.call("files.read", {"path": "f\0"})
    assert model_result(caught.value) is not None


async def test_effects_of_two_paths_do_not_meet(bench: Bench) -> None:
    counter = Counter()
    one: Effects = bench.effects("a")
    assert (await bench.call(counter, name="c", effects=one)).content == 1
    assert (await bench.call(counter, name="c", effects=one.at("b"))).content == 2
