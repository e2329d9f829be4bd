"""Chooses the sandbox for a command: the settings' driver, if it holds what this command needs."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from mosaic.tools.processes import Finished, Process, Terms
from mosaic.tools.sandbox.bubblewrap import INSTALL_BUBBLEWRAP, BubblewrapSandbox
from mosaic.tools.sandbox.daytona import DaytonaSandbox
from mosaic.tools.sandbox.docker import DockerSandbox
from mosaic.tools.sandbox.e2b import E2bSandbox
from mosaic.tools.sandbox.errors import NoSandbox
from mosaic.tools.sandbox.groups import control_groups
from mosaic.tools.sandbox.interfaces import Sandbox, ServingSandbox
from mosaic.tools.sandbox.local import Launch, LocalSandbox, bounds
from mosaic.tools.sandbox.native import NativeSandbox
from mosaic.tools.sandbox.schemas import Hold, Job, Probe
from mosaic.tools.sandbox.settings import SandboxSettings

__all__ = ["Sandboxes"]

_AUTO = ("bubblewrap", "native")
# What works goes on working while we run; what does not may have been installed a minute later.
_TRY_AGAIN_S = 30.0
_probes: dict[tuple[str, str], tuple[float, Probe]] = {}


class Sandboxes:
    """The sandboxes of an installation.

    Args:
        settings: which one, what it must hold, what commands get.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self._drivers: dict[str, Sandbox] = {}

    def driver(self, name: str) -> Sandbox:
        """Return a driver by its name."""
        if name not in self._drivers:
            self._drivers[name] = _made(name, self.settings)
        return self._drivers[name]

    async def probe(self, name: str) -> Probe:
        """Return what a driver can do here; what works is tried once in the life of this process."""
        key, now = (name, repr(self.settings)), time.monotonic()
        if key in _probes and (_probes[key][1].works or now - _probes[key][0] < _TRY_AGAIN_S):
            return _probes[key][1]
        probe = await self.driver(name).probe()
        _probes[key] = (now, probe)
        return probe

    def gives_network(self, wanted: bool) -> bool:
        """Say whether a command that may use the network gets the host's."""
        return wanted and (self.settings.network == "host" or self.settings.driver == "off")

    async def chosen(self, *, network: bool, among: Iterable[Hold] = ()) -> Sandbox:
        """Return the sandbox that commands run in.

        Args:
            network: whether the command gets the host's network.
            among: what must be held besides what the settings require.

        Raises:
            NoSandbox: if none here holds what is required; the message says what is missing, the hint what to do.
        """
        wanted = self.settings.driver
        if wanted == "off":
            return self.driver("off")
        required = self.settings.require | set(among) | (set() if network else {Hold.NETWORK})
        probes = [await self.probe(name) for name in (_AUTO if wanted == "auto" else (wanted,))]
        for probe in probes:
            if probe.works and required <= probe.holds:
                return self.driver(probe.driver)
        raise _refusal(probes, required)

    async def run(self, job: Job) -> Finished:
        """Run a command to its end in the sandbox that holds what is required.

        Raises:
            NoSandbox: if there is none.
            ToolFailed: if it cannot be started.
        """
        job = replace(job, network=self.gives_network(job.network), limits=self.settings.limits)
        return await (await self.chosen(network=job.network)).run(job)

    @asynccontextmanager
    async def start(self, job: Job) -> AsyncIterator[Process]:
        """Run a server for the length of the block, with the network if the job says so.

        Raises:
            NoSandbox: if there is none, or it cannot keep a server.
            ToolFailed: if it cannot be started.
        """
        sandbox = await self.chosen(network=job.network)
        if not isinstance(sandbox, ServingSandbox):
            raise NoSandbox(
                f"The sandbox {sandbox.name} runs commands, not servers.",
                hint="Set `confined: false` for this server, or `tools.sandbox.driver: auto`.",
            )
        async with sandbox.start(replace(job, limits=self.settings.limits)) as process:
            yield process


class UnconfinedSandbox(LocalSandbox):
    """No sandbox: a clean environment and bounds, nothing else."""

    name = "off"

    async def launch(self, job: Job) -> Launch:
        """Return the command as it is."""
        groups = control_groups(job.limits)
        return Launch(job.argv, Terms(limits=bounds(job.limits, groups), groups=groups))

    async def probe(self) -> Probe:
        """Say that nothing is held."""
        why = "The settings switch the sandbox off."
        return Probe(
            self.name, True, why, "Set `tools.sandbox.driver: auto`.", frozenset(), dict.fromkeys(Hold, why)
        )


def _made(name: str, settings: SandboxSettings) -> Sandbox:
    if name == "docker":
        return DockerSandbox(image=settings.image, readable=settings.readable)
    if name == "e2b":
        return E2bSandbox(template=settings.image)
    if name == "daytona":
        return DaytonaSandbox(snapshot=settings.image)
    drivers: dict[str, type[LocalSandbox]] = {
        "bubblewrap": BubblewrapSandbox,
        "native": NativeSandbox,
        "off": UnconfinedSandbox,
    }
    return drivers[name](readable=settings.readable)


def _refusal(probes: list[Probe], required: frozenset[Hold]) -> NoSandbox:
    best = max(probes, key=lambda probe: len(probe.holds & required))
    reasons = []
    for probe in probes:
        if not probe.works:
            reasons.append(f"{probe.driver}: {probe.detail}")
        else:
            missing = sorted(required - probe.holds)
            reasons.append(
                f"{probe.driver} does not hold "
                + "; ".join(f"{hold}: {probe.gaps.get(hold)}" for hold in missing)
            )
    fixes = [probe.fix for probe in probes if probe.fix]
    return NoSandbox(
        f"No sandbox here holds what is required ({', '.join(sorted(required))}). {' '.join(reasons)}",
        hint=fixes[0] if fixes else INSTALL_BUBBLEWRAP,
        missing=sorted(required - best.holds),
        drivers=[probe.driver for probe in probes],
    )
