"""The adapters pass the kit that every plugin's author runs."""

import pytest

from mosaic.providers.testing import check_plugin

pytestmark = pytest.mark.anyio


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The adapters as a package would bring them, whether or not this installation has them all."""
    folder = tmp_path / "adapters-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: adapters\nVersion: 1\n")
    lines = [f"{name} = mosaic.plugins.{name}:provider" for name in ("gemini", "cohere")]
    (folder / "entry_points.txt").write_text("\n".join(["[mosaic.providers]", *lines, ""]))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.requirement("ORC-213", "ENT-43")
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "cohere", "ollama"])
async def test_an_adapter_conforms(name):
    report = await check_plugin(name)
    assert report.passed, [finding for finding in report.findings if finding.outcome == "failed"]
