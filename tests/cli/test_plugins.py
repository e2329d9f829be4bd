"""`mosaic plugins`: what there is, what it can do, and the kit on the command line."""

import json
from pathlib import Path

import pytest

from tests.cli.process import start

pytestmark = pytest.mark.anyio


async def said(*args: str, home: Path, status: int = 0) -> str:
    home.parent.mkdir(parents=True, exist_ok=True)
    async with start("plugins", *args, home=home) as process:
        code, out, err = await process.ended()
    assert code == status, (out, err)
    return out + err


@pytest.mark.requirement("ORC-243", "ORC-95")
async def test_a_plugin_is_written_found_checked_and_shown(home: Path) -> None:
    await said("new", "acme", home=home)
    rows = {row["name"]: row for row in json.loads(await said("list", "--json", home=home))["items"]}
    assert {"acme", "openai", "scripted"} <= set(rows)
    assert (rows["acme"]["origin"], rows["acme"]["status"]) == ("folder", "unconfigured")
    assert "conforms" in await said("check", "acme", home=home)
    shown = json.loads(await said("show", "acme", "--json", home=home))
    assert shown["manifest"]["permissions"] == {"network": ["configured"], "environment": [], "files": []}
    assert shown["capabilities"]["tools"] == {"level": "unsupported", "reason": "the API has no tools"}
    assert "unsupported" in await said("show", "acme", home=home)


async def test_a_plugin_that_does_not_conform_gives_a_status_and_says_what(home: Path) -> None:
    await said("new", "forge", "--kind", "git", home=home)
    path = home / "plugins" / "forge" / "provider.py"
    path.write_text(path.read_text().replace("/{id}", "/{id}/x"))
    report = json.loads(await said("check", str(path.parent), "--json", home=home, status=1))
    assert not report["passed"]
    assert "FAILED" in await said("check", "forge", home=home, status=1)


@pytest.mark.requirement("ORC-217")
async def test_the_matrix_is_printed_for_people_and_programs(home: Path) -> None:
    assert "complete" in await said("matrix", home=home)
    rows = json.loads(await said("matrix", "--json", home=home))["items"]
    assert {row["provider"] for row in rows} >= {"anthropic", "ollama", "openai", "scripted"}


@pytest.mark.parametrize("name", ["Acme", "a/b"])
async def test_a_name_that_cannot_be_one_is_a_wrong_input(home: Path, name: str) -> None:
    assert "cannot be a plugin's name" in await said("new", name, home=home, status=2)
