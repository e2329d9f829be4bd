"""Which sandbox a command gets, and what it is started with."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mosaic.core.errors import PermissionDenied, ToolFailed
from mosaic.tools.processes.warden.seccomp import filter_program
from mosaic.tools.sandbox import (
    Doors,
    Hold,
    Job,
    Limits,
    NoSandbox,
    Sandboxes,
    SandboxSettings,
    groups,
    native,
)
from mosaic.tools.sandbox.bubblewrap import BubblewrapSandbox
from mosaic.tools.sandbox.conformance import CHECKS, NotHeld, grounds
from mosaic.tools.sandbox.places import git_places, installation_of, program_places
from tests.tools.sandbox.drivers import driver

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})


async def test_bubblewrap_comes_first_and_native_is_there_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    await driver("native")
    await driver("bubblewrap")
    assert (await Sandboxes().chosen(network=False)).name == "bubblewrap"
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/bin-without-bubblewrap")
    assert (await Sandboxes().chosen(network=False)).name == "native"


async def test_a_driver_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    await driver("native")
    tried = 0
    real = native.NativeSandbox.probe

    async def counted(self: native.NativeSandbox) -> object:
        nonlocal tried
        tried += 1
        return await real(self)

    monkeypatch.setattr(native.NativeSandbox, "probe", counted)
    for _ in range(3):
        assert (await Sandboxes(SandboxSettings(driver="native")).chosen(network=False)).name == "native"
    assert tried == 1


@pytest.mark.parametrize(
    ("setting", "allowed", "granted", "network", "doors"),
    [
        ("none", True, True, False, False),
        ("policy", True, True, True, False),
        ("policy", True, False, False, False),
        ("host", True, False, True, False),
        ("host", False, False, False, False),
        ("gateway", True, True, False, True),
        ("gateway", True, False, False, False),
    ],
)
async def test_the_network_takes_settings_and_policy(
    setting: str, allowed: bool, granted: bool, network: bool, doors: bool
) -> None:
    sandboxes = Sandboxes(SandboxSettings(network=setting))  # type: ignore[arg-type]  # one of them
    assert sandboxes.gives_network(allowed, granted=granted) is network
    assert sandboxes.gives_doors(allowed, granted=granted) is doors


async def test_what_cannot_show_a_socket_gives_no_doors_rather_than_a_network(tmp_path: Path) -> None:
    await driver("native")
    doors = Doors(tmp_path / "doors", "mk-key")
    job = Job(("true",), tmp_path, doors=doors)
    with pytest.raises(NoSandbox, match="cannot give a command the gateway alone"):
        await Sandboxes(SandboxSettings(driver="native", network="gateway")).run(job)


async def test_without_namespaces_native_says_what_it_cannot_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container that forbids them: Landlock and the filter of system calls are what is left."""
    await driver("native")
    monkeypatch.setattr(native, "namespaces_work", lambda: False)
    sandboxes = Sandboxes(SandboxSettings(driver="native"))
    probe = await sandboxes.probe("native")
    assert probe.works
    assert {Hold.METADATA, Hold.GIT} <= probe.gaps.keys()
    assert {Hold.WRITES, Hold.READS, Hold.ENVIRONMENT, Hold.NETWORK} <= probe.holds
    for check in CHECKS:
        if check.hold in (Hold.WRITES, Hold.READS, Hold.ENVIRONMENT, Hold.NETWORK):
            async with grounds(sandboxes.driver("native")) as on:
                await check.attempt(on)
    broken = 0
    for check in CHECKS:
        if check.hold in (Hold.METADATA, Hold.GIT):
            async with grounds(sandboxes.driver("native")) as on:
                try:
                    await check.attempt(on)
                except NotHeld:
                    broken += 1
    assert broken, "what it does not claim it does not hold"


async def test_without_control_groups_amounts_are_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "bubblewrap" if (await Sandboxes().probe("bubblewrap")).works else "native"
    await driver(name)
    monkeypatch.setattr(groups, "_homes", tuple)
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    probe = await Sandboxes().probe(name)
    assert probe.works
    assert {Hold.MEMORY, Hold.CPU} <= probe.gaps.keys()
    # Nobody but the superuser gets past the kernel's own limit.
    assert (Hold.PROCESSES in probe.gaps) is (os.getuid() == 0)


