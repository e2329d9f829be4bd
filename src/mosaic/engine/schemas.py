"""The engine's values: settings, statuses, results and what it lists."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mosaic.core.errors import Cancelled, Fenced, MosaicError, error_from_json
from mosaic.core.values import JsonObject, JsonValue

__all__ = [
    "DEFAULT_RETRY_BUDGET",
    "EngineSettings",
    "ExecutionInfo",
    "ExecutionResult",
    "ExecutionStatus",
    "NodeInfo",
    "QueueLimits",
    "RetryPolicy",
    "ScheduleInfo",
    "Signal",
]

DEFAULT_RETRY_BUDGET = 20


class ExecutionStatus(StrEnum):
    """Where an execution is."""

    QUEUED = "queued"  # waits for a node: not started yet, or handed over by one that stopped in order
    RUNNING = "running"  # some node has it
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEAD = "dead"  # its process crashed too often; `Engine.requeue` gives it another chance

    @property
    def is_final(self) -> bool:
        """Whether it will not change by itself any more."""
        return self not in (ExecutionStatus.QUEUED, ExecutionStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How an execution ended.

    Attributes:
        status: a final status.
        output: what the handler returned, when it succeeded.
        error: what it raised, when it did not; equal to the original in type, code, message and data.
    """

    status: ExecutionStatus
    output: JsonValue = None
    error: MosaicError | None = None

    def unwrap(self) -> JsonValue:
        """Return the output.

        Raises:
            MosaicError: the execution's error, when it did not succeed.
        """
        if self.error is not None:
            raise self.error
        return self.output

    @classmethod
    def from_recorded(cls, output: JsonValue, error: JsonObject | None) -> "ExecutionResult":
        """Return the result that the journal holds."""
        if error is not None:
            return cls(ExecutionStatus.FAILED, error=error_from_json(error))
        return cls(ExecutionStatus.SUCCEEDED, output)


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """One execution, as listed.

    Attributes:
        id: its id, unique among all tenants.
        path: the step path its effects start from.
        attempt: how often a node began to run it.
        crashes: how often in a row its process died under it while it made no progress.
        node: who has it, or had it last.
    """

    id: str
    run_id: str
    handler: str
    path: str
    queue: str | None
    priority: int
    status: ExecutionStatus
    error_code: str | None
    attempt: int
    crashes: int
    node: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Signal:
    """Something told to a run from outside.

    Attributes:
        name: what the run waits for, such as an approval's id.
        payload: what was told.
        sender: who told it, as `str(actor)`.
        sent_at: when.
    """

    name: str
    payload: JsonValue
    sender: str
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One process that runs executions.

    Attributes:
        id: new for every start of the process on PostgreSQL; always ``local`` on SQLite.
        beat_age_s: seconds since its last heartbeat, by the database's clock.
        dead: whether others have taken over its work; that is for ever.
        is_self: whether it is this process.
    """

    id: str
    host: str
    pid: int
    app_version: str
    started_at: datetime
    beat_age_s: float
    dead: bool
    is_self: bool


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A handler that starts by the clock.

    Attributes:
        cron: five fields (or six with seconds last), read in `timezone`.
        next_at: when it fires next; None when the pattern never matches again.
        last_at: the time for which it fired last.
    """

    name: str
    cron: str
    timezone: str
    handler: str
    input: JsonObject
    next_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when to try again.

    Attributes:
        attempts: calls in total, the first one included.
        base_s: seconds before the second call.
        factor: what each further delay is multiplied by.
        max_s: the longest delay in seconds; a provider that asks for more time gets it.
        jitter: how much of a delay is random, 0 to 1, so that many runs do not come back at once.
        on: the error codes to retry; None retries what is `retryable`.
    """

    attempts: int = 3
    base_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0
    jitter: float = 0.2
    on: frozenset[str] | None = None

    def retries(self, error: MosaicError) -> bool:
        """Say whether `error` is worth another call."""
        if isinstance(error, Cancelled | Fenced):
            return False
        return error.retryable if self.on is None else error.code in self.on

    def delay_s(self, attempt: int, error: MosaicError) -> float:
        """Return how long to wait after failed call number `attempt` (from 1)."""
        planned = min(self.max_s, self.base_s * self.factor ** (attempt - 1))
        planned *= 1 + self.jitter * random.uniform(-1, 1)  # noqa: S311  # spreads load, guards nothing
        asked = error.data.get("retry_after_s")
        return max(planned, float(asked)) if isinstance(asked, int | float) else max(0.0, planned)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many executions of a queue run at once; None is no limit.

    Attributes:
        concurrency: on all nodes together.
        per_tenant_concurrency: of one tenant, on all nodes together.
        per_node_concurrency: on one node. Always limited: a node without limit would claim the whole backlog.
    """

    concurrency: int | None = None
    per_tenant_concurrency: int | None = None
    per_node_concurrency: int = 32


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine's section of the settings.

    Attributes:
        node_id: a readable start for this node's id; the host name when None.
        app_version: shown with the node.
        queues: the queues to serve.
        heartbeat_s: PostgreSQL: how often a node says that it lives.
        lease_ttl_s: PostgreSQL: how long after its last heartbeat a node is declared dead.
        max_recoveries: crashes in a row without progress before an execution is a dead letter.
        drain_s: how long `shutdown` waits for effects that have begun.
        retry_budget: retries per run, unless `Engine.set_retry_budget` says otherwise.
        safety_poll_s: how often a waiter looks for itself, in case a wake-up was lost.
        storage_patience_s: how long a finished effect tries to be written while the database is away.
    """

    node_id: str | None = None
    app_version: str = ""
    queues: Mapping[str, QueueLimits] = field(
        default_factory=lambda: {"agents": QueueLimits(per_tenant_concurrency=16, per_node_concurrency=32)}
    )
    heartbeat_s: float = 1.0
    lease_ttl_s: float = 5.0
    max_recoveries: int = 5
    drain_s: float = 10.0
    retry_budget: int = DEFAULT_RETRY_BUDGET
    safety_poll_s: float = 15.0
    storage_patience_s: float = 60.0
