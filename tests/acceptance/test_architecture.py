"""The house: layers and their order, one contract per provider, decisions and the documents that explain them."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mosaic.core.redaction import Redactor
from mosaic.providers import AiProvider, ProviderRegistry
from tests.acceptance.installation import ROOT

# The layers that the requirements name, and the rooms that are each of them here.
LAYERS = {
    "clients": ("cli", "api"),
    "orchestration": ("runs", "workflows", "agents"),
    "execution": ("tools", "workspaces", "inference", "engine"),
    "communication": ("events",),
    "storage": ("storage",),
}
# The modules that the requirements name, and what is each of them here.
MODULES = {
    "runtime engine": "mosaic.engine.service",
    "agent lifecycle": "mosaic.agents.turns",
    "runtime context": "mosaic.core.context",
    "workflow loader": "mosaic.workflows.loader",
    "workflow validator": "mosaic.workflows.checks",
    "workflow patterns": "mosaic.workflows.interpreter",
    "handoffs": "mosaic.agents.handoff",
    "session": "mosaic.agents.conversations",
    "tool registry": "mosaic.tools.toolbox",
    "tool executor": "mosaic.tools.service",
    "built-in tools": "mosaic.tools.builtin",
    "events": "mosaic.events.journal",
    "streaming": "mosaic.api.live",
    "database": "mosaic.storage.database",
    "artifacts": "mosaic.runs.artifacts",
    "logging": "mosaic.observability.logs",
    "entry point": "mosaic.cli.main",
}


def contracts() -> list[dict[str, Any]]:
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"])


@pytest.mark.requirement("MAOS-01", "STK-02", "ENT-01", "MAOS-45")
def test_the_layers_stand_in_one_order_and_nothing_reaches_up() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
    order = [room.strip("() ") for layer in contracts()[0]["layers"] for room in layer.split("|")]
    heights = {layer: [order.index(room) for room in rooms] for layer, rooms in LAYERS.items()}
    for above, below in zip(list(LAYERS)[:2], list(LAYERS)[1:3], strict=True):
        assert max(heights[above]) < min(heights[below]), f"{above} stands above {below}"
    assert max(heights["execution"]) < min(heights["communication"]) < min(heights["storage"])


@pytest.mark.requirement("MOZ-131")
def test_the_modules_of_the_map_are_there_and_say_what_they_are() -> None:
    assert [name for name, module in MODULES.items() if not importlib.import_module(module).__doc__] == []


@pytest.mark.requirement("ORC-91", "ORC-92", "ORC-94", "ORC-100", "ORC-103")
@pytest.mark.anyio
async def test_every_provider_plugin_describes_itself_and_honours_the_typed_interface() -> None:
    registry = ProviderRegistry(
        redactor=Redactor(),
        environment={"ANTHROPIC_API_KEY": "dummy-key-1234", "OPENAI_API_KEY": "dummy-key-1234"},
    )
    try:
        assert registry.names() == ["anthropic", "cohere", "gemini", "ollama", "openai", "scripted"]
        for name in registry.names():
            manifest = registry.manifest(name)
            assert (manifest.id, manifest.kind) == (name, "ai")
            assert manifest.version
            assert manifest.configuration["type"] == "object"
            assert isinstance(registry.ai(name), AiProvider)
    finally:
        await registry.close()


@pytest.mark.requirement("MAOS-47")
def test_decisions_are_recorded_with_their_context_consequences_alternatives_and_check() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert len(decisions) >= 10
    listed = (ROOT / "docs" / "decisions" / "index.md").read_text()
    for decision in decisions:
        headings = re.findall(r"^## (.*)$", decision.read_text(), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives", "Check"], decision
        assert decision.name in listed


@pytest.mark.requirement("MAOS-49", "ORC-244")
def test_the_documentation_holds_an_overview_references_guides_decisions_and_a_security_page() -> None:
    documents = (
        "docs/explanation/architecture.md",
        "docs/reference/rest.md",
        "docs/reference/cli.md",
        "docs/reference/workflows.md",
        "docs/reference/agents.md",
        "docs/reference/providers.md",
        "docs/howto/use-postgresql.md",
        "docs/decisions/index.md",
        "SECURITY.md",
    )
    assert [name for name in documents if len((ROOT / name).read_text()) < 500] == []
    assert "## Plugins" in (ROOT / "docs/reference/providers.md").read_text()
