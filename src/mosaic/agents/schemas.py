"""The values of the agents room: what an agent is, what it is asked to do, how it ends."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from mosaic.agents.handoff import HandoffContext
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject, JsonValue
from mosaic.providers.ai import Message

__all__ = [
    "AgentLimits",
    "AgentOutcome",
    "AgentSpec",
    "AgentStatus",
    "Availability",
    "Completed",
    "Conversation",
    "HandedOff",
    "NeedsApproval",
    "RegistryMetrics",
    "ToolSelection",
    "TurnUsage",
    "outcome_from_json",
]


@dataclass(frozen=True, slots=True)
class ToolSelection:
    """The tools an agent is offered, in order, and the names it asks for that do not exist."""

    chosen: tuple[str, ...]
    missing: tuple[str, ...]


def is_pattern(name: str) -> bool:
    """Say whether a tool entry is a shell pattern rather than one name."""
    return any(mark in name for mark in "*?[")


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """What an agent is: who it speaks as, with which models and tools, what it must answer, whom it may hand to.

    Attributes:
        name: what workflows and handoffs call it: letters, digits, ``_`` and ``-``, at most 48.
        description: one line for people and for other agents that may hand over to it.
        model: ``<provider>:<model>`` candidates, best first; empty means the installation's default.
        models_by_task: candidates per kind of task (``planning``, ``review``), which replace `model` for it.
        instructions: the system prompt.
        tools: the tools it is offered, in order: names, or shell patterns such as ``files.*``.
        required_tools: those of `tools` it cannot work without: without one, the job is refused before its first turn.
        preferred_tools: those of `tools` whose absence is no error.
        refused_tools: names or patterns never offered, whatever the other lists say.
        output_schema: JSON Schema of its answer; None means text.
        handoffs: the agents it may hand control to.
        max_turns: model answers in one run of it, repairs included.
        repairs: how often in one turn a wrong answer is sent back to the model.
        capacity: jobs at once, over all runs of a tenant.
        pool: the queue its jobs wait in.
        temperature: 0 to 2; None leaves the model's default.
        max_output_tokens: bound of one answer; None leaves the provider's default.
        context_tokens: the conversation's bound; older tool results are elided past it.
        capabilities: dotted names (``code.write``) by which others find it.
        policies: decisions (allow, ask, deny) by risk class, effect or tool, as the layer below the workflow's.
        acp: the coding agent to drive instead of a model loop, for example ``claude``.
        isolation: how such an agent is confined.
        a2a: the agent of another installation that does the work: a name of the settings, or its address.
        skill: which of that agent's skills is meant.
        id: ``DOMAIN-ROLE-NAME``.
        version: of the definition.
        expertise: fields it knows; shown to it and to other agents.
        working_style: shown to it.
        reports_to: the agent or role that coordinates it; carried for selection.
        primary: kinds of task it is best at; carried for selection, as are the next two.
        avoid: kinds of task to give to another.
        keywords: words in a task that speak for it.
    """

    name: str
    description: str = ""
    model: tuple[str, ...] = ()
    models_by_task: dict[str, tuple[str, ...]] = field(default_factory=dict)
    instructions: str = ""
    tools: tuple[str, ...] = ()
    required_tools: tuple[str, ...] = ()
    preferred_tools: tuple[str, ...] = ()
    refused_tools: tuple[str, ...] = ()
    output_schema: JsonObject | None = None
    handoffs: tuple[str, ...] = ()
    max_turns: int = 20
    repairs: int = 2
    capacity: int = 4
    pool: str = "default"
    temperature: float | None = None
    max_output_tokens: int | None = None
    context_tokens: int = 120_000
    capabilities: tuple[str, ...] = ()
    policies: dict[str, str] = field(default_factory=dict)
    acp: str | None = None
    isolation: JsonObject = field(default_factory=dict)
    a2a: str | None = None
    skill: str | None = None
    id: str | None = None
    version: str | None = None
    expertise: tuple[str, ...] = ()
    working_style: str = ""
    reports_to: str | None = None
    primary: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["model", "acp", "a2a"]:
        """What carries the agent: a model in our loop, a coding agent (ACP), or another installation (A2A)."""
        if self.a2a is not None:
            return "a2a"
        return "model" if self.acp is None else "acp"

    def select_tools(self, names: Iterable[str]) -> ToolSelection:
        """Return which of the existing tools `names` the agent is offered, and which of its own do not exist."""
        existing = tuple(names)
        chosen: dict[str, None] = {}
        missing: list[str] = []
        for entry in self.tools:
            hits = [name for name in existing if fnmatchcase(name, entry)]
            if not hits and entry not in self.preferred_tools and not is_pattern(entry):
                missing.append(entry)
            chosen.update(dict.fromkeys(hit for hit in hits if not self.refuses_tool(hit)))
        return ToolSelection(tuple(chosen), tuple(missing))

    def refuses_tool(self, name: str) -> bool:
        """Say whether the tool `name` is refused."""
        return any(fnmatchcase(name, pattern) for pattern in self.refused_tools)

    def models_for(self, task_kind: str | None) -> tuple[str, ...]:
        """Return the model candidates for a kind of task, best first."""
        return self.models_by_task.get(task_kind or "", self.model)

    def to_json(self) -> JsonObject:
        """Return the spec as a JSON object that `from_json` reads back; defaults are left out."""
        plain = AgentSpec(self.name)
        shown: JsonObject = {"name": self.name}
        for item in fields(self):
            value = getattr(self, item.name)
            if value != getattr(plain, item.name):
                shown[item.name] = _jsonable(value)
        return shown

    @classmethod
    def from_json(cls, shown: JsonObject) -> "AgentSpec":
        """Return the spec that `to_json` wrote."""
        values: dict[str, Any] = dict(shown)
        if "models_by_task" in values:
            values["models_by_task"] = {k: tuple(names) for k, names in values["models_by_task"].items()}
        for name in _TUPLES & values.keys():
            values[name] = tuple(values[name])
        return cls(**values)


_TUPLES = {item.name for item in fields(AgentSpec) if item.default == ()}


def _jsonable(value: Any) -> JsonValue:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return value  # type: ignore[no-any-return]  # the remaining fields are JSON values


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Bounds that a job sets in place of its agent's own; None leaves the agent's.

    Attributes:
        max_turns: model answers in this job.
        timeout_s: seconds for one model call.
        max_output_tokens: tokens of one answer.
        context_tokens: estimated tokens of one request.
    """

    max_turns: int | None = None
    timeout_s: float | None = None
    max_output_tokens: int | None = None
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TurnUsage:
    """Tokens that the turns of one job used. The ledger in `cost` is the account; this is for display.

    Attributes:
        requests: model answers.
        input_tokens: sent, cached ones included.
        output_tokens: received, reasoning included.
        tool_calls: tool results that went back to the model.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tool_calls: int = 0


@dataclass(frozen=True, slots=True)
class Completed:
    """The agent answered.

    Attributes:
        output: the answer: text, or the JSON value that passed the output schema.
        messages_ref: blob digest of the conversation; read it with `Conversations.read`.
        usage: tokens of the whole job.
        turns: model answers taken.
        model: the model that answered last, as ``<provider>:<model>``.
    """

    output: JsonValue
    messages_ref: str
    usage: TurnUsage
    turns: int
    model: str

    def to_json(self) -> JsonObject:
        """Return the outcome as a JSON object that `outcome_from_json` reads back."""
        return {"outcome": "completed", **asdict(self)}


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """The agent waits for people: run the same job again once each of `approval_ids` is decided."""

    approval_ids: tuple[str, ...]
    turns: int = 0

    def to_json(self) -> JsonObject:
        """Return the outcome as a JSON object that `outcome_from_json` reads back."""
        return {"outcome": "needs_approval", "approval_ids": list(self.approval_ids), "turns": self.turns}


@dataclass(frozen=True, slots=True)
class HandedOff:
    """The agent gave control to another, with what that one needs to know."""

    to: str
    context: HandoffContext
    messages_ref: str
    usage: TurnUsage
    turns: int

    def to_json(self) -> JsonObject:
        """Return the outcome as a JSON object that `outcome_from_json` reads back."""
        return {"outcome": "handed_off", **asdict(self), "context": self.context.to_json()}


AgentOutcome: TypeAlias = Completed | NeedsApproval | HandedOff


def outcome_from_json(shown: JsonObject) -> AgentOutcome:
    """Return the outcome that its `to_json` wrote.

    Raises:
        InvalidInput: if it is no outcome.
    """
    values = {key: value for key, value in shown.items() if key != "outcome"}
    match shown.get("outcome"):
        case "completed":
            return Completed(**{**values, "usage": TurnUsage(**values["usage"])})
        case "needs_approval":
            return NeedsApproval(tuple(values["approval_ids"]), values["turns"])
        case "handed_off":
            context = HandoffContext.from_json(values["context"])
            return HandedOff(**{**values, "usage": TurnUsage(**values["usage"]), "context": context})
        case other:
            raise InvalidInput(f"Not an agent's outcome: {other!r}.")


class Availability(StrEnum):
    """Whether an agent can take work: separate from the state of its turns."""

    ONLINE = "online"
    BUSY = "busy"
    OFFLINE = "offline"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """One agent as the registry knows it.

    Attributes:
        availability: now, heartbeat and load considered.
        detail: why it is in error or offline, when somebody said.
        active: jobs at work; those that wait for a person do not count.
        capacity: jobs it may have at once.
        pool: the queue its jobs wait in.
    """

    name: str
    version: str | None
    description: str
    kind: str
    capabilities: tuple[str, ...]
    availability: Availability
    detail: str | None
    active: int
    capacity: int
    pool: str
    registered_at: datetime
    heartbeat_at: datetime
    affinities: dict[str, list[str]] = field(default_factory=dict)

    @property
    def load(self) -> float:
        """Active jobs for each place: 0 is idle, 1 is full."""
        return self.active / self.capacity

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        shown = {**asdict(self), "capabilities": list(self.capabilities), "load": round(self.load, 4)}
        return {**shown, "registered_at": _utc(self.registered_at), "heartbeat_at": _utc(self.heartbeat_at)}


@dataclass(frozen=True, slots=True)
class RegistryMetrics:
    """Figures over all agents of a tenant.

    Attributes:
        average_load: mean of active jobs over capacity, of the agents that are not offline; 1.0 is full.
        total_capacity: jobs that the agents that are not offline may have at once.
        utilization: per cent of `total_capacity` in use.
    """

    total: int
    online: int
    offline: int
    busy: int
    error: int
    average_load: float
    total_capacity: int
    utilization: float

    def to_json(self) -> JsonObject:
        """Return the eight figures."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said in one job of an agent, up to now. Secrets are masked.

    Attributes:
        path: the step of the run.
        state: the turn state, see `mosaic.agents.turns`.
        turns: model answers taken.
        messages: the whole conversation; empty in a listing.
    """

    run_id: str
    path: str
    agent: str
    state: str
    turns: int
    model: str
    started_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...] = ()

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        return {
            "run_id": self.run_id,
            "path": self.path,
            "agent": self.agent,
            "state": self.state,
            "turns": self.turns,
            "model": self.model,
            "started_at": _utc(self.started_at),
            "updated_at": _utc(self.updated_at),
            "messages": [message.to_json() for message in self.messages],
        }


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
