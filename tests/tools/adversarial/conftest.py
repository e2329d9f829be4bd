"""Every test here runs on the real sandbox, once for each driver that works here and claims to hold it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mosaic.tools import Hold, Invocation, Sandboxes, SandboxSettings
from mosaic.tools.builtin import run_shell
from tests.tools.sandbox.drivers import LOCAL, driver


@dataclass
class Attacker:
    """Somebody who may run any command through the tool, and nothing else."""

    invocation: Invocation

    async def run(self, command: str | None = None, **arguments: Any) -> dict[str, Any]:
        """Run a command as an agent would; returns the content of the result."""
        if command is not None:
            arguments["command"] = command
        content = (await run_shell.call(self.invocation, arguments)).content
        assert isinstance(content, dict)
        return content


@pytest.fixture(params=LOCAL)
async def attacker(request: pytest.FixtureRequest, invocation: Invocation) -> Attacker:
    await driver(request.param, Hold.WRITES, Hold.READS, Hold.ENVIRONMENT, Hold.NETWORK)
    image = os.environ.get("MOSAIC_TEST_DOCKER_IMAGE")
    sandboxes = Sandboxes(SandboxSettings(driver=request.param, image=image))
    return Attacker(replace(invocation, sandboxes=sandboxes))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the worktrees with something worth stealing."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "secret").write_text("a secret of the host")
    return made
