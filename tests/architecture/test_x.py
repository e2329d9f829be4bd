"""`./x` on a machine that has little: a real copy of the script, with a stand-in for the network's part (uv)."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

PYTHON = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
COMMANDS = [
    "sh",
    "bash",
    "cat",
    "cksum",
    "cp",
    "dirname",
    "env",
    "kill",
    "ln",
    "mkdir",
    "mkfifo",
    "readlink",
    "rm",
]

# Does what `x` needs of uv, writes down each call, and misbehaves when a file of that name asks for it.
UV = """#!/bin/sh
echo "$*" >>"$LOG/calls"
case "$*" in
    --version) [ ! -e "$LOG/broken" ] ;;
    venv*)
        for venv; do :; done
        mkdir -p "$venv/bin" && ln -s "$PYTHON" "$venv/bin/python" && ln -s "$PYTHON" "$venv/bin/python3" ;;
    *"pip sync"*)
        if [ -e "$LOG/killed" ]; then rm "$LOG/killed"; kill -9 $PPID; exit 1; fi
        if [ -e "$LOG/failing" ]; then echo "no route to the registry" >&2; exit 1; fi
        if [ -e "$LOG/gate" ]; then cat "$LOG/gate" >/dev/null; fi ;;
    *"pip install"*)
        cp "$LOG/mosaic" "$root/.venv/bin/mosaic" ;;
