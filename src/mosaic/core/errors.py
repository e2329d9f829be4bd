"""Every error MosAIc raises on purpose.

::

    MosaicError
    ├── InvalidInput            422  what was sent is wrong; `problems` says what and where
    │   └── InvalidDefinition   422  a workflow or agent file is wrong
    ├── NotFound                404
    ├── Conflict                409  the state does not allow it (already decided, already running)
    │   ├── Locked              409  another process owns this data
    │   └── Stale               412  it has changed since the version that a change was made for
    ├── Unauthenticated         401
    ├── PermissionDenied        403
    │   ├── TenantViolation     403  reached into another tenant
    │   └── PolicyDenied        403  a risk policy refused a tool call
    ├── BudgetExceeded          402  the next call would pass a hard limit (never 429: clients retry that for ever)
    ├── LimitExceeded           429  too many at once or per time; retryable
    ├── Unsupported             501  the provider or model cannot do it
    ├── Unavailable             503  a provider, tool or database is out of reach; retryable
    │   └── StorageFull         507  the disk is full
    ├── TimedOut                504  no answer in time; retryable
    ├── Damaged                 500  stored bytes are not what was written; needs a person
    ├── OutcomeUnknown          502  an unsafe call was sent and its answer was lost; never retried silently
    ├── ContractViolation       502  a model, tool or provider answered outside its contract
    ├── ToolFailed              502  a tool ran and reported failure
    ├── ModelRefused            502  the model declined to answer
    ├── ExpressionFailed        422  a ``${...}`` expression failed at run time
    ├── StepFailed              500  a workflow step failed for good; wraps the reason
    ├── Cancelled               499  someone cancelled the run
    └── Fenced                  409  this node lost its lease; it must write nothing more

`code` is stable and public. `data` holds JSON values that a program can use. `hint` is the next step for a
person. Doors map an error once: to RFC 9457, to an MCP error, or to an exit status.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

__all__ = [
    "BudgetExceeded",
    "Cancelled",
    "Conflict",
    "ContractViolation",
    "Damaged",
    "ExpressionFailed",
    "Fenced",
    "InvalidDefinition",
    "InvalidInput",
    "LimitExceeded",
    "Locked",
    "ModelRefused",
    "MosaicError",
    "NotFound",
    "OutcomeUnknown",
    "PermissionDenied",
    "PolicyDenied",
    "Problem",
    "Stale",
    "StepFailed",
    "StorageFull",
    "TenantViolation",
    "TimedOut",
    "ToolFailed",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "error_from_json",
]


class MosaicError(Exception):
    """The root of the tree. Raise a leaf."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    failover_safe: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.data = data

    def to_json(self) -> dict[str, Any]:
        """Return the error as a JSON object that `error_from_json` reads back."""
        shown: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint:
            shown["hint"] = self.hint
        if self.data:
            shown["data"] = self.data
        return shown


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file or value.

    Attributes:
        message: what is wrong and what was expected.
        path: where in the value, such as ``do[2].build.for``.
        file: the file, as the user named it; empty for a value that came from no file.
        line: 1-based; 0 when unknown.
        column: 1-based; 0 when unknown.
        suggestion: the nearest right spelling or the next step, when there is one.
    """

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    suggestion: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        place = f"{self.path}: " if self.path and not self.file else ""
        tail = f" ({self.suggestion})" if self.suggestion else ""
        return f"{where}{place}{self.message}{tail}"


class InvalidInput(MosaicError):
    """What was sent is wrong; `problems` names each place."""

    code = "invalid_input"
    http_status = 422

    def __init__(
        self, message: str, *, problems: Sequence[Problem] = (), hint: str | None = None, **data: Any
    ) -> None:
        super().__init__(message, hint=hint, **data)
        self.problems = tuple(problems)

    def to_json(self) -> dict[str, Any]:
        """Return the error with its problems."""
        shown = super().to_json()
        if self.problems:
            shown["problems"] = [asdict(problem) for problem in self.problems]
        return shown


class InvalidDefinition(InvalidInput):
    """A workflow or agent file is wrong."""

    code = "invalid_definition"


class NotFound(MosaicError):
    """Nothing with that name or id exists in this tenant."""

    code = "not_found"
    http_status = 404


class Conflict(MosaicError):
    """The present state does not allow it."""

    code = "conflict"
    http_status = 409


class Locked(Conflict):
    """Another process owns this data."""

    code = "locked"


class Stale(Conflict):
    """It has changed since the version that a change was made for; nothing was written."""

    code = "stale"
    http_status = 412


class Unauthenticated(MosaicError):
    """No valid credential was given."""

    code = "unauthenticated"
    http_status = 401


class PermissionDenied(MosaicError):
    """The actor may not do this."""

    code = "permission_denied"
    http_status = 403


class TenantViolation(PermissionDenied):
    """A call reached into another tenant."""

    code = "tenant_violation"


class PolicyDenied(PermissionDenied):
    """A risk policy refused a tool call."""

    code = "policy_denied"


class BudgetExceeded(MosaicError):
    """The next call would pass a hard limit. HTTP 402: clients retry 429 for ever."""

    code = "budget_exceeded"
    http_status = 402


class LimitExceeded(MosaicError):
    """Too many at once, or too many in a time."""

    code = "limit_exceeded"
    http_status = 429
    retryable = True
    failover_safe = True


class Unsupported(MosaicError):
    """The provider or model cannot do this."""

    code = "unsupported"
    http_status = 501
    failover_safe = True


class Unavailable(MosaicError):
    """A provider, tool server or database cannot be reached."""

    code = "unavailable"
    http_status = 503
    retryable = True
    failover_safe = True


class StorageFull(Unavailable):
    """The disk is full: nothing was written."""

    code = "storage_full"
    http_status = 507
    retryable = False
    failover_safe = False


class Damaged(MosaicError):
    """Stored bytes are not what was written; repeating the read does not help."""

    code = "damaged"


class TimedOut(MosaicError):
    """No answer in time."""

    code = "timed_out"
    http_status = 504
    retryable = True


class OutcomeUnknown(MosaicError):
    """An unsafe call was sent and its answer was lost: it may or may not have happened."""

    code = "outcome_unknown"
    http_status = 502


class ContractViolation(MosaicError):
    """A model, tool or provider answered outside its contract."""

    code = "contract_violation"
    http_status = 502


class ToolFailed(MosaicError):
    """A tool ran and reported failure."""

    code = "tool_failed"
    http_status = 502


class ModelRefused(MosaicError):
    """The model declined to answer."""

    code = "model_refused"
    http_status = 502


class ExpressionFailed(MosaicError):
    """A ``${...}`` expression failed at run time."""

    code = "expression_failed"
    http_status = 422


class StepFailed(MosaicError):
    """A workflow step failed for good; `data` holds the step path and the reason."""

    code = "step_failed"


class Cancelled(MosaicError):
    """Someone cancelled the run."""

    code = "cancelled"
    http_status = 499


class Fenced(MosaicError):
    """This node lost its lease; it must write nothing more."""

    code = "fenced"
    http_status = 409


def _tree(root: type[MosaicError]) -> dict[str, type[MosaicError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def error_from_json(shown: dict[str, Any]) -> MosaicError:
    """Return the error that `MosaicError.to_json` wrote; an unknown code becomes a plain `MosaicError`."""
    kind = _tree(MosaicError).get(str(shown.get("code")), MosaicError)
    data = {k: v for k, v in (shown.get("data") or {}).items() if k not in ("message", "hint", "problems")}
    message, hint = str(shown.get("message", "")), shown.get("hint")
    if issubclass(kind, InvalidInput):
        problems = [Problem(**problem) for problem in shown.get("problems", ())]
        return kind(message, hint=hint, problems=problems, **data)
    return kind(message, hint=hint, **data)
