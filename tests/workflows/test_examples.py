"""Every example under ``examples/patterns`` runs and comes to what it promises, and together they show everything."""

from collections.abc import Iterator
from typing import Any

import pytest

from mosaic.workflows import load
from mosaic.workflows.interpreter import BODIES
from tests.providers.endpoint import json_reply, running_endpoint
from tests.workflows.bench import CTX, Bench
from tests.workflows.examples import EXAMPLES, PATTERNS, answering, path_of

pytestmark = pytest.mark.anyio

SHOWN = {
    "sequence": "sequence",
    "parallel fan-out and fan-in": "parallel",
    "conditional": "conditional",
    "bounded iteration": "bounded-iteration",
    "evaluator-optimizer": "evaluator-optimizer",
    "handoff group": "handoff-group",
    "map over a DAG": "map-dag",
    "vote": "vote",
    "quorum": "quorum",
    "child workflow": "child-workflow",
    "escalation": "escalation",
    "saga with compensation": "saga",
}


@pytest.mark.requirement("MOZ-02", "MOZ-43", "MOZ-44", "MOZ-45", "MOZ-46", "MOZ-47")
@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_an_example_runs_and_gives_what_it_promises(bench: Bench, name: str) -> None:
    example = EXAMPLES[name]
    definition = bench.load(path_of(name))
    async with running_endpoint() as endpoint, answering(bench.approvals, EXAMPLES, {"run_1": name}):
        endpoint.will(json_reply({"zen": "Keep it simple."}))
        await bench.start(definition, example.given(endpoint.url))
        for signal, payload in example.signals.items():
            async with bench.database.transaction() as tx:
                await bench.engine.send_signal(tx, CTX, "run_1", signal, payload)
        result = await bench.result()
    assert result.error is None, result.error.to_json()
    assert result.output == {"outputs": example.outputs}


def test_every_example_is_run_and_explains_itself() -> None:
    found = {path.parent.name for path in PATTERNS.glob("*/workflow.yaml")}
    assert found == set(EXAMPLES)
    for name in found:
        assert path_of(name).read_text().startswith("# "), name


def test_every_pattern_has_an_example() -> None:
    assert set(SHOWN.values()) <= set(EXAMPLES)


def test_every_kind_of_step_has_an_example() -> None:
    def kinds(value: Any) -> Iterator[type]:
        if type(value) in BODIES:
            yield type(value)
        if isinstance(value, tuple | list):
            for item in value:
                yield from kinds(item)
        elif hasattr(value, "__dataclass_fields__"):
            for name in value.__dataclass_fields__:
                yield from kinds(getattr(value, name))

    used = {kind for name in EXAMPLES for kind in kinds(load(path_of(name)).steps)}
    assert used == set(BODIES)
