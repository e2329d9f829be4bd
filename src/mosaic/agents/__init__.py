"""Agents: what they are, who is there, and the loop that lets one work until it answers, asks or hands over."""

from mosaic.agents.handoff import HandoffContext, SuccessCriterion
from mosaic.agents.schemas import (
    AgentLimits,
    AgentOutcome,
    AgentSpec,
    Availability,
    Completed,
    HandedOff,
    NeedsApproval,
    TurnUsage,
    outcome_from_json,
)
from mosaic.agents.spec import check_agent, load_agent, parse_agent

__all__ = [
    "AgentLimits",
    "AgentOutcome",
    "AgentSpec",
    "Availability",
    "Completed",
    "HandedOff",
    "HandoffContext",
    "NeedsApproval",
    "SuccessCriterion",
    "TurnUsage",
    "check_agent",
    "load_agent",
    "outcome_from_json",
    "parse_agent",
]
