"""Chooses the sandbox for a command: the settings' driver, if it holds what this command needs."""

import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mosaic.tools.processes import Finished, Process, Terms
from mosaic.tools.sandbox.errors import INSTALL_BUBBLEWRAP, NoSandbox
from mosaic.tools.sandbox.groups import control_groups
from mosaic.tools.sandbox.interfaces import Sandbox, ServingSandbox
from mosaic.tools.sandbox.local import Launch, LocalSandbox, bounds
from mosaic.tools.sandbox.schemas import Doors, Hold, Job, Probe
from mosaic.tools.sandbox.settings import SandboxSettings

__all__ = ["Sandboxes"]

_RELAY = Path(__file__).with_name("relay.py")
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

    def gives_network(self, allowed: bool, *, granted: bool = False) -> bool:
        """Say whether a command gets the host's network.

        Args:
            allowed: the policy does not deny it.
            granted: the policy allows it in so many words.
        """
        if self.settings.driver == "off":
            return allowed
        return allowed and (
            self.settings.network == "host" or (self.settings.network == "policy" and granted)
        )

    def gives_doors(self, allowed: bool, *, granted: bool) -> bool:
        """Say whether a command gets the model gateway and the tool door in place of a network."""
        return self.settings.network == "gateway" and allowed and granted

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
        job = replace(job, network=self.gives_network(job.network, granted=True), limits=self.settings.limits)
        sandbox = await self.chosen(network=job.network)
        return await sandbox.run(job if job.doors is None else _with_doors(job, job.doors, sandbox))

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


def _with_doors(job: Job, doors: Doors, sandbox: Sandbox) -> Job:
    """Return a job that reaches the doors through a relay inside; see `relay`.

    Raises:
        NoSandbox: if the sandbox has no loopback interface of its own, or cannot show it a socket of ours.
    """
    if sandbox.name != "bubblewrap":
        raise NoSandbox(
            f"The sandbox {sandbox.name} cannot give a command the gateway alone.",
            hint=INSTALL_BUBBLEWRAP,
            missing=[Hold.NETWORK.value],
        )
    relay = (sys.executable, "-I", str(_RELAY), str(doors.port), str(doors.socket))
    return replace(
        job,
        argv=(*relay, *job.argv),
        environment={**job.environment, **doors.environment},
        readable=(*job.readable, _RELAY.parent),
        sockets=(*job.sockets, doors.socket),
    )


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
    # One is used, and by commands that run something only.
    match name:
        case "docker":
            from mosaic.tools.sandbox.docker import DockerSandbox  # noqa: PLC0415

            return DockerSandbox(image=settings.image, readable=settings.readable)
        case "e2b":
            from mosaic.tools.sandbox.e2b import E2bSandbox  # noqa: PLC0415

            return E2bSandbox(template=settings.image)
        case "daytona":
            from mosaic.tools.sandbox.daytona import DaytonaSandbox  # noqa: PLC0415

            return DaytonaSandbox(snapshot=settings.image)
        case "bubblewrap":
            from mosaic.tools.sandbox.bubblewrap import BubblewrapSandbox  # noqa: PLC0415

            return BubblewrapSandbox(readable=settings.readable)
        case "native":
            from mosaic.tools.sandbox.native import NativeSandbox  # noqa: PLC0415

            return NativeSandbox(readable=settings.readable)
        case _:
            return UnconfinedSandbox(readable=settings.readable)


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
