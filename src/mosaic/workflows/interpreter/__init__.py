"""The interpreter: executes a definition, step by step, so that it survives any crash."""

from collections.abc import Mapping

from mosaic.workflows.interpreter.agents import run_agent, run_handoff
from mosaic.workflows.interpreter.calls import run_run, run_tool
from mosaic.workflows.interpreter.checks import run_validate
from mosaic.workflows.interpreter.children import run_workflow
from mosaic.workflows.interpreter.control import run_do, run_for, run_fork, run_switch, run_try, run_while
from mosaic.workflows.interpreter.data import run_emit, run_set
from mosaic.workflows.interpreter.frame import Body, RunState
from mosaic.workflows.interpreter.http import run_http
from mosaic.workflows.interpreter.people import run_ask, run_listen, run_wait
from mosaic.workflows.interpreter.top import compensations, execute
from mosaic.workflows.interpreter.voting import run_vote
from mosaic.workflows.steps import (
    AgentStep,
    AskStep,
    DoStep,
    EmitStep,
    ForkStep,
    ForStep,
    HandoffStep,
    HttpStep,
    ListenStep,
    RunStep,
    SetStep,
    SwitchStep,
    ToolStep,
    TryStep,
    ValidateStep,
    VoteStep,
    WaitStep,
    WhileStep,
    WorkflowStep,
)

__all__ = ["BODIES", "RunState", "compensations", "execute"]

BODIES: Mapping[type, Body] = {
    AgentStep: run_agent,
    AskStep: run_ask,
    DoStep: run_do,
    EmitStep: run_emit,
    ForStep: run_for,
    ForkStep: run_fork,
    HandoffStep: run_handoff,
    HttpStep: run_http,
    ListenStep: run_listen,
    RunStep: run_run,
    SetStep: run_set,
    SwitchStep: run_switch,
    ToolStep: run_tool,
    TryStep: run_try,
    ValidateStep: run_validate,
    VoteStep: run_vote,
    WaitStep: run_wait,
    WhileStep: run_while,
    WorkflowStep: run_workflow,
}
"""What each kind of step does."""
