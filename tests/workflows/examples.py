"""Every example under ``examples/patterns``: what it is given, what people answer, what it must come to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mosaic.core.errors import Conflict
from mosaic.tools import Approvals
from tests.workflows.bench import CTX

PATTERNS = Path(__file__).parents[2] / "examples" / "patterns"


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        outputs: what the run must give.
        inputs: what it is given; ``{endpoint}`` in a text is the address of the test's own web server.
        answers: step path -> what `Approvals.decide` is told.
        signals: name -> payload.
    """

    outputs: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signals: Mapping[str, Any] = field(default_factory=dict)

    def given(self, endpoint: str) -> dict[str, Any]:
        """Return the inputs."""
        return {
            key: value.replace("{endpoint}", endpoint) if isinstance(value, str) else value
            for key, value in self.inputs.items()
        }


def path_of(name: str) -> Path:
    """Return the example's file."""
    return PATTERNS / name / "workflow.yaml"


async def answer(approvals: Approvals, wanted: Mapping[str, Example], name_of: Mapping[str, str]) -> None:
    """Answer what is asked, for ever, as the examples say; `name_of` maps runs to examples."""
    while True:
        for asked in await approvals.list(CTX, status="pending"):
            example = wanted.get(name_of.get(asked.run_id, ""))
            if example is not None and asked.path in example.answers:
                with suppress(Conflict):
                    await approvals.decide(CTX, asked.id, **example.answers[asked.path])
        await asyncio.sleep(0.05)


@asynccontextmanager
async def answering(
    approvals: Approvals, wanted: Mapping[str, Example], name_of: Mapping[str, str]
) -> AsyncIterator[None]:
    """Answer in the background."""
    task = asyncio.create_task(answer(approvals, wanted, name_of))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


EXAMPLES: dict[str, Example] = {
    "bounded-iteration": Example({"number": 24}),
    "budget": Example(
        {"poem": "It comes, it goes, and nobody knows."}, answers={"catch0/more": {"approve": True}}
    ),
    "child-workflow": Example({"book": ["This is the start.", "This is the middle.", "This is the end."]}),
    "conditional": Example(
        {"kind": "outage", "action": "paged the person on call", "escalated": "told the lead"},
        inputs={"message": "The server is on fire"},
    ),
    "control-do": Example({"total": 8}),
    "control-try": Example({"said": "fine\n", "files": ["README.md"]}),
    "escalation": Example(
        {"decision": "yes"}, answers={"decide/catch0/ask_senior/catch0/ask_person": {"approve": True}}
    ),
    "evaluator-optimizer": Example(
        {
            "text": "An index is a sorted copy of a column that lets a database find rows without reading them all.",
            "score": 0.95,
            "rounds": 2,
        }
    ),
    "handoff-group": Example(
        {
            "answer": "Your query reads the whole table, because the column has no index. "
            "Add one and it will be quick."
        }
    ),
    "map-dag": Example(
        {
            "done": [
                {"id": "roof", "did": "roof is done", "after": ["walls"]},
                {"id": "walls", "did": "walls is done", "after": ["ground"]},
                {"id": "garden", "did": "garden is done", "after": []},
                {"id": "ground", "did": "ground is done", "after": []},
                {"id": "paint", "did": "paint is done", "after": ["garden", "roof"]},
            ]
        }
    ),
    "parallel": Example(
        {
            "reviews": [
                "Never store a password on the client. Use a session token.",
                "A session look-up costs a millisecond. That is fine.",
            ],
            "summary": "Do not store the password; a session token is safe and costs almost nothing.",
        }
    ),
    "quorum": Example({"answers": {"north": "up", "south": None, "west": "up"}}),
    "saga": Example(
        {"story": ["booked flight", "booked hotel", "payment failed", "cancelled H-1", "cancelled F-1"]}
    ),
    "sequence": Example(
        {
            "facts": ["it trades memory for time", "stale answers are the price", "measure before you cache"],
            "note": "A cache trades memory for time. Its price is the stale answer, so decide how stale is too "
            "stale, and measure first.",
        }
    ),
    "step-agent": Example({"port": 8080}),
    "step-ask": Example(
        {"colour": "blue", "told": "Ada", "somebody": False},
        answers={
            "colour": {"approve": True, "answer": "blue"},
            "form": {"approve": True, "answer": {"name": "Ada"}},
        },
    ),
    "step-emit": Example({"told": {"pages": 3}}),
    "step-http": Example(
        {"status": 200, "body": {"zen": "Keep it simple."}}, inputs={"url": "{endpoint}/zen"}
    ),
    "step-listen": Example({"version": 5, "unheard": None}, signals={"deploy.finished": {"version": 5}}),
    "step-run": Example({"hits": "0\n", "first": "apple", "answer": 42, "loud": "APPLE"}),
    "step-set": Example({"dear": [4.5, 12], "report": {"count": 2, "text": "There are 2 of 3."}}),
    "step-tool": Example({"content": "Run step-tool was here.\n"}),
    "step-validate": Example({"said": "Now it is done."}),
    "step-wait": Example({"done": "rested"}),
    "step-workflow": Example({"square": 49}),
    "vote": Example(
        {
            "simple": "approve",
            "weighed": "reject",
            "ranked": "red",
            "tally": {"red": 2, "green": 0, "blue": 1},
        }
    ),
}
