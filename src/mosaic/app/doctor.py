"""What works on this machine and in this installation, and the next step for what does not."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mosaic.app.presence import find_server
from mosaic.app.settings import Settings, load_settings
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject

__all__ = ["Finding", "examine"]

_LEAST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "failed"]
    message: str
    hint: str | None = None

    def to_json(self) -> JsonObject:
        """Return the finding as JSON."""
        return asdict(self)


async def examine(home: Path | None) -> list[Finding]:
    """Look at everything; a check that fails is a finding, never an exception."""
    findings = [_python(), _program("git", "Install git; workspaces are git worktrees.")]
    try:
        settings = load_settings(home)
    except MosaicError as error:
        problems = "; ".join(str(problem) for problem in getattr(error, "problems", ()))
        return [*findings, Finding("settings", "failed", f"{error.message} {problems}".strip(), error.hint)]
    findings += [_settings(settings), _data(settings), _server(settings), _sandbox()]
    checks: tuple[Callable[[Settings], Awaitable[list[Finding]]], ...] = (_database, _models)
    for check in checks:
        try:
            findings += await check(settings)
        except MosaicError as error:
            findings.append(Finding(check.__name__.strip("_"), "failed", error.message, error.hint))
    return findings


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _program(name: str, hint: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "failed", f"{name} is not on the PATH.", hint)
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  # a program of the PATH, no input
    return Finding(name, "ok", f"{done.stdout.strip()} at {path}")


def _settings(settings: Settings) -> Finding:
    source = next(
        (str(p) for p in sorted(settings.home.glob("config.*")) if p.is_file()), "no file, the defaults"
    )
    return Finding("settings", "ok", f"{source}; tenant {settings.tenant}, project {settings.project}")


def _data(settings: Settings) -> Finding:
    folder = settings.home
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".doctor"
        probe.write_text("ok", encoding="ascii")
        probe.unlink()
    except OSError as error:
        return Finding(
            "data", "failed", f"{folder} cannot be written: {error.strerror}.", "Check its owner and mode."
        )
    free = shutil.disk_usage(folder).free
    message = f"{folder}, {free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Finding("data", "warning", message, "Free some space: a full disk stops every run.")
    return Finding("data", "ok", message)


def _server(settings: Settings) -> Finding:
    server = find_server(settings.home)
    if server is None:
        return Finding("server", "ok", "not running; commands work in their own process")
    return Finding("server", "ok", f"process {server.pid} at {server.address}")


def _sandbox() -> Finding:
    path = shutil.which("bwrap")
    if path is None:
        return Finding(
            "sandbox",
            "warning",
            "bubblewrap is not installed: commands run in their worktree with a clean environment, but unconfined.",
            "Install the package bubblewrap, and run only work you trust until then.",
        )
    return Finding("sandbox", "ok", f"bubblewrap at {path}")


async def _database(settings: Settings) -> list[Finding]:
    from mosaic.storage import Database, StorageSettings  # noqa: PLC0415  # `doctor` starts without a database library

    database = Database(StorageSettings(url=settings.database_url, data_dir=settings.home))
    try:
        await database.migrate()
        version = await database.schema_version()
        return [Finding("database", "ok", f"{database.dialect}, schema {version}")]
    finally:
        await database.close()


async def _models(settings: Settings) -> list[Finding]:
    from mosaic.core.redaction import Redactor  # noqa: PLC0415
    from mosaic.providers import ProviderRegistry  # noqa: PLC0415

    disabled = [name for name, section in settings.providers.items() if not section.enabled]
    registry = ProviderRegistry(redactor=Redactor(), disabled=disabled)
    try:
        found = [await registry.health(name) for name in registry.names()]
    finally:
        await registry.close()
    findings = []
    for health in found:
        state: Literal["ok", "warning"] = "ok" if health.usable else "warning"
        findings.append(Finding(health.provider, state, health.detail or str(health.status), health.hint))
    return findings
