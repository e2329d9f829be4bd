"""Agents: what they are, who is there, and the loop that lets one work until it answers, asks or hands over."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mosaic.agents.handoff import HandoffContext, SuccessCriterion
from mosaic.agents.schemas import (
    AgentLimits,
    AgentOutcome,
    AgentSpec,
    AgentStatus,
    Availability,
    Completed,
    Conversation,
    HandedOff,
    NeedsApproval,
    RegistryMetrics,
    TurnUsage,
    outcome_from_json,
)
from mosaic.agents.spec import check_agent, load_agent, parse_agent
from mosaic.agents.turns import Trigger, TurnState

if TYPE_CHECKING:
    from mosaic.agents.conversations import Conversations
    from mosaic.agents.jobs import AgentJob
    from mosaic.agents.registry import AgentRegistry
    from mosaic.agents.runner import AgentRunner

__all__ = [
    "AgentJob",
    "AgentLimits",
    "AgentOutcome",
    "AgentRegistry",
    "AgentRunner",
    "AgentSpec",
    "AgentStatus",
    "Availability",
    "Completed",
    "Conversation",
    "Conversations",
    "HandedOff",
    "HandoffContext",
    "NeedsApproval",
    "RegistryMetrics",
    "SuccessCriterion",
    "Trigger",
    "TurnState",
    "TurnUsage",
    "check_agent",
    "load_agent",
    "outcome_from_json",
    "parse_agent",
]

# These bring the database and the doors along; who only reads agent files should not wait for them.
_LATER = {
    "AgentJob": "mosaic.agents.jobs",
    "AgentRegistry": "mosaic.agents.registry",
    "AgentRunner": "mosaic.agents.runner",
    "Conversations": "mosaic.agents.conversations",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
