"""A runner on a real journal, whose model is a script behind OpenAI's protocol."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from mosaic.agents import (
    AgentJob,
    AgentOutcome,
    AgentRegistry,
    AgentRunner,
    AgentSpec,
    Conversations,
)
from mosaic.core.context import Context
from mosaic.core.redaction import Redactor
from mosaic.cost import Cost
from mosaic.engine import Effects, Engine, RetryPolicy
from mosaic.events import Bus, Event, Journal
from mosaic.inference import Inference, InferenceSettings
from mosaic.providers import ProviderRegistry
from mosaic.storage import BlobStore, Database
from mosaic.tools import Approvals, Policy, Toolbox, ToolDoor
from tests.agents.script import ScriptedModel
from tests.providers.endpoint import running_endpoint

RUN = "run_1"
PATH = "build[2]/code"


@dataclass
class At:
    """An execution's effects, as a new process sees them: nothing is remembered but the journal."""

    effects: Effects


@dataclass
class Bench:
    """Everything an agent's job needs, and short ways to look at what came of it."""

    ctx: Context
    database: Database
    journal: Journal
    blobs: BlobStore
    model: ScriptedModel
    providers: ProviderRegistry
    inference: Inference
    registry: AgentRegistry
    conversations: Conversations
    approvals: Approvals
    runner: AgentRunner
    cost: Cost
    redactor: Redactor
    retry_budget: int = 20
    tools: list[Any] = field(default_factory=list)

    def job(self, spec: AgentSpec | None = None, prompt: Any = "Fix it.", **options: Any) -> AgentJob:
        """A job of an agent with all tools of the bench."""
        spec = spec or self.spec()
        policy = options.pop("policy", Policy())
        return AgentJob(spec, prompt, Toolbox(self.tools), policy, **options)

    def spec(self, name: str = "coder", **fields: Any) -> AgentSpec:
        """An agent that uses the scripted model and may use every tool of the bench."""
        values = {"model": ("openai:test-model",), "instructions": "Do it.", "tools": ("*",), **fields}
        return AgentSpec(name, **values)

    async def run(self, job: AgentJob | None = None, *, path: str = PATH) -> AgentOutcome:
        """Run a job as a fresh process would."""
        return await self.runner.run(At(self.effects(path)), job or self.job())

    def effects(self, path: str = PATH) -> Effects:
        """Fresh effects on the run's journal."""
        return Effects.open(self.journal, self.ctx, RUN, path=path, retry_budget=self.retry_budget)

    async def events(self, *types: str) -> list[Event]:
        """The run's events of some types."""
        return await self.journal.read(self.ctx, types=types or None)

    async def moves(self) -> list[str]:
        """The journaled moves of the turn machine."""
        found = await self.events("agent.turn")
        return [f"{event.data['turn']} {event.data['from']} > {event.data['to']}" for event in found]

    async def state(self, path: str = PATH) -> str:
        """Where the conversation stands."""
        return (await self.conversations.conversation(self.ctx, RUN, path)).state


@pytest.fixture
async def bench(
    database: Database, journal: Journal, bus: Bus, blobs: BlobStore, redactor: Redactor, ctx: Context
) -> AsyncIterator[Bench]:
    async with running_endpoint() as endpoint:
        providers = ProviderRegistry(
            redactor=redactor,
            settings={
                name: {"base_url": endpoint.url, "api_key": "dummy-key-1234"}
                for name in ("openai", "anthropic")
            },
            environment={},
        )
        cost = Cost(database)
        quick = RetryPolicy(attempts=2, base_s=0.001, jitter=0)
        inference = Inference(providers, cost, InferenceSettings(retry=quick, retry_with_fallback=quick))
        registry = AgentRegistry(database, journal)
        conversations = Conversations(database, journal, blobs, redactor=redactor)
        approvals = Approvals(database, journal, Engine(database, journal, bus))
        door = ToolDoor(approvals, redactor=redactor, blobs=blobs)
        runner = AgentRunner(
            inference=inference, door=door, registry=registry, conversations=conversations, redactor=redactor
        )
        yield Bench(
            ctx, database, journal, blobs, ScriptedModel(endpoint), providers, inference, registry, conversations,
            approvals, runner, cost, redactor,
        )  # fmt: skip
        await providers.close()


def said(texts: Sequence[str], *parts: str) -> bool:
    """Whether every part stands in some one of the texts."""
    return any(all(part in text for part in parts) for text in texts)
