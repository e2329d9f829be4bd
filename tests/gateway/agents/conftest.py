"""The coding agents, installed, and a gateway over scripted vendors for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mosaic.core.values import JsonObject
from mosaic.cost import NewBudget
from tests.app.site import WAIT_S, database
from tests.gateway.agents.driving import Drive, Finished, Worktree, claude_code, codex
from tests.gateway.agents.installation import Binaries, NotInstalled, installed
from tests.gateway.agents.scripted import ScriptedVendor
from tests.gateway.clients.upstreams import Vendor
from tests.gateway.conftest import GatewaySite, open_gateway

MODELS: dict[Vendor, str] = {"openai": "gpt-6.1-sol", "anthropic": "claude-sonnet-5-5"}
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
    vendors: dict[Vendor, ScriptedVendor]
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

    async def calls(self) -> list[JsonObject]:
        """What the ledger has of the agent's key."""
        return [call for call in await self.site.ledger() if call.get("key") == self.key_id]


@pytest.fixture
async def desk(request: pytest.FixtureRequest, binaries: Binaries, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk whose gateway knows both vendors and no routes yet."""
    with database(request, "sqlite", tmp_path) as url:
        async with asyncio.timeout(3 * WAIT_S), open_gateway(tmp_path / "gateway", url) as site:
            vendors: dict[Vendor, ScriptedVendor] = {
                "openai": ScriptedVendor("openai", site.openai),
                "anthropic": ScriptedVendor("anthropic", site.anthropic),
            }
            key_id, key = await site.new_key("agent")
            worktree = Worktree.make(tmp_path / "work")
            yield Desk(site, vendors, worktree, binaries, tmp_path / "home", key_id, key)
