"""Sandboxes elsewhere: the worktree travels, and what comes back is not trusted."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mosaic.core.errors import ContractViolation, Unavailable
from mosaic.tools.sandbox import Hold, Job
from mosaic.tools.sandbox import daytona as daytona_module
from mosaic.tools.sandbox.conformance import CHECKS, Check, grounds
from mosaic.tools.sandbox.daytona import DaytonaSandbox
from mosaic.tools.sandbox.e2b import E2bSandbox
from tests.tools.sandbox.daytona_endpoint import KEY, Endpoint, daytona_endpoint

pytestmark = pytest.mark.anyio


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with daytona_endpoint() as made:
        monkeypatch.setenv("DAYTONA_API_KEY", KEY)
        monkeypatch.setenv("DAYTONA_API_URL", f"{made.url}/api")
        monkeypatch.setattr(daytona_module, "_POLL_S", 0.01)
        yield made


@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check.hold is None and not check.local],
    ids=lambda check: check.name,
)
async def test_what_every_driver_does(endpoint: Endpoint, check: Check) -> None:
    async with grounds(DaytonaSandbox()) as on:
        await check.attempt(on)
    assert len(endpoint.deleted) == len(endpoint.created) > 0


async def test_a_sandbox_is_asked_for_on_our_terms_and_always_deleted(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    sandbox = DaytonaSandbox(snapshot="python-312")
    await sandbox.run(Job(("true",), tmp_path))
    await sandbox.run(Job(("true",), tmp_path, network=True))
    first, second = endpoint.created
    assert (first["networkBlockAll"], second["networkBlockAll"]) == (True, False)
    assert first["snapshot"] == "python-312"
    assert first["autoDeleteInterval"] == 0
    assert 0 < first["ttlMinutes"] < 60
    endpoint.spoils = b"nonsense"
    with pytest.raises(ContractViolation, match="no usable archive"):
        await sandbox.run(Job(("true",), tmp_path))
    assert endpoint.deleted == ["sb1", "sb2", "sb3"]
    assert KEY not in str(endpoint.created)


async def test_changes_come_back_and_git_does_not_travel(endpoint: Endpoint, tmp_path: Path) -> None:
    workspace, scratch = tmp_path / "run", tmp_path / "run.scratch"
    for directory in (workspace / ".git", workspace / "sub", scratch):
        directory.mkdir(parents=True)
    (workspace / ".git" / "config").write_text("ours")
    for name in ("kept", "changed", "gone", "sub/gone"):
        (workspace / name).write_text(name)
    script = "ls -A; echo more >> changed; rm gone sub/gone; mkdir new .git; echo x > new/file; echo x > .git/config; pwd >&2"
    done = await DaytonaSandbox().run(
        Job(("sh", "-c", script), scratch, workspace, environment={"X": "a b'c"})
    )
    assert ".git" not in done.stdout.text.split()
    assert (workspace / ".git" / "config").read_text() == "ours"
    assert (workspace / "changed").read_text() == "changedmore\n"
    assert sorted(os.listdir(workspace)) == [".git", "changed", "kept", "new", "sub"]
    assert os.listdir(workspace / "sub") == []
    assert (workspace / "new" / "file").read_text() == "x\n"


def hostile(outside: Path) -> bytes:
    """An archive as an attacker would send it back."""
    after = io.BytesIO()
    with tarfile.open(fileobj=after, mode="w:gz") as archive:
        for name in ("../outside", f"{outside}", "./../../x", ".git/hooks/pre-commit", "a/.GIT/config", "ok"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        for name, kind, target in (
            ("link", tarfile.SYMTYPE, str(outside)),
            ("link/through", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "../outside"),
            ("dev", tarfile.CHRTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w") as archive:
        parts = {
            "code": b"0",
            "out.size": b"0",
            "out.first": b"",
            "out.last": b"",
            "err.size": b"0",
            "err.first": b"",
            "err.last": b"",
        }
        for name, data in {**parts, "after.tar.gz": after.getvalue()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return result.getvalue()


async def test_what_comes_back_stays_inside(endpoint: Endpoint, tmp_path: Path) -> None:
    workspace, scratch, outside = tmp_path / "w" / "run", tmp_path / "w" / "run.scratch", tmp_path / "outside"
    for directory in (workspace, scratch, outside):
        directory.mkdir(parents=True)
    (outside / "file").write_text("untouched")
    (workspace / "planted").symlink_to(outside)
    endpoint.spoils = hostile(outside)
    await DaytonaSandbox().run(Job(("true",), scratch, workspace))
    assert os.listdir(outside) == ["file"]
    assert (outside / "file").read_text() == "untouched"
    assert sorted(os.listdir(tmp_path / "w")) == ["run", "run.scratch"]
    assert not (workspace / ".git").exists()
    assert (workspace / "ok").read_text() == "evil"
    assert not any(path.is_symlink() for path in workspace.rglob("*"))


async def test_a_timeout_is_told(endpoint: Endpoint, tmp_path: Path) -> None:
    done = await DaytonaSandbox().run(Job(("sh", "-c", "echo began; sleep 30"), tmp_path, timeout_s=0.3))
    assert done.timed_out
    assert done.stdout.text == "began\n"


async def test_a_probe_says_what_is_missing_or_tries(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = await DaytonaSandbox().probe()
    assert probe.works
    assert {Hold.WRITES, Hold.READS, Hold.NETWORK} <= probe.holds
    assert set(probe.gaps) == {Hold.PROCESSES}
    endpoint.refuses = 401
    refused = await DaytonaSandbox().probe()
    assert not refused.works
    assert refused.fix == "Check DAYTONA_API_KEY."
    assert KEY not in refused.detail
    monkeypatch.setenv("DAYTONA_API_URL", "http://127.0.0.1:9")
    assert "not reached" in (await DaytonaSandbox().probe()).detail
    for variable in ("DAYTONA_API_KEY", "E2B_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for sandbox in (DaytonaSandbox(), E2bSandbox()):
        probe = await sandbox.probe()
        assert not probe.works
        assert "is not set" in probe.detail
        with pytest.raises(Unavailable, match="is not set"):
            await sandbox.run(Job(("true",), Path("/tmp")))
