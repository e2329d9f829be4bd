"""What the tool door raises beyond the common tree, and which errors a model may read and correct.

`ToolDoor.call` raises typed errors. An agent loop gives those in `MODEL_READABLE` back to the model as a failed
tool result (`model_result` makes it) and lets every other one through: `ApprovalNeeded` ends the turn until a
person answers, `OutcomeUnknown`, `BudgetExceeded`, `Cancelled` and `Fenced` end it for good.
"""

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    MosaicError,
    NotFound,
    PermissionDenied,
    PolicyDenied,
    StorageFull,
    TenantViolation,
    TimedOut,
    ToolFailed,
    Unavailable,
    Unsupported,
)

__all__ = ["MODEL_READABLE", "NEVER_READABLE", "InvalidArguments", "ToolQuarantined", "UnknownTool"]


class UnknownTool(NotFound):
    """No tool of that name is in this toolbox; `data` holds ``tool`` and ``nearest``."""

    code = "unknown_tool"


class ToolQuarantined(PolicyDenied):
    """The tool is not what was approved, or somebody stopped it; a person has to look first."""

    code = "tool_quarantined"


class InvalidArguments(InvalidInput):
    """The arguments do not fit the tool's input schema; `problems` lists every place."""

    code = "invalid_arguments"


MODEL_READABLE: tuple[type[MosaicError], ...] = (
    UnknownTool,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ToolFailed,
    TimedOut,
    Unavailable,
    LimitExceeded,
    Unsupported,
    ContractViolation,
)
"""What a model can do something about; a full disk and another tenant's data are excepted."""

NEVER_READABLE: tuple[type[MosaicError], ...] = (StorageFull, TenantViolation)
"""The exceptions to `MODEL_READABLE`."""
