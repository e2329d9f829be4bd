"""Runs other programs: confined, bounded, and never longer than we live."""

from mosaic.tools.processes.confinement import confined_to, confinement_version
from mosaic.tools.processes.environment import clean_environment
from mosaic.tools.processes.orders import CallFilter, Confinement, ControlGroup, Terms
from mosaic.tools.processes.output import Captured, OutputLimits, plain_text
from mosaic.tools.processes.process import Finished, Process, run_command

__all__ = [
    "CallFilter",
    "Captured",
    "Confinement",
    "ControlGroup",
    "Finished",
    "OutputLimits",
    "Process",
    "Terms",
    "clean_environment",
    "confined_to",
    "confinement_version",
    "plain_text",
    "run_command",
]
