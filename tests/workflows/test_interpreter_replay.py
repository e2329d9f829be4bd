"""A run that goes on from any point of its journal ends the same: the interpreter's determinism, point by point."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonValue
from mosaic.events import Bus, Finish, Journal
from mosaic.storage import BlobStore, Database
from tests.workflows.bench import CTX, Bench, running_bench

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


class WatchedJournal(Journal):
    """Remembers in which order effects were recorded."""

    def __init__(self, database: Database, bus: Bus, blobs: BlobStore) -> None:
        super().__init__(database, bus, redactor=Redactor(), blobs=blobs)
        self.order: list[tuple[str, str]] = []

    async def try_finish(self, finish: Finish) -> tuple[bool, asyncio.CancelledError | None]:
        found = await super().try_finish(finish)
        if found[0]:
            self.order.append((finish.row.run_id, finish.row.key))
        return found

    async def write_finish(self, finish: Finish) -> JsonValue:
        found = await super().write_finish(finish)
        self.order.append((finish.row.run_id, finish.row.key))
        return found


LOOPS = """
do:
  - draft: {set: 1}
  - refine:
      while: "draft < 12"
      max: 4
      do:
        - twice:
            for: {each: part, in: [1, 2], parallel: 2}
            do: [{add: {set: "${draft * part}"}}]
        - draft: {set: "${twice[0] + twice[1]}"}
        - check:
            validate: [{expect: "feedback != null || value > 3", message: too small}]
            on_fail: {goto: draft, max: 1}
  - pick:
      switch:
        - {when: "refine > 20", do: [{big: {tool: note, with: {text: "${run.id} big ${refine}"}}}]}
        - default: [{small: {set: small}}]
outputs: {refine: "${refine}", pick: "${pick.endsWith('big 27')}"}
"""

FAILURES = """
do:
  - before:
      tool: note
      with: {text: "${run.id} before"}
      compensate: [{undo: {tool: note, with: {text: "${run.id} undo before"}}}]
  - block:
      do:
        - soft:
            tool: refuse
            with: {why: soft}
            catch: [{on: any, do: [{told: {set: "caught ${error.message}"}}]}]
        - jumps:
            do:
              - n: {set: "${feedback == null ? 1 : feedback.attempt + 1}"}
              - enough: {validate: [{expect: "value >= 3"}], on_fail: {goto: n, max: 5}}
        - sides:
            fork:
              good: {tool: note, with: {text: "${run.id} good"}}
              bad:
                tool: flaky
                with: {name: "${run.id}-bad", failures: 2}
                retry: 1
                catch: [{on: unavailable, then: retry, max: 1}]
        - trip:
            try:
              - book:
                  tool: note
                  with: {text: "${run.id} book"}
                  compensate: [{undo: {tool: note, with: {text: "${run.id} undo book ${error.code}"}}}]
              - pay: {tool: flaky, with: {name: "${run.id}-pay", failures: 1}, retry: 1}
            catch: [{on: unavailable, then: retry, max: 2}]
            finally: [{end: {tool: note, with: {text: "${run.id} end"}}}]
        - out: {set: {soft: "${soft}", n: "${jumps}", bad: "${sides.bad != ''}", trip: "${trip != ''}"}}
      catch: [{on: unavailable, do: [{again: {set: again}}], then: retry, max: 2}]
  - last: {tool: flaky, with: {name: "${run.id}-last", failures: 1}, retry: 1}
catch: [{on: unavailable, do: [{told: {set: told}}], then: retry, max: 2}]
outputs: {block: "${block}", last: "${last != ''}"}
"""

SAGA = """
do:
  - trip:
      try:
        - legs:
            for: {each: leg, in: [a, b, c], parallel: 1}
            do:
              - ride:
                  tool: note
                  with: {text: "${run.id} ride ${leg}"}
                  compensate: [{undo: {tool: note, with: {text: "${run.id} undo ${leg} ${error.step}"}}}]
        - pay: {tool: refuse, with: {why: no money}}
      catch: [{on: invalid_input, do: [{told: {set: "${error.message}"}}]}]
  - after:
      tool: note
      with: {text: "${run.id} after"}
      compensate: [{undo: {tool: note, with: {text: "${run.id} undo after"}}}]
  - fail: {tool: refuse, with: {why: the end}}
catch: [{on: any, then: end}]
outputs: {trip: "${trip}", fail: "${fail}"}
"""


def notes_of(bench: Bench, run_id: str) -> list[str]:
    """What the run noted, in order."""
    return [note.removeprefix(f"{run_id} ") for note in bench.notes() if note.startswith(f"{run_id} ")]


@pytest.mark.parametrize("text", [LOOPS, FAILURES, SAGA], ids=["loops", "failures", "saga"])
async def test_a_run_goes_on_from_any_point_and_ends_the_same(
    database: Database, bus: Bus, blobs: BlobStore, tmp_path: Path, text: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    journal = WatchedJournal(database, bus, blobs)
    async with running_bench(database, journal, bus, blobs, data_dir=tmp_path / "data", work=work) as bench:
        definition = bench.define(text)
        wanted: Any = await bench.run(definition)
        notes = notes_of(bench, "run_1")
        order = [key for run_id, key in journal.order if run_id == "run_1"]
        assert len(order) > 20
        for done in range(1, len(order) - 1):
            run_id = f"run_from_{done}"
            await continued_from(bench, run_id, order[:done])
            assert await bench.run(definition, run_id=run_id) == wanted, order[done]
            assert notes_of(bench, run_id) == notes, order[done]


async def continued_from(bench: Bench, run_id: str, keys: list[str]) -> None:
    """Give a new run what the first one had recorded, and the world what the first one had done by then."""
    async with bench.database.transaction() as tx:
        await bench.journal.copy_effects(tx, CTX, "run_1", run_id, keys)
    recorded = await bench.journal.recorded(CTX, run_id)
    kept = {effect.event_seq for key, effect in recorded.items() if re.search(r"#call(~\d+)?$", key)}
    lines = []
    for event in await bench.events("tool.called", "tool.failed", run_id="run_1"):
        arguments = event.data["arguments"]
        if event.seq in kept and event.data["tool"] == "note":
            lines.append(arguments["text"].replace("run_1", run_id, 1))
        if event.seq in kept and event.data["tool"] == "flaky":
            lines.append(f"try {arguments['name'].replace('run_1', run_id, 1)}")
    with (bench.work / "notes").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)
