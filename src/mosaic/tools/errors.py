"""What the tool door raises beyond the common tree, and which errors a model may read and correct.

`ToolDoor.call` raises typed errors. An agent loop gives those in `MODEL_READABLE` back to the model as a failed
tool result (`model_result` makes it) and lets every other one through: `ApprovalNeeded` ends the turn until a
person answers, `OutcomeUnknown`, `BudgetExceeded`, `Cancelled` and `Fenced` end it for good.
"""

from typing import Any

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    MosaicError,
    NotFound,
    PermissionDenied,
    StorageFull,
    TenantViolation,
    TimedOut,
    ToolFailed,
    Unavailable,
    Unsupported,
)
from mosaic.tools.schemas import Approval, ToolResult

__all__ = ["MODEL_READABLE", "ApprovalNeeded", "InvalidArguments", "UnknownTool", "model_result"]


class UnknownTool(NotFound):
    """No tool of that name is in this toolbox; `data` holds ``tool`` and ``nearest``."""

    code = "unknown_tool"


class InvalidArguments(InvalidInput):
    """The arguments do not fit the tool's input schema; `problems` lists every place."""

    code = "invalid_arguments"


class ApprovalNeeded(MosaicError):
    """A person must answer first. Not a failure: wait for the signal named `approval.id`, then call again.

    Attributes:
        approval: what is being asked; `data` holds its ``approval_id``.
    """

    code = "approval_needed"
    http_status = 409

    def __init__(
        self, message: str, *, approval: Approval | None = None, hint: str | None = None, **data: Any
    ) -> None:
        if approval is not None:
            data.setdefault("approval_id", approval.id)
        super().__init__(message, hint=hint, **data)
        self.approval = approval


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
_NEVER_READABLE: tuple[type[MosaicError], ...] = (StorageFull, TenantViolation)


def model_result(error: MosaicError) -> ToolResult | None:
    """Return the failed tool result that tells a model about `error`; None when a model must not go on."""
    if not isinstance(error, MODEL_READABLE) or isinstance(error, _NEVER_READABLE):
        return None
    content: dict[str, Any] = {"error": error.code, "message": error.message}
    if error.hint:
        content["hint"] = error.hint
    if isinstance(error, InvalidInput) and error.problems:
        content["problems"] = [str(problem) for problem in error.problems]
    return ToolResult(content, is_error=True)
