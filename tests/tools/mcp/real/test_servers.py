"""MCP servers that other people wrote, through the door: filesystem (npm), git and time (PyPI), by policy and approval."""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mosaic.core.errors import PolicyDenied
from mosaic.core.values import JsonObject
from tests.app.site import Site, database, open_site, settings_of
from tests.tools.mcp.real.installation import Servers, installed

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

POLICIES = {"time.convert_time": "deny", "git2.git_commit": "ask"}


@pytest.fixture(scope="session")
def servers() -> Servers:
    return installed()


@pytest.fixture(scope="module")
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    folder = tmp_path_factory.mktemp("real")
    with database(request, "sqlite", folder) as url:
        async with open_site(settings_of(folder / "home", url, policies=POLICIES), folder, http=True) as site:
            yield site


async def answered(site: Site, waiting: JsonObject, *, approve: bool) -> JsonObject:
    """Answer what a call waits for and return how it ended."""
    assert waiting["status"] == "waiting", waiting
    await site.client.decide(waiting["approval"], {"approve": approve})
    result = await site.application.outside.calls.wait(site.ctx, waiting["call_id"], timeout_s=60)
    return result.to_json()


async def test_the_filesystem_server_reads_freely_and_writes_when_a_person_says_yes(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "notes.txt").write_text("the answer is 42\n")
    (tmp_path / "outside.txt").write_text("not for you\n")
    added = await site.client.add_server(
        {"name": "disk", "command": [*servers.filesystem, str(root)], "trust_annotations": True}
    )
    risks = {tool["name"]: tool["risk"] for tool in added["tools"]}
    assert risks["disk.read_text_file"] == "read_only"
    assert risks["disk.write_file"] == "destructive"

    read = await site.client.call_tool("disk.read_text_file", {"path": str(root / "notes.txt")})
    assert "42" in json.dumps(read["result"]["content"])
    outside = await site.client.call_tool("disk.read_text_file", {"path": str(tmp_path / "outside.txt")})
    assert outside["result"]["is_error"]
    assert "not for you" not in json.dumps(outside)

    wanted = {"path": str(root / "new.txt"), "content": "hello"}
    waiting = await site.client.call_tool("disk.write_file", wanted)
    assert not (root / "new.txt").exists()
    refused = await answered(site, waiting, approve=False)
    assert refused["is_error"]
    assert not (root / "new.txt").exists()
    written = await answered(site, await site.client.call_tool("disk.write_file", wanted), approve=True)
    assert "is_error" not in written
    assert (root / "new.txt").read_text() == "hello"
    audited = await site.application.journal.read(site.ctx, types=("tool.called",))
    assert any(event.data["tool"] == "disk.write_file" and event.data["approved_by"] for event in audited)


async def test_the_git_server_shows_history_and_commits_only_after_a_yes(
    site: Site, servers: Servers, tmp_path: Path
) -> None:
    def git(*args: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=T", "-c", "user.email=t@example.com", *args],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    git("init", "-q")
    git("config", "user.name", "T")
    git("config", "user.email", "t@example.com")
    (tmp_path / "a.txt").write_text("one\n")
    git("add", "a.txt")
    git("commit", "-q", "-m", "first commit of all")
    command = [*servers.git, "--repository", str(tmp_path)]
    await site.client.add_server({"name": "git2", "command": command, "trust_annotations": True})
    repo = {"repo_path": str(tmp_path)}
    log = await site.client.call_tool("git2.git_log", repo)
    log = log if log["status"] == "completed" else {"result": await answered(site, log, approve=True)}
    assert "first commit of all" in json.dumps(log["result"]["content"])

    (tmp_path / "b.txt").write_text("two\n")
    git("add", "b.txt")
    waiting = await site.client.call_tool("git2.git_commit", {**repo, "message": "second"})
    assert git("rev-list", "--count", "HEAD").strip() == "1"
    await answered(site, waiting, approve=True)
    assert git("log", "-1", "--format=%s").strip() == "second"


async def test_the_time_server_answers_and_what_the_policy_denies_is_not_called(
    site: Site, servers: Servers
) -> None:
    command = [*servers.time, "--local-timezone", "UTC"]
    await site.client.add_server({"name": "time", "command": command, "trust_annotations": True})
    now = await site.client.call_tool("time.get_current_time", {"timezone": "Europe/Berlin"})
    result = now["result"] if now["status"] == "completed" else await answered(site, now, approve=True)
    assert "Europe/Berlin" in json.dumps(result["content"])
    asked = {"source_timezone": "UTC", "target_timezone": "Asia/Tokyo", "time": "12:00"}
    with pytest.raises(PolicyDenied, match=r"time\.convert_time"):
        await site.client.call_tool("time.convert_time", asked)
