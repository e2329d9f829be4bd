"""Python that comes with a workflow runs in a process of its own."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from mosaic.core.errors import ContractViolation, InvalidDefinition, TimedOut, ToolFailed
from mosaic.tools import (
    InvalidArguments,
    Policy,
    RiskClass,
    Toolbox,
    Toolboxes,
    ToolDeclaration,
    ToolSettings,
)
from tests.tools.conftest import Bench

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("sqlite_only")]

SOURCE = b'''
import os, sys, time
from mosaic.tools import Invocation, tool

@tool(risk="read_only", timeout_s=20)
def score(text: str, weight: float = 1.0) -> dict[str, float]:
    """Score a text."""
    print("printing does no harm")
    return {"score": len(text) * weight}

def plain(name: str) -> str:
    """Greet."""
    return f"hello {name}"

@tool(risk="read_only")
def who(invocation: Invocation) -> dict[str, object]:
    """Tell about the process."""
    return {"pid": os.getpid(), "agent": invocation.agent, "cwd": os.getcwd(), "keys": sorted(os.environ)}

@tool(risk="read_only")
def touch(path: str) -> str:
    """Write outside."""
    open(path, "w").close()
    return "written"

@tool(risk="read_only")
def breaks() -> None:
    """Raise."""
    raise ValueError("it broke")

@tool(risk="read_only")
def dies() -> None:
    """Die."""
    os.kill(os.getpid(), 9)

@tool(risk="read_only", timeout_s=0.5)
def hangs() -> None:
    """Hang."""
    time.sleep(600)

@tool(risk="read_only")
def floods() -> str:
    """Say too much."""
    return "x" * 50_000_000

@tool(risk="read_only")
def nan() -> float:
    """Return no number."""
    return float("nan")

def unusable(*args):
    pass
'''


@pytest.fixture
def sqlite_only(database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("no database is involved")


async def opened(bench: Bench, function: str, source: bytes = SOURCE, **more: object) -> Toolbox:
    boxes = Toolboxes(ToolSettings(), data_dir=bench.workspace.parent)
    entry = ToolDeclaration(f"my.{function}", source=source, file="tools.py", function=function, **more)  # type: ignore[arg-type]  # passed through
    async with boxes.open(bench.ctx, "run_1", [entry]) as toolbox:
        return toolbox


async def test_a_function_of_a_file_is_described_and_called(bench: Bench) -> None:
    toolbox = await opened(bench, "score")
    spec = toolbox.get("my.score").spec
    assert (spec.risk, spec.description, spec.timeout_s) == ("read_only", "Score a text.", 20)
    assert spec.source == "file:tools.py:score"
    result = await bench.call("my.score", {"text": "abc", "weight": 2}, toolbox=toolbox)
    assert result.content == {"score": 6.0}
    with pytest.raises(InvalidArguments):
        await bench.call("my.score", {"txt": "abc"}, toolbox=toolbox)


async def test_a_plain_function_is_destructive_unless_the_workflow_says_otherwise(bench: Bench) -> None:
    assert (await opened(bench, "plain")).get("my.plain").spec.risk is RiskClass.DESTRUCTIVE
    toolbox = await opened(bench, "plain", risk=RiskClass.READ_ONLY)
    assert (await bench.call("my.plain", {"name": "you"}, toolbox=toolbox)).content == "hello you"


async def test_it_runs_elsewhere_and_sees_nothing_of_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789abcdefghijklmnop")
    result = await bench.call("my.who", toolbox=await opened(bench, "who"), agent="coder")
    seen = result.content
    assert isinstance(seen, dict)
    assert seen["pid"] != os.getpid()
    assert (seen["agent"], seen["cwd"]) == ("coder", str(bench.workspace))
    assert "OPENAI_API_KEY" not in seen["keys"]


async def test_it_cannot_write_outside_the_worktree(bench: Bench, tmp_path: Path) -> None:
    toolbox = await opened(bench, "touch")
    with contextlib.suppress(ToolFailed):  # refused, or written to a temporary directory of its own
        await bench.call("my.touch", {"path": str(tmp_path / "outside")}, toolbox=toolbox)
    assert not (tmp_path / "outside").exists()
    assert (await bench.call("my.touch", {"path": "inside"}, toolbox=toolbox)).content == "written"


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("breaks", ToolFailed, "ValueError: it broke"),
        ("dies", ToolFailed, "was ended by SIGKILL without an answer"),
        ("hangs", TimedOut, "longer than"),
        ("floods", ContractViolation, "answered more than"),
        ("nan", ContractViolation, "NaN"),
    ],
)
async def test_whatever_it_does_is_a_clear_error(
    bench: Bench, function: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await bench.call(f"my.{function}", toolbox=await opened(bench, function))


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        (SOURCE, "absent", "has no function absent"),
        (SOURCE, "unusable", "cannot be described"),
        (b"def broken(:", "broken", "SyntaxError"),
        (b"import no_such_module", "x", "ModuleNotFoundError"),
        (b"raise SystemExit(3)", "x", "SystemExit"),
        (b"\xff\xfe", "x", "not UTF-8"),
    ],
)
async def test_a_file_that_cannot_be_a_tool_says_why(
    bench: Bench, source: bytes, function: str, message: str
) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        await opened(bench, function, source)


async def test_a_cancelled_call_leaves_no_process(bench: Bench) -> None:
    toolbox = await opened(bench, "hangs", timeout_s=60.0)
    task = asyncio.create_task(bench.call("my.hangs", toolbox=toolbox, policy=Policy()))
    await asyncio.wait([task], timeout=1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
