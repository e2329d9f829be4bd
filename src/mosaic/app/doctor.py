"""What works on this machine and in this installation, and the next step for what does not."""

import asyncio
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from mosaic.app.config_file import find_config
from mosaic.app.home import make_home
from mosaic.app.owner import TOKEN_VARIABLE
from mosaic.app.parts import make_cost, make_providers, make_storage
from mosaic.app.presence import find_server
from mosaic.app.sandbox import make_sandbox
from mosaic.app.settings import Settings, load_settings
from mosaic.core.errors import MosaicError
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.cost.prices import PriceList
from mosaic.storage import Database, read_owner
from mosaic.tools import Probe, Sandboxes

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


Check: TypeAlias = Callable[[Settings], Awaitable[list[Finding]]]


async def examine(home: Path | None) -> list[Finding]:
    """Look at everything; a check that fails is a finding, never an exception."""
    findings = [_python(), await asyncio.to_thread(_git)]
    try:
        settings = load_settings(home)
    except MosaicError as error:
        problems = "".join(f"\n  {problem}" for problem in getattr(error, "problems", ()))
        return [*findings, Finding("settings", "failed", f"{error.message}{problems}", error.hint)]
    findings += [_settings(settings), _data(settings), _server(settings), _token(settings)]
    checks: tuple[tuple[str, Check], ...] = (
        ("sandbox", _sandbox),
        ("database", _database),
        ("models", _models),
        ("prices", _prices),
    )
    for name, check in checks:
        try:
            findings += await check(settings)
        except MosaicError as error:
            findings.append(Finding(name, "failed", error.message, error.hint))
        except Exception as error:  # noqa: BLE001  # what is broken here is what the command is for
            findings.append(Finding(name, "failed", f"{type(error).__name__}: {error}"))
    return findings


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _git() -> Finding:
    path = shutil.which("git")
    hint = "Install git; workspaces are git worktrees."
    if path is None:
        return Finding("git", "failed", "git is not on the PATH.", hint)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603  # a program of the PATH, no input
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", "failed", f"{path} does not run: {type(error).__name__}.", hint)
    if done.returncode:
        return Finding("git", "failed", f"{path} ends with status {done.returncode}.", hint)
    return Finding("git", "ok", f"{done.stdout.strip()} at {path}")


def _settings(settings: Settings) -> Finding:
    source = find_config(settings.home) or "no file, the defaults"
    return Finding("settings", "ok", f"{source}; tenant {settings.tenant}, project {settings.project}")


def _data(settings: Settings) -> Finding:
    folder = settings.home
    try:
        make_home(folder)
        probe = folder / f".doctor.{os.getpid()}"
        probe.write_text("ok", encoding="ascii")
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        hint = "Check its owner and mode."
        return Finding("data", "failed", f"{folder} cannot be written: {error.strerror}.", hint)
    except MosaicError as error:
        return Finding("data", "failed", error.message, error.hint)
    message = f"{folder}, {free / 1e9:.1f} GB free"
    if free < _LEAST_FREE_BYTES:
        return Finding("data", "warning", message, "Free some space: a full disk stops every run.")
    return Finding("data", "ok", message)


def _server(settings: Settings) -> Finding:
    server = find_server(settings.home)
    if server is not None:
        return Finding("server", "ok", f"process {server.pid} at {server.address}")
    owner = read_owner(settings.home)
    if owner is not None:
        return Finding("server", "ok", f"not running; {owner} executes runs on this data")
    return Finding("server", "ok", "not running; commands work in their own process")


def _token(settings: Settings) -> Finding:
    if os.environ.get(TOKEN_VARIABLE):
        return Finding("token", "ok", f"from {TOKEN_VARIABLE}")
    path = settings.home / "owner-token"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return Finding("token", "ok", "none yet; `mosaic init` and `mosaic up` make one")
    if mode & 0o077:
        return Finding("token", "warning", f"{path} can be read by others.", f"chmod 600 {path}")
    return Finding("token", "ok", str(path))


_REACH = {
    "none": "without network",
    "policy": "without network, but where a policy says `network: allow`",
    "host": "with this machine's network, unless a policy denies it",
    "gateway": "without network; with models and tools where a policy says `network: allow`",
}


async def _sandbox(settings: Settings) -> list[Finding]:
    """Tell where commands run; then what each sandbox can do here."""
    sandboxes = Sandboxes(make_sandbox(settings.tools.sandbox))
    probes = {
        name: await sandboxes.probe(name) for name in ("bubblewrap", "native", "docker", "e2b", "daytona")
    }
    network = sandboxes.settings.network == "host"
    try:
        chosen = (await sandboxes.chosen(network=network)).name
    except MosaicError as error:
        first = Finding("sandbox", "failed", error.message, error.hint)
    else:
        first = _where_commands_run(chosen, probes.get(chosen), network=sandboxes.settings.network)
    return [first, *(_driver(probe) for probe in probes.values())]


def _where_commands_run(chosen: str, probe: Probe | None, *, network: str) -> Finding:
    if probe is None:
        message = "commands run without a sandbox: the settings say so (tools.sandbox.driver: off)."
        return Finding("sandbox", "warning", message, "Run only work you trust, or set it to auto.")
    message = f"commands run in {chosen}, {_REACH[network]}"
    if probe.gaps:
        lacks = "; ".join(f"{hold}: {why}" for hold, why in sorted(probe.gaps.items()))
        return Finding("sandbox", "warning", f"{message}. Not held: {lacks}", probe.fix)
    return Finding("sandbox", "ok", f"{message}; held: {', '.join(sorted(probe.holds))}")


def _driver(probe: Probe) -> Finding:
    name = f"sandbox {probe.driver}"
    if not probe.works:
        return Finding(name, "ok", f"not here: {probe.detail}", probe.fix)
    lacks = f"; does not hold {', '.join(sorted(probe.gaps))}" if probe.gaps else ""
    return Finding(name, "ok", f"works: {probe.detail}{lacks}")


async def _database(settings: Settings) -> list[Finding]:
    database = Database(make_storage(settings))
    try:
        await database.migrate()
        version = await database.schema_version()
        return [Finding("database", "ok", f"{database.dialect} {database.where}, schema {version}")]
    finally:
        await database.close()


async def _models(settings: Settings) -> list[Finding]:
    registry = make_providers(settings, redactor=Redactor())
    try:
        found = await asyncio.gather(*(registry.health(name) for name in registry.names()))
    finally:
        await registry.close()
    findings = [
        Finding(
            health.provider,
            "ok" if health.usable else "warning",
            health.detail or str(health.status),
            health.hint,
        )
        for health in found
    ]
    unknown = sorted(set(settings.providers) - set(registry.names()) - _disabled(settings))
    findings += [
        Finding(
            name, "warning", "has settings, but there is no such provider.", f"Known: {registry.names()}."
        )
        for name in unknown
    ]
    return findings


def _disabled(settings: Settings) -> set[str]:
    return {name for name, section in settings.providers.items() if not section.enabled}


async def _prices(settings: Settings) -> list[Finding]:
    section = make_cost(settings)
    origin = await asyncio.to_thread(PriceList(section.prices).origin)
    own = f"; {len(section.prices)} prices of your own" if section.prices else ""
    unknown = "refused under a dollar budget" if section.unpriced == "refuse" else "allowed and not counted"
    return [Finding("prices", "ok", f"{origin}{own}; calls without a known price are {unknown}")]