esac
"""
MOSAIC = """#!/bin/sh
echo "mosaic in $PWD got $# arguments: $*"
echo "process $$"
[ "${1-}" != wait ] || exec cat
exit 7
"""


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Checkout:
    """A copy of the parts of this checkout that `x` uses, in a folder with a space in its name."""

    def __init__(self, place: Path) -> None:
        self.root = place / "my checkout"
        self.log = place / "log"
        self.bin = place / "bin"
        for folder in (self.log, self.bin, place / "home", self.root / ".ci", self.root / "requirements"):
            folder.mkdir(parents=True)
        for name in ("x", ".ci/environment.py", ".ci/lock", ".ci/run", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)
        for name in ("run", "dev", "bench", "bootstrap"):
            (self.root / "requirements" / f"{name}.lock").write_text("one==1\n")
        script(self.log / "mosaic", MOSAIC)
        script(self.bin / "uv", UV.replace("$root", str(self.root)))
        for name in COMMANDS:
            if found := shutil.which(name, path="/usr/bin:/bin"):
                (self.bin / name).symlink_to(found)
        (self.bin / "python3").symlink_to(PYTHON)
        self.env = {
            "PATH": str(self.bin), "HOME": str(place / "home"), "LOG": str(self.log), "PYTHON": str(PYTHON),
        }  # fmt: skip

    def x(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.root / "x", *arguments], env=self.env, cwd=cwd or self.root.parent, capture_output=True, text=True,
            check=False, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "x", *arguments], env=self.env, cwd=self.root, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def calls(self) -> list[str]:
        """What uv was asked for, but for its version, since the last time this was asked."""
        log = self.log / "calls"
        seen = [line for line in log.read_text().splitlines() if line != "--version"] if log.exists() else []
        log.unlink(missing_ok=True)
        return [call.replace(str(self.root), "ROOT") for call in seen]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_x_alone_prints_help_and_installs_nothing(checkout):
    done = checkout.x()
    assert done.returncode == 0
    for command in ("./x up", "./x run", "./x test", "./x lock"):
        assert command in done.stdout
    assert not (checkout.root / ".venv").exists()


def test_the_first_start_installs_from_the_lock_with_hashes_then_hands_over(checkout, tmp_path):
    done = checkout.x("run", "examples/a b", "--json", cwd=tmp_path)
    assert done.returncode == 7
    assert done.stdout.splitlines()[0] == f"mosaic in {tmp_path} got 3 arguments: run examples/a b --json"
    assert "installing 1 packages from requirements/run.lock" in done.stderr
    venv, sync, editable = checkout.calls()
    assert venv.startswith("venv ")
    assert "--require-hashes" in sync
    assert sync.endswith("ROOT/requirements/run.lock")
    assert "--no-deps --no-build-isolation --offline --editable ROOT" in editable


def test_the_second_start_touches_neither_uv_nor_python(checkout):
    checkout.x("agents")
    checkout.calls()
    (checkout.bin / "uv").unlink()
    (checkout.bin / "python3").unlink()
    done = checkout.x("agents")
    assert (done.returncode, done.stderr) == (7, "")


def test_it_starts_through_a_link_from_elsewhere(checkout, tmp_path):
    (tmp_path / "link").symlink_to(checkout.root / "x")
    done = subprocess.run(
        [tmp_path / "link", "agents"], env=checkout.env, cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[0]) == (7, "mosaic in / got 1 arguments: agents")


@pytest.mark.parametrize("changed", ["requirements/run.lock", "pyproject.toml"])
def test_a_changed_source_is_installed_into_the_same_venv(checkout, changed):
    checkout.x("agents")
    checkout.calls()
    path = checkout.root / changed
    path.write_text(path.read_text() + "# changed\n")
    assert checkout.x("agents").returncode == 7
    assert [call.split(" --")[0] for call in checkout.calls()] == ["pip sync", "pip install"]
    assert checkout.x("agents").stderr == ""


def test_a_moved_checkout_is_installed_again(checkout, tmp_path):
    checkout.x("agents")
    moved = tmp_path / "elsewhere"
    checkout.root.rename(moved)
    checkout.root = moved
    script(checkout.bin / "uv", UV.replace("$root", str(moved)))
    checkout.calls()
    assert checkout.x("agents").returncode == 7
    assert "pip sync" in " ".join(checkout.calls())


def test_the_development_environment_serves_the_product_and_is_kept(checkout):
    assert checkout.x("install", "dev").returncode == 0
    assert "dev.lock" in " ".join(checkout.calls())
    assert checkout.x("agents").returncode == 7
    assert checkout.calls() == []
    (checkout.root / "requirements/run.lock").write_text("one==2\n")
    checkout.x("agents")
    assert "dev.lock" in " ".join(checkout.calls())


def test_a_failed_installation_says_why_and_the_next_start_makes_it_anew(checkout):
    (checkout.log / "failing").touch()
    done = checkout.x("agents")
    assert done.returncode == 1
    assert "no route to the registry" in done.stderr
    assert "the next start begins it anew" in done.stderr.lower()
    assert done.stdout == ""
    checkout.calls()
    (checkout.log / "failing").unlink()
    assert checkout.x("agents").returncode == 7
    assert checkout.calls()[0].startswith("venv ")


def test_an_installation_killed_halfway_heals_at_the_next_start(checkout):
    checkout.x("agents")
    (checkout.root / "requirements/run.lock").write_text("one==2\n")
    (checkout.log / "killed").touch()
    assert checkout.x("agents").returncode not in (0, 7)
    checkout.calls()
    assert checkout.x("agents").returncode == 7
    assert checkout.calls()[0].startswith("venv ")
    assert checkout.x("agents").stderr == ""


def test_two_first_starts_install_once(checkout):
    os.mkfifo(checkout.log / "gate")
    first = checkout.start("agents")
    assert "installing" in first.stderr.readline()
    second = checkout.start("agents")
    assert "waiting" in second.stderr.readline()
    (checkout.log / "gate").write_text("go")
    assert [first.wait(timeout=60), second.wait(timeout=60)] == [7, 7]
    for process in (first, second):
        process.communicate()
    assert len([call for call in checkout.calls() if call.startswith("pip sync")]) == 1


def test_signals_reach_mosaic_itself(checkout):
    checkout.x("agents")
    process = checkout.start("wait")
    process.stdout.readline()
    assert process.stdout.readline() == f"process {process.pid}\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_an_old_python_is_named_with_the_way_out(checkout):
    (checkout.bin / "python3").unlink()
    script(checkout.bin / "python3", "#!/bin/sh\necho 3.9.2\nexit 1\n")
    done = checkout.x("up")
    assert done.returncode == 1
    assert f"{checkout.bin}/python3 is 3.9.2" in done.stderr
    assert "needs Python 3.11 or newer" in done.stderr


def test_a_newer_python_beside_an_old_python3_is_found(checkout):
    (checkout.bin / "python3").unlink()
    script(checkout.bin / "python3", "#!/bin/sh\necho 3.9.2\nexit 1\n")
    (checkout.bin / "python3.11").symlink_to(PYTHON)
    assert checkout.x("agents").returncode == 7


def test_a_shim_that_names_uv_and_cannot_start_it_is_not_uv(checkout):
    (checkout.log / "broken").touch()
    checkout.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/nonexistent"}
    done = checkout.x("up")
    assert done.returncode == 1
    assert "uv could not be installed" in done.stderr
    assert "python3-venv" in done.stderr


def test_a_missing_uv_is_installed_by_pip_from_its_lock(checkout, tmp_path):
    wheel = tmp_path / "uv-1-py3-none-any.whl"
    program = UV.replace("$root", str(checkout.root))
    files = {
        "uv-1.data/scripts/uv": program,
        "uv-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: uv\nVersion: 1\n",
        "uv-1.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text.encode())}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, "uv-1.dist-info/RECORD": record + "uv-1.dist-info/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            archive.writestr(entry, text)
    digest = sha256(wheel.read_bytes()).hexdigest()
    (checkout.root / "requirements/bootstrap.lock").write_text(f"uv==1 --hash=sha256:{digest}\n")
    (checkout.bin / "uv").unlink()
    checkout.env |= {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_USER": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    done = checkout.x("agents")
    assert done.returncode == 7, done.stderr
    assert "installing it into .uv" in done.stderr
    assert (checkout.root / ".uv/target/bin/uv").exists()
    (checkout.root / "requirements/run.lock").write_text("one==2\n")
    assert "installing it into .uv" not in checkout.x("agents").stderr


def test_it_works_without_a_home(checkout):
    del checkout.env["HOME"]
    assert checkout.x("agents").returncode == 7


def test_install_takes_only_the_three_levels(checkout):
    assert checkout.x("install", "everything").returncode == 2


def test_ci_names_its_stages_when_asked_for_another(checkout):
    done = checkout.x("ci", "linting")
    assert done.returncode == 2
    assert "lint types architecture test storm docs ids web" in done.stderr
