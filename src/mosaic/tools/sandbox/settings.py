"""The settings of the sandbox."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mosaic.tools.sandbox.schemas import Hold, Limits

__all__ = ["DRIVERS", "SandboxSettings"]

DRIVERS = ("auto", "bubblewrap", "native", "docker", "e2b", "daytona", "off")
"""What `driver` may be."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """The sandbox section of the tools' settings.

    Attributes:
        driver: which one; ``auto`` takes the first of bubblewrap and native that holds what is required, ``off`` runs
            commands with nothing but a clean environment.
        require: what must be held, or a command is refused. A command without network needs `network` besides.
        network: ``none`` gives no command the host's network; ``policy`` gives it to those whose policy allows it in so
            many words; ``host`` to those whose policy does not deny it; ``gateway`` gives those whose policy allows it
            in so many words the model gateway and the tool door, and no command a network.
        limits: how much a command may take.
        readable: directories of the host that commands may read, such as a toolchain in a home directory.
        image: what containers are made from (Docker), or the template (E2B) or snapshot (Daytona).
    """

    driver: Literal["auto", "bubblewrap", "native", "docker", "e2b", "daytona", "off"] = "auto"
    require: frozenset[Hold] = frozenset({Hold.WRITES, Hold.READS, Hold.ENVIRONMENT})
    network: Literal["none", "policy", "host", "gateway"] = "none"
    limits: Limits = field(default_factory=Limits)
    readable: tuple[Path, ...] = ()
    image: str | None = None