async def test_what_a_probe_does_not_understand_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt to break out does break out where nothing holds it."""
    off = Sandboxes().driver("off")
    probe = await off.try_out("nothing", gaps={})  # type: ignore[attr-defined]  # as the drivers use it
    assert probe.works
    held = {Hold.WRITES, Hold.METADATA, Hold.READS, Hold.NETWORK, Hold.ENVIRONMENT, Hold.GIT}
    assert held <= probe.gaps.keys()


async def test_a_broken_bubblewrap_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    probe = await BubblewrapSandbox().probe()
    assert not probe.works
    assert "No permissions to create new namespace" in probe.detail
    assert "unprivileged_userns" in str(probe.fix)


async def test_a_program_that_is_missing_is_said_in_our_words(tmp_path: Path) -> None:
    for name in ("bubblewrap", "native"):
        if (await Sandboxes().probe(name)).works:
            with pytest.raises(ToolFailed, match="Cannot start no-such-program: No such file"):
                await Sandboxes().driver(name).run(Job(("no-such-program",), tmp_path))
            with pytest.raises(ToolFailed, match="Cannot enter"):
                await Sandboxes().driver(name).run(Job(("true",), tmp_path, directory=tmp_path / "absent"))


async def test_control_groups_are_gone_afterwards(tmp_path: Path) -> None:
    sandbox = await driver("native", Hold.MEMORY)
    await asyncio.gather(*(sandbox.run(Job(("sh", "-c", "sleep 0.1"), tmp_path)) for _ in range(4)))
    for home in groups._homes():
        assert not list(home.path.glob(f"mosaic-{os.getpid()}-*"))


def test_no_home_directory_and_no_branch_of_the_system_is_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspaces" / "run"
    workspace.mkdir(parents=True)
    home = str(Path.home())
    monkeypatch.setenv(
        "PATH", os.pathsep.join([home, "/", "/home", str(tmp_path), f"{home}/.local/bin", "."])
    )
    places = program_places(workspace, (Path("/etc"), tmp_path / "workspaces", tmp_path / "tools", Path("~")))
    assert not {Path(home), Path("/"), Path("/home"), tmp_path, Path("/etc"), workspace.parent} & set(places)
    assert not any(workspace.is_relative_to(place) for place in places)
    (tmp_path / "tools").mkdir()
    assert tmp_path / "tools" in program_places(workspace, (tmp_path / "tools",))


def test_a_server_reads_what_belongs_to_its_program(tmp_path: Path) -> None:
    workspace = tmp_path / "workspaces" / "run"
    script = tmp_path / "app" / "node_modules" / "@x" / "server" / "dist" / "index.js"
    venv = tmp_path / "venv" / "bin" / "tool"
    plain = tmp_path / "plain" / "server.py"
    for file in (script, venv, plain, tmp_path / "venv" / "pyvenv.cfg"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert installation_of(str(script), workspace) == (tmp_path / "app" / "node_modules",)
    assert installation_of(str(venv), workspace) == (tmp_path / "venv",)
    assert installation_of(str(plain), workspace) == (tmp_path / "plain",)
    assert installation_of(str(Path.home()), workspace) == ()
    assert installation_of("--flag", workspace) == ()
    assert installation_of("relative/path", workspace) == ()


def test_git_of_a_linked_worktree_is_readable_only_when_it_points_back(tmp_path: Path) -> None:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path / "source")]
    (tmp_path / "source").mkdir()
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*run, *command], check=True)
    workspace = tmp_path / "work" / "run"
    subprocess.run([*run, "worktree", "add", "-q", str(workspace)], check=True)
    assert git_places(workspace).readable == (tmp_path / "source" / ".git",)
    other = tmp_path / "work" / "other"
    other.mkdir()
    (other / ".git").write_text((workspace / ".git").read_text())
    assert git_places(other).readable == ()
    (other / ".git").unlink()
    (other / ".git").symlink_to(workspace / ".git")
    with pytest.raises(PermissionDenied, match="is a link"):
        git_places(other)


def test_the_filter_is_a_program_for_this_machine() -> None:
    strict, loose = filter_program(network=False, unix=False), filter_program(network=True, unix=True)
    assert len(strict) % 8 == len(loose) % 8 == 0
    assert len(strict) < len(loose) < 4096 * 8


async def test_system_calls_that_no_build_needs_are_refused(tmp_path: Path) -> None:
    script = (
        "import ctypes, errno\nl = ctypes.CDLL(None, use_errno=True)\n"
        "for n in (321, 298, 323, 248, 250, 165, 272, 308, 425, 175):\n"
        "  r = l.syscall(n, 0, 0, 0, 0, 0, 0)\n  print(n, r, errno.errorcode.get(ctypes.get_errno()))"
    )
    for name in ("bubblewrap", "native"):
        if (await Sandboxes().probe(name)).works and os.uname().machine == "x86_64":
            done = await Sandboxes().driver(name).run(Job(("python3", "-c", script), tmp_path))
            assert {line.split()[2] for line in done.stdout.text.splitlines()} <= {"EPERM", "ENOSYS"}, (
                done.stdout.text
            )


async def test_limits_come_from_the_settings(tmp_path: Path) -> None:
    sandboxes = Sandboxes(SandboxSettings(limits=Limits(file_bytes=1_000)))
    await sandboxes.run(replace(Job(("sh", "-c", "head -c 5000 /dev/zero > big"), tmp_path), limits=Limits()))
    assert (tmp_path / "big").stat().st_size <= 1_000
