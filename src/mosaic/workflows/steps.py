"""The steps of a workflow: one frozen value per step kind. Import them from `mosaic.workflows.schemas`.

Scope, for the interpreter. An expression sees, innermost first:

* the outputs of earlier steps in the same block, by step name (a step that was skipped by `if:` is ``None``);
* what the enclosing construct adds (`ForStep.each`, `ForStep.index`, ``iteration``, ``value``, `Catch.error`);
* the same of every enclosing block (names of a nested block are *not* visible outside it);
* ``inputs`` (with defaults filled in), ``run`` (`RUN_FIELDS`), and ``feedback``.

``feedback`` is ``None`` until an `OnFail` jump happened in the block; then it is
``{"step": name, "attempt": n, "message": text, "data": {...}}`` of the failure that caused the jump (``attempt``
counts from 1). An `AgentStep` that runs after a jump and whose `with_` does not mention ``feedback`` gets the
feedback's message appended to its prompt.

Result of a block (a list of steps) = output of the last step that ran in it; ``None`` when none ran.
"""

from typing import TypeAlias

from mosaic.workflows.action_steps import (
    AgentStep,
    AskStep,
    Check,
    EmitStep,
    HttpStep,
    ListenStep,
    RunStep,
    SecretRef,
    SetStep,
    ToolStep,
    ValidateStep,
    WaitStep,
    WorkflowStep,
)
from mosaic.workflows.control_steps import (
    Case,
    DoStep,
    ForkStep,
    ForStep,
    HandoffStep,
    Join,
    SwitchStep,
    TryStep,
    VoteRule,
    VoteStep,
    WhileStep,
)
from mosaic.workflows.step_base import Catch, OnFail, Place, Retry, StepBase

__all__ = [
    "RUN_FIELDS",
    "AgentStep",
    "AskStep",
    "Case",
    "Catch",
    "Check",
    "DoStep",
    "EmitStep",
    "ForStep",
    "ForkStep",
    "HandoffStep",
    "HttpStep",
    "Join",
    "ListenStep",
    "OnFail",
    "Place",
    "Retry",
    "RunStep",
    "SecretRef",
    "SetStep",
    "Step",
    "StepBase",
    "SwitchStep",
    "ToolStep",
    "TryStep",
    "ValidateStep",
    "VoteRule",
    "VoteStep",
    "WaitStep",
    "WhileStep",
    "WorkflowStep",
]

RUN_FIELDS = ("id", "workflow", "version")
"""What the variable ``run`` holds: the run's id, the workflow's name and its version."""

Step: TypeAlias = StepBase
"""Any step: one of the kinds above. A block holds `StepBase`, which keeps the modules of the kinds free of cycles."""
