"""The suite that every driver must pass for what it claims to hold; any driver's test can run it.

A check runs real commands in the driver, beside real things that they must not reach, and raises `NotHeld` when they
did. What is not about a hold (exit codes, output, ends) every driver must pass. Commands need `sh` and `python3`.
"""

from mosaic.tools.sandbox.conformance import files, reach, running
from mosaic.tools.sandbox.conformance.grounds import CHECKS, Check, Grounds, NotHeld, grounds

__all__ = ["CHECKS", "Check", "Grounds", "NotHeld", "files", "grounds", "reach", "running"]
