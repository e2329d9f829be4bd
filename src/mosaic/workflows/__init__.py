"""Workflows: definitions in YAML, checked before they run, and the interpreter that runs them.

`load` and `check` read files; `Definition.from_bundle` reads what a run pinned. Names are loaded when they are
used: reading a definition needs a YAML parser and an expression library that most commands never touch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mosaic.workflows.agent_step import AgentHandler
    from mosaic.workflows.bundle import Bundle
    from mosaic.workflows.durations import parse_duration
    from mosaic.workflows.handler import WorkflowHandler
    from mosaic.workflows.inputs import bind_inputs
    from mosaic.workflows.interfaces import Services
    from mosaic.workflows.language import workflow_schema
    from mosaic.workflows.loader import check, find_workflow, load, load_bundle
    from mosaic.workflows.rendering import render_problems
    from mosaic.workflows.schemas import AgentEntry, Definition

__all__ = [
    "AgentEntry",
    "AgentHandler",
    "Bundle",
    "Definition",
    "Services",
    "WorkflowHandler",
    "bind_inputs",
    "check",
    "find_workflow",
    "load",
    "load_bundle",
    "parse_duration",
    "render_problems",
    "workflow_schema",
]

_MODULES = {
    "AgentEntry": "schemas",
    "AgentHandler": "agent_step",
    "Bundle": "bundle",
    "Definition": "schemas",
    "Services": "interfaces",
    "WorkflowHandler": "handler",
    "bind_inputs": "inputs",
    "check": "loader",
    "find_workflow": "loader",
    "load": "loader",
    "load_bundle": "loader",
    "parse_duration": "durations",
    "render_problems": "rendering",
    "workflow_schema": "language.workflow",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
