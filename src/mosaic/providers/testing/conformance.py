"""Runs every check that applies to a plugin and says what each found."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal

from mosaic.core.errors import InvalidInput, MosaicError, NotFound
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject
from mosaic.providers.plugin_index import Catalogue
from mosaic.providers.plugin_sources import GROUP, PluginSource, installed
from mosaic.providers.plugins_dir import folder_plugin, folder_plugins
from mosaic.providers.testing.bench import Bench, CheckFailed, CheckSkipped, network_watch
from mosaic.providers.testing.checks import COMMON_CHECKS, Check
from mosaic.providers.testing.checks_ai import AI_CHECKS
from mosaic.providers.testing.checks_resources import RESOURCE_CHECKS
from mosaic.providers.testing.endpoint import running_endpoint
from mosaic.providers.testing.sample import find_sample

__all__ = ["Finding", "Report", "check_plugin"]

_CHECK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""

    def to_json(self) -> JsonObject:
        """Return the finding as a JSON object."""
        return {"check": self.check, "outcome": self.outcome, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found."""

    plugin: str
    version: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not any(finding.outcome == "failed" for finding in self.findings)

    def to_json(self) -> JsonObject:
        """Return the report as a JSON object."""
        return {
            "plugin": self.plugin,
            "version": self.version,
            "passed": self.passed,
            "findings": [finding.to_json() for finding in self.findings],
        }


async def check_plugin(
    target: str,
    *,
    directory: Path | None = None,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> Report:
    """Check a plugin against an endpoint on this machine that plays its vendor. No vendor is called.

    Args:
        target: a plugin's folder, or the name of an installed plugin or of one in `directory`.
        directory: where plugin folders are.
        on_finding: told of every finding as it comes.

    Raises:
        NotFound: if there is no such plugin.
    """
    source, sources = _found(target, directory)
    catalogue = Catalogue(sources, redactor=Redactor())
    findings: list[Finding] = []

    def add(finding: Finding) -> None:
        findings.append(finding)
        on_finding(finding)

    try:
        plugin, _, _ = catalogue.load(source)
        sample = find_sample(source)
    except MosaicError as error:
        problems = error.__cause__.problems if isinstance(error.__cause__, InvalidInput) else ()
        add(Finding("the plugin can be loaded", "failed", "; ".join([error.message, *map(str, problems)])))
        return Report(source.id, "", tuple(findings))
    add(Finding("the plugin can be loaded", "passed"))
    manifest = plugin.manifest
    checks = dict(COMMON_CHECKS)
    if "ai" in manifest.kinds:
        checks |= AI_CHECKS
    if set(manifest.kinds) - {"ai"}:
        checks |= RESOURCE_CHECKS
    with network_watch(manifest) as undeclared:
        for name, check in checks.items():
            async with running_endpoint() as endpoint:
                add(await _one(name, check, Bench(catalogue, source, manifest, sample, endpoint)))
    add(
        Finding(
            "only declared hosts are called",
            "failed" if undeclared else "passed",
            f"it called {', '.join(undeclared)}" if undeclared else "",
        )
    )
    return Report(manifest.id, manifest.version, tuple(findings))


async def _one(name: str, check: Check, bench: Bench) -> Finding:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check(bench)
    except CheckSkipped as reason:
        return Finding(name, "skipped", str(reason))
    except CheckFailed as reason:
        return Finding(name, "failed", str(reason))
    except TimeoutError:
        return Finding(name, "failed", f"it did not end in {_CHECK_TIMEOUT_S:g} s")
    except Exception as error:  # noqa: BLE001  # a plugin is anyone's code
        return Finding(name, "failed", f"{type(error).__name__}: {error}")
    return Finding(name, "passed")


def _found(target: str, directory: Path | None) -> tuple[PluginSource, list[PluginSource]]:
    """Return the plugin to check and all that it may require."""
    others = installed(entry_points(group=GROUP))
    folder = Path(target)
    if folder.is_dir():
        source = folder_plugin(folder)
        siblings = folder_plugins(folder.parent)
        others = [other for other in (*others, *siblings) if other.id != source.id]
        return source, [source, *others]
    if directory is not None:
        others = [*folder_plugins(directory), *others]
    source_ = next((other for other in others if other.id == target), None)
    if source_ is None:
        known = ", ".join(sorted({other.id for other in others}))
        raise NotFound(
            f"There is no plugin {target!r}, and no folder of that name.", hint=f"Known are {known}."
        )
    return source_, [source_, *(other for other in others if other.id != source_.id)]
