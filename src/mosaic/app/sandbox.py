"""The sandbox as the settings ask for it, and what it can do on this machine."""

from pathlib import Path

from mosaic.app.sections import SandboxSection
from mosaic.tools import Hold, SandboxLimits, SandboxSettings

__all__ = ["make_sandbox"]

_MEGABYTE = 1024**2


def make_sandbox(section: SandboxSection) -> SandboxSettings:
    """Return the sandbox's settings."""
    return SandboxSettings(
        driver=section.driver,
        require=frozenset(map(Hold, section.require)),
        network=section.network,
        limits=SandboxLimits(
            memory_bytes=section.memory_mb * _MEGABYTE,
            processes=section.processes,
            cpus=section.cpus,
            file_bytes=section.file_mb * _MEGABYTE,
        ),
        readable=tuple(Path(place).expanduser() for place in section.readable),
        image=section.image,
    )
