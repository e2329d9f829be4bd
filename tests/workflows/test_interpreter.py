"""Definitions executed by the real engine, on both databases: blocks, scopes, control words, failures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.core.errors import StepFailed
from mosaic.events import Bus, Journal
from mosaic.storage import BlobStore, Database
from tests.workflows.bench import Bench, running_bench

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(
    database: Database, journal: Journal, bus: Bus, blobs: BlobStore, tmp_path: Path
) -> AsyncIterator[Bench]:
    work = tmp_path / "work"
    work.mkdir()
    async with running_bench(database, journal, bus, blobs, data_dir=tmp_path / "data", work=work) as bench:
        yield bench


async def failing(bench: Bench, text: str) -> StepFailed:
    """Run a workflow that fails and return its error."""
    await bench.start(bench.define(text))
    error = (await bench.result()).error
    assert isinstance(error, StepFailed), error
    return error


async def test_steps_run_in_order_and_see_what_came_before(bench: Bench) -> None:
    outputs = await bench.steps(
        """
inputs: {type: object, properties: {name: {type: string, default: Ada}}}
do:
  - hello: {set: "Hello ${inputs.name}"}
  - note: {tool: note, with: {text: "${hello}!"}}
  - skipped: {if: "hello == 'x'", set: 1}
  - last: {set: {text: "${note}", skipped: "${skipped}", id: "${run.workflow}"}}
outputs: {all: "${last}"}
"""
    )
    assert outputs == {"all": {"text": "Hello Ada!", "skipped": None, "id": "test"}}
    assert bench.notes() == ["Hello Ada!"]
    assert await bench.paths("step.completed") == ["hello", "note", "last"]
    assert await bench.paths("step.skipped") == ["skipped"]


async def test_without_outputs_the_result_is_that_of_the_last_step_that_ran(bench: Bench) -> None:
    assert await bench.steps("do:\n  - a: {set: 1}\n  - b: {if: 'a > 1', set: 2}\n") == {"result": 1}


async def test_a_failed_step_fails_the_run_and_says_where(bench: Bench) -> None:
    error = await failing(
        bench, "do:\n  - outer: {do: [{a: {set: 1}}, {b: {tool: refuse, with: {why: not today}}}]}\n"
    )
    assert error.data["step"] == "outer/b"
    assert error.data["reason"]["code"] == "invalid_input"
    assert "not today" in error.message
    assert await bench.paths("step.failed") == ["outer/b", "outer"]
