"""Runs and artifacts as other rooms see them."""

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum

from mosaic.core.values import JsonObject, JsonValue

__all__ = ["TERMINAL", "Artifact", "Run", "RunOptions", "RunStatus"]


class RunStatus(StrEnum):
    """Where a run stands. `waiting` means that nothing moves until somebody answers."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the caller of a run may choose.

    Attributes:
        model: a ``provider:model`` that replaces every agent's list.
        usd: hard budget in dollars; None takes the workflow's, then the installation's.
        tokens: hard budget in tokens.
        workspace_source: a folder or git repository that replaces the workflow's own.
        workspace_sources: the folders of child workflows that name one, by the child's content hash.
        priority: lower starts earlier.
        parent_run_id: the run that started this one as a child.
        parent_path: the step of the parent.
        run_id: a chosen id, so that a repeated start is one start.
        from_step: where a fork parts from the run it was forked from.
    """

    model: str | None = None
    usd: float | None = None
    tokens: int | None = None
    workspace_source: str | None = None
    workspace_sources: dict[str, str] | None = None
    priority: int = 10
    parent_run_id: str | None = None
    parent_path: str | None = None
    run_id: str | None = None
    from_step: str | None = None

    def to_json(self) -> JsonObject:
        """Return the options that are set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a workflow definition.

    Attributes:
        definition_hash: what it pinned; its bundle is the blob of that hash.
        options: what its caller chose, see `RunOptions`.
        workspace: where it works: path, repository, branch, base_commit, and the commit once there is one.
        root_run_id: the run whose budget it shares; itself unless it is a child.
        forked_from: the run whose results it began with, up to ``options["from_step"]``.
        approvals: what it waits for.
    """

    id: str
    tenant: str
    project: str
    workflow: str
    version: str
    definition_hash: str
    status: RunStatus
    inputs: JsonObject
    options: JsonObject
    created_at: datetime
    outputs: JsonValue = None
    error: JsonObject | None = None
    workspace: JsonObject | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    root_run_id: str = ""
    parent_run_id: str | None = None
    forked_from: str | None = None
    approvals: tuple[str, ...] = field(default=())

    def to_json(self) -> JsonObject:
        """Return the run as the API and the CLI show it."""
        # Not `asdict`: a copy of inputs and outputs costs more than everything else that a list of runs does.
        shown: JsonObject = {name: getattr(self, name) for name in _RUN_FIELDS}
        shown["status"] = self.status.value
        shown["approvals"] = list(self.approvals)
        for name in ("created_at", "started_at", "finished_at"):
            moment: datetime | None = shown[name]
            shown[name] = moment.isoformat() if moment else None
        return shown


_RUN_FIELDS = tuple(known.name for known in fields(Run))


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something a run produced and kept: a report, a patch. The content lives in the blob store."""

    id: str
    run_id: str
    name: str
    media_type: str
    digest: str
    size_bytes: int
    created_at: datetime

    def to_json(self) -> JsonObject:
        """Return the artifact as the API and the CLI show it."""
        return {**asdict(self), "created_at": self.created_at.isoformat()}
