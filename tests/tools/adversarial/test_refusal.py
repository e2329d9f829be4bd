"""Where nothing holds what is required, a risky call is refused with the reason and the fix."""

from dataclasses import replace

import pytest

from mosaic.tools import Hold, Invocation, NoSandbox, Sandboxes, SandboxSettings, model_result
from mosaic.tools.builtin import run_shell

pytestmark = pytest.mark.anyio


def without(monkeypatch: pytest.MonkeyPatch, *, landlock: bool) -> None:
    """Take bubblewrap off the PATH and, unless it stays, Landlock out of this kernel's answers."""
    monkeypatch.setenv("PATH", "/nonexistent")
    if not landlock:
        monkeypatch.setattr("mosaic.tools.sandbox.native.confinement_version", lambda: 0)


async def test_nothing_here_holds_what_is_required(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, landlock=False)
    refused = replace(invocation, sandboxes=Sandboxes(SandboxSettings(readable=())))
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    with pytest.raises(NoSandbox) as caught:
        await run_shell.call(refused, {"command": "touch ran"})
    assert "bubblewrap is not installed" in caught.value.message
    assert "no Landlock" in caught.value.message
    assert "apt-get install bubblewrap" in str(caught.value.hint)
    assert invocation.workspace is not None
    assert not (invocation.workspace / "ran").exists()
    assert model_result(caught.value) is not None, "the model reads why"


async def test_a_driver_that_is_named_does_not_give_way_to_another(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, landlock=True)
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    named = replace(invocation, sandboxes=Sandboxes(SandboxSettings(driver="bubblewrap")))
    with pytest.raises(NoSandbox, match="bubblewrap is not installed"):
        await run_shell.call(named, {"command": "true"})


@pytest.mark.parametrize(("driver", "needs"), [("e2b", "E2B_API_KEY"), ("daytona", "DAYTONA_API_KEY")])
async def test_a_sandbox_elsewhere_without_credentials_is_no_sandbox(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch, driver: str, needs: str
) -> None:
    monkeypatch.delenv(needs, raising=False)
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    elsewhere = replace(invocation, sandboxes=Sandboxes(SandboxSettings(driver=driver)))  # type: ignore[arg-type]  # one of them
    with pytest.raises(NoSandbox) as caught:
        await run_shell.call(elsewhere, {"command": "true"})
    assert needs in f"{caught.value.message} {caught.value.hint}"


async def test_what_nothing_holds_is_named(invocation: Invocation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mosaic.tools.sandbox.local.holds_by_groups", frozenset[Hold])
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    strict = Sandboxes(SandboxSettings(driver="native", require=frozenset({Hold.CPU})))
    with pytest.raises(NoSandbox, match="cpu: No control group can be made here") as caught:
        await run_shell.call(replace(invocation, sandboxes=strict), {"command": "true"})
    assert caught.value.data["missing"] == ["cpu"]


async def test_an_approver_reads_where_it_would_run(
    invocation: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = replace(invocation, sandboxes=Sandboxes(SandboxSettings(driver="off")))
    assert "without a sandbox" in str((await run_shell.preview(off, {"command": "true"}))["note"])
    without(monkeypatch, landlock=False)
    monkeypatch.setattr("mosaic.tools.sandbox.selection._probes", {})
    assert "would be refused" in str((await run_shell.preview(invocation, {"command": "true"}))["note"])
