"""A step's failure on its way out to whoever handles it."""

from mosaic.core.errors import MosaicError, StepFailed, error_from_json
from mosaic.core.values import JsonObject

__all__ = ["Failure", "Stopped"]


class Failure(Exception):  # named for what happened, like the errors of the tree
    """A step failed for good, unless something around it handles it.

    Attributes:
        error: why.
        step: name of the step that failed, the innermost one.
        path: its path; empty for the run as a whole, ``outputs`` for its outputs.
    """

    def __init__(self, error: MosaicError, *, step: str, path: str) -> None:
        super().__init__(error.message)
        self.error = error
        self.step = step
        self.path = path

    @property
    def code(self) -> str:
        """The error's code; of a `StepFailed` (a child run's) the code of its reason."""
        reason = self.error.data.get("reason") if isinstance(self.error, StepFailed) else None
        return str(reason["code"]) if isinstance(reason, dict) and "code" in reason else self.error.code

    def variable(self) -> JsonObject:
        """Return what `catch` and `compensate` blocks see as ``error``."""
        return {"code": self.code, "message": self.error.message, "data": self.error.data, "step": self.step}

    def to_json(self) -> JsonObject:
        """Return the failure as it is recorded."""
        return {"error": self.error.to_json(), "step": self.step, "path": self.path}

    @classmethod
    def from_json(cls, shown: JsonObject) -> "Failure":
        """Return the failure that `to_json` wrote."""
        return cls(error_from_json(shown["error"]), step=str(shown["step"]), path=str(shown["path"]))

    def as_run_error(self) -> StepFailed:
        """Return the error with which the run ends."""
        reason = self.error
        where = f"Step {self.path!r} failed: " if self.path not in ("", "outputs") else ""
        return StepFailed(
            f"{where}{reason.message}",
            hint=reason.hint,
            step=self.path,
            reason=reason.to_json(),
        )


class Stopped(Exception):  # an end like a cancelled task's, not an error
    """A branch was cancelled in an earlier life of this execution, which crashed before it could note why.

    Nothing records it: the branch that won, the one that failed or the time limit that ended it does so again.
    """
