"""Runs commands apart from the machine they are on, and says what is held and what is not."""

from mosaic.tools.sandbox.errors import NoSandbox
from mosaic.tools.sandbox.interfaces import Sandbox, ServingSandbox
from mosaic.tools.sandbox.schemas import Doors, Hold, Job, Limits, Probe
from mosaic.tools.sandbox.selection import Sandboxes
from mosaic.tools.sandbox.settings import SandboxSettings

__all__ = [
    "Doors",
    "Hold",
    "Job",
    "Limits",
    "NoSandbox",
    "Probe",
    "Sandbox",
    "SandboxSettings",
    "Sandboxes",
    "ServingSandbox",
]
