"""The tool door: registry, risk policy, approvals, execution, built-ins, the MCP client."""

from mosaic.tools.approvals import ApprovalNeeded, Approvals, Receipt
from mosaic.tools.approving.answers import Answer
from mosaic.tools.approving.deliveries import Deliveries
from mosaic.tools.approving.patterns import ArgumentPattern
from mosaic.tools.approving.previews import Previews
from mosaic.tools.approving.roles import LocalOwner, WebhookRoles
from mosaic.tools.approving.webhooks import Inbound, Webhook, WebhookKeys
from mosaic.tools.declarations import McpServer, ToolDeclaration
from mosaic.tools.errors import MODEL_READABLE, InvalidArguments, ToolQuarantined, UnknownTool
from mosaic.tools.functions import FunctionTool, tool
from mosaic.tools.interfaces import BaseTool, CostSoFar, Invocation, Roles, RuleKeeper, SignalSender, Tool
from mosaic.tools.opening import Toolboxes
from mosaic.tools.policy import DEFAULT_RULES, POLICY_KEYS, Policy, Ruling, policy_problems
from mosaic.tools.processes.confinement import confinement_version
from mosaic.tools.registry.schemas import NewServer, Pin, PinState, ServerRecord
from mosaic.tools.registry.service import ToolRegistry
from mosaic.tools.results import model_result
from mosaic.tools.sandbox import Hold, NoSandbox, Probe, Sandboxes, SandboxSettings
from mosaic.tools.sandbox import Limits as SandboxLimits
from mosaic.tools.schemas import (
    Approval,
    ApprovalRequest,
    ApprovalRule,
    ApprovalScope,
    ApprovalStatus,
    Counting,
    Decision,
    RiskClass,
    ToolEffect,
    ToolResult,
    ToolSpec,
    Vote,
)
from mosaic.tools.service import ToolDoor
from mosaic.tools.settings import ToolSettings
from mosaic.tools.toolbox import Toolbox

__all__ = [
    "DEFAULT_RULES",
    "MODEL_READABLE",
    "POLICY_KEYS",
    "Answer",
    "Approval",
    "ApprovalNeeded",
    "ApprovalRequest",
    "ApprovalRule",
    "ApprovalScope",
    "ApprovalStatus",
    "Approvals",
    "ArgumentPattern",
    "BaseTool",
    "CostSoFar",
    "Counting",
    "Decision",
    "Deliveries",
    "FunctionTool",
    "Hold",
    "Inbound",
    "InvalidArguments",
    "Invocation",
    "LocalOwner",
    "McpServer",
    "NewServer",
    "NoSandbox",
    "Pin",
    "PinState",
    "Policy",
    "Previews",
    "Probe",
    "Receipt",
    "RiskClass",
    "Roles",
    "RuleKeeper",
    "Ruling",
    "SandboxLimits",
    "SandboxSettings",
    "Sandboxes",
    "ServerRecord",
    "SignalSender",
    "Tool",
    "ToolDeclaration",
    "ToolDoor",
    "ToolEffect",
    "ToolQuarantined",
    "ToolRegistry",
    "ToolResult",
    "ToolSettings",
    "ToolSpec",
    "Toolbox",
    "Toolboxes",
    "UnknownTool",
    "Vote",
    "Webhook",
    "WebhookKeys",
    "WebhookRoles",
    "confinement_version",
    "model_result",
    "policy_problems",
    "tool",
]
