"""The coding agents, installed, and a gateway over scripted vendors for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

from mosaic.core.values import JsonObject
from mosaic.cost import NewBudget
from mosaic.providers.testing.endpoint import running_endpoint
from tests.app.site import WAIT_S, database
from tests.gateway.agents.driving import Drive, Finished, Worktree, claude_code, codex
from tests.gateway.agents.installation import Binaries, NotInstalled, cache, installed
from tests.gateway.agents.scripted import ScriptedVendor, Turn
from tests.gateway.conftest import GatewaySite, open_gateway

Upstream = Literal["anthropic", "responses", "openai"]
"""Anthropic, OpenAI as Codex knows it, and a server that speaks only OpenAI's chat completions."""

MODELS: dict[Upstream, str] = {
    "anthropic": "claude-sonnet-5-5",
    "responses": "gpt-6.1-sol",
    "openai": "gpt-6.1-sol",
}
TASK = "Make greeting.txt greet the world."
_DRIVES: dict[str, Callable[..., Drive]] = {"claude": claude_code, "codex": codex}


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The agents' programs."""
    try:
        return installed()
    except NotInstalled as error:
        pytest.fail(str(error), pytrace=False)


@dataclass
class Desk:
    """A gateway, its vendors, and a worktree for an agent.

    Attributes:
        vendors: by name.
        key_id, key: the agent's virtual key.
    """

    site: GatewaySite
    vendors: dict[Upstream, ScriptedVendor]
    worktree: Worktree
    binaries: Binaries
    home: Path
    key_id: str
    key: str

    async def run(self, agent: str, model: str, task: str = TASK) -> Finished:
        """Have `claude` or `codex` do the task, with a model of this name."""
        program = getattr(self.binaries, agent)
        drive = _DRIVES[agent](
            program, self.worktree, self.home, url=self.site.url, key=self.key, model=model, task=task
        )
        return await drive.finish()

    async def limit(self, dollars: float) -> None:
        """Give the agent's key no more than this."""
        budget = NewBudget(scope="key", subject=self.key_id, nanos=round(dollars * 1_000_000_000))
        await self.site.application.model.limits.set(self.site.ctx, budget)
        await self.site.application.model.budgets.refresh()

    def plays(self, upstream: Upstream, *turns: Turn) -> ScriptedVendor:
        """Have the upstream's model say these; return the upstream."""
        self.vendors[upstream].plays(MODELS[upstream], *turns)
        return self.vendors[upstream]

    async def calls(self) -> list[JsonObject]:
        """What the ledger has of the agent's key."""
        return [call for call in await self.site.ledger() if call.get("key") == self.key_id]


@pytest.fixture
async def desk(request: pytest.FixtureRequest, binaries: Binaries) -> AsyncIterator[Desk]:
    """A desk whose gateway knows the vendors and no routes yet."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(3 * WAIT_S))
        # Not where temporary files are: what runs there may often be written by sandboxed programs too.
        folder = Path(
            stack.enter_context(TemporaryDirectory(dir=cache(), prefix="desk-", ignore_cleanup_errors=True))
        )
        url = stack.enter_context(database(request, "sqlite", folder))
        openai = await stack.enter_async_context(running_endpoint())
        providers = {"responses": {"plugin": "openai", "api": "responses", "base_url": openai.url + "/v1"}}
        site = await stack.enter_async_context(open_gateway(folder / "gateway", url, providers=providers))
        vendors: dict[Upstream, ScriptedVendor] = {
            "anthropic": ScriptedVendor("anthropic", site.anthropic),
            "responses": ScriptedVendor("openai", openai),
            "openai": ScriptedVendor("openai", site.openai),
        }
        key_id, key = await site.new_key("agent")
        yield Desk(site, vendors, Worktree.make(folder / "work"), binaries, folder / "home", key_id, key)
