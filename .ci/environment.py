"""Prepares .venv from a committed lock. Called by `x` when its quick check says that something changed.

    environment.py LEVEL FINGERPRINT     LEVEL: run | dev | bench

Standard library only: it runs on a machine that has python3 and nothing else. Progress goes to stderr.

What makes an interrupted start heal itself: one file lock per checkout, an "installing" mark that stands until the
last step is done (found at the start, it means .venv is unfinished and is made again), and a stamp that is
written last and holds the fingerprint of everything .venv was made from.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "mosaic-stamp"
INSTALLING = VENV / "mosaic-installing"
UV_HOME = ROOT / ".uv"
LEVELS = ("run", "dev", "bench")
# Settings of the caller that would send an installation somewhere else than .venv or .uv.
_FOREIGN = (
    "CONDA_PREFIX", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH",
    "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON", "UV_TARGET", "VIRTUAL_ENV",
)  # fmt: skip
# Where systems keep the certificates they trust. uv brings its own list, which does not know a company's proxy.
_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class CannotPrepare(Exception):
    """Something a person has to mend; the message says what and how."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"x: {text}", file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """Return the environment for pip and uv: the caller's, without what would redirect them."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    kept.update(PIP_ROOT_USER_ACTION="ignore", PIP_DISABLE_PIP_VERSION_CHECK="1", UV_PYTHON_DOWNLOADS="never")
    if any(Path(bundle).exists() for bundle in _CERTIFICATES):
        kept.setdefault("UV_SYSTEM_CERTS", "1")
    home = kept.get("HOME", "")
    if not (home and os.access(home, os.W_OK)):
        kept.setdefault("UV_CACHE_DIR", str(UV_HOME / "cache"))
        kept.setdefault("PIP_CACHE_DIR", str(UV_HOME / "cache" / "pip"))
    return kept


def works(command: list[str]) -> bool:
    """Say whether `command` starts and succeeds. A pyenv shim is found by name and still does not start."""
    try:
        return subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(*command: str | Path) -> bool:
    """Run `command` with its output on stderr; say whether it succeeded."""
    shown = [str(part) for part in command]
    return subprocess.run(shown, env=environment(), stdout=sys.stderr, check=False, cwd=ROOT).returncode == 0


def base_python() -> str:
    """Return the interpreter below any virtual environment this process was started from.

    Its own file, not a link such as /usr/bin/python3: after an upgrade of the system's Python the link would start
    another version on the packages of this one; a missing file is noticed, and .venv made again.
    """
    return str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())


def find_uv() -> Path:
    """Return a uv that starts: the caller's, or our own in .uv, installed by pip when there is none.

    Raises:
        CannotPrepare: if there is no uv, and neither pip nor ensurepip to install it with.
    """
    own = [UV_HOME / "target" / "bin" / "uv", UV_HOME / "venv" / "bin" / "uv"]
    found = shutil.which("uv")
    for candidate in ([Path(found)] if found else []) + own:
        if works([str(candidate), "--version"]):
            return candidate
    say("uv is not installed here; installing it into .uv")
    for install, binary in zip((_pip_target, _pip_in_venv), own, strict=True):
        if install() and works([str(binary), "--version"]):
            return binary
    raise CannotPrepare(
        f"uv could not be installed. {base_python()} needs pip or the venv module (Debian, Ubuntu: "
        "apt-get install python3-venv), or install uv yourself; if the lines above speak of a network, mend that."
    )


_PIP_INSTALL = (
    "-m", "pip", "install", "--quiet", "--no-input", "--only-binary", ":all:", "--require-hashes",
    "-r", str(ROOT / "requirements" / "bootstrap.lock"),
)  # fmt: skip


def _pip_target() -> bool:
    """Install uv with the interpreter's own pip, beside everything else (also where pip is "externally managed")."""
    target = UV_HOME / "target"
    shutil.rmtree(target, ignore_errors=True)
    if not works([base_python(), "-m", "pip", "--version"]):
        return False
    return run(base_python(), *_PIP_INSTALL, "--target", target)


def _pip_in_venv() -> bool:
    """Install uv with the pip that a virtual environment brings along."""
    venv = UV_HOME / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    if not works([base_python(), "-m", "ensurepip", "--version"]):
        return False
    return run(base_python(), "-m", "venv", venv) and run(venv / "bin" / "python", *_PIP_INSTALL)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the checkout's install lock, so that two first starts do not write into one .venv."""
    UV_HOME.mkdir(exist_ok=True)
    with (UV_HOME / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is installing; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def stamp() -> tuple[str, str]:
    """Return the level and fingerprint .venv was made with; empty when unfinished."""
    try:
        level, _, fingerprint = STAMP.read_text().strip().partition(" ")
    except OSError:
        return "", ""
    return level, fingerprint


def usable_venv() -> bool:
    """Say whether .venv can be changed in place: finished once, and its interpreter starts."""
    python = VENV / "bin" / "python"
    return not INSTALLING.exists() and works(
        [str(python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    )


def install(level: str, fingerprint: str) -> None:
    """Make .venv hold exactly the lock of `level` and this checkout.

    Raises:
        CannotPrepare: if uv or the installation fails.
    """
    uv = find_uv()
    lock = ROOT / "requirements" / f"{level}.lock"
    packages = sum(line[0].isalnum() for line in lock.read_text().splitlines() if line)
    started = time.monotonic()
    if not usable_venv():
        if VENV.is_symlink():
            VENV.unlink()
        shutil.rmtree(VENV, ignore_errors=True)
        if not run(uv, "venv", "--quiet", "--no-project", "--python", base_python(), VENV):
            raise CannotPrepare(f"{uv} could not make .venv with {base_python()}")
    INSTALLING.touch()
    STAMP.unlink(missing_ok=True)
    say(f"installing {packages} packages from requirements/{level}.lock into .venv")
    python = VENV / "bin" / "python"
    done = run(
        uv, "pip", "sync", "--quiet", "--python", python, "--compile-bytecode", "--require-hashes", lock
    ) and run(
        uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation",
        "--offline", "--editable", ROOT,
    )  # fmt: skip
    if not done:
        raise CannotPrepare(
            "the installation failed; the lines above say why. The next start begins it anew."
        )
    INSTALLING.unlink()
    unfinished = STAMP.with_suffix(".new")
    unfinished.write_text(f"{level} {fingerprint}\n")
    unfinished.replace(STAMP)
    say(f"ready after {time.monotonic() - started:.0f} s")


def main(level: str, fingerprint: str) -> int:
    """Prepare .venv for `level`, or for the higher level it already had; return the exit status."""
    try:
        with alone():
            present, made_from = stamp()
            if present in LEVELS:
                level = max(level, present, key=LEVELS.index)
            if (present, made_from) != (level, fingerprint):
                install(level, fingerprint)
    except CannotPrepare as problem:
        say(str(problem))
        return 1
    except OSError as problem:
        say(f"{problem.strerror}: {problem.filename or ROOT}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next start begins the installation anew")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
