"""The tool door: registry, risk policy, approvals, execution, built-ins, the MCP client."""

from mosaic.tools.approvals import ApprovalNeeded, Approvals, LocalOwner
from mosaic.tools.declarations import McpServer, ToolDeclaration
from mosaic.tools.errors import MODEL_READABLE, InvalidArguments, UnknownTool
from mosaic.tools.functions import FunctionTool, tool
from mosaic.tools.interfaces import BaseTool, CostSoFar, Invocation, Roles, SignalSender, Tool
from mosaic.tools.opening import Toolboxes
from mosaic.tools.policy import DEFAULT_RULES, POLICY_KEYS, Policy, Ruling, policy_problems
from mosaic.tools.processes.confinement import confinement_version
from mosaic.tools.results import model_result
from mosaic.tools.schemas import (
    Approval,
    ApprovalRequest,
    ApprovalRule,
    ApprovalStatus,
    Decision,
    RiskClass,
    ToolEffect,
    ToolResult,
    ToolSpec,
)
from mosaic.tools.service import ToolDoor
from mosaic.tools.settings import ToolSettings
from mosaic.tools.toolbox import Toolbox

__all__ = [
    "DEFAULT_RULES",
    "MODEL_READABLE",
    "POLICY_KEYS",
    "Approval",
    "ApprovalNeeded",
    "ApprovalRequest",
    "ApprovalRule",
    "ApprovalStatus",
    "Approvals",
    "BaseTool",
    "CostSoFar",
    "Decision",
    "FunctionTool",
    "InvalidArguments",
    "Invocation",
    "LocalOwner",
    "McpServer",
    "Policy",
    "RiskClass",
    "Roles",
    "Ruling",
    "SignalSender",
    "Tool",
    "ToolDeclaration",
    "ToolDoor",
    "ToolEffect",
    "ToolResult",
    "ToolSettings",
    "ToolSpec",
    "Toolbox",
    "Toolboxes",
    "UnknownTool",
    "confinement_version",
    "model_result",
    "policy_problems",
    "tool",
]
