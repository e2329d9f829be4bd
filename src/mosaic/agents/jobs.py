"""What an agent is asked to do: one job, whose spoken part travels as JSON through a queue."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mosaic.agents.handoff import HandoffContext
from mosaic.agents.schemas import AgentLimits, AgentSpec
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject, JsonValue
from mosaic.providers.ai import Message
from mosaic.tools import Policy, Toolbox

__all__ = ["AgentJob"]


@dataclass(frozen=True, slots=True)
class AgentJob:
    """One job of one agent.

    Attributes:
        spec: who does it.
        prompt: the task; a JSON value is shown to the model as JSON.
        toolbox: the tools of the run; the agent is offered those that its spec selects.
        policy: what may be called without asking, of the step; the spec's own policies narrow it.
        workspace: the worktree; None when the run has none.
        handoff_context: what the agent before has left.
        messages: what was said before, to go on from; system messages are not allowed in it.
        task_kind: chooses among the spec's models.
        models: candidates that replace the spec's (an override of the run).
        peers: one line about each agent that this one may hand over to.
        limits: bounds that replace the spec's own where they are set.
    """

    spec: AgentSpec
    prompt: JsonValue
    toolbox: Toolbox
    policy: Policy
    workspace: Path | None = None
    handoff_context: HandoffContext | None = None
    messages: tuple[Message, ...] = ()
    task_kind: str | None = None
    models: tuple[str, ...] = ()
    peers: Mapping[str, str] = field(default_factory=dict)
    limits: AgentLimits = field(default_factory=AgentLimits)

    def __post_init__(self) -> None:
        if any(message.role == "system" for message in self.messages):
            raise InvalidInput("A job's earlier messages hold no system message: the agent has its own.")

    @property
    def model_candidates(self) -> tuple[str, ...]:
        """The models to try, best first; empty means the installation's default."""
        return self.models or self.spec.models_for(self.task_kind)

    @property
    def max_turns(self) -> int:
        """Model answers that the job may take."""
        return self.limits.max_turns or self.spec.max_turns

    @property
    def context_tokens(self) -> int:
        """Estimated tokens that one request may have."""
        return self.limits.context_tokens or self.spec.context_tokens

    def to_json(self) -> JsonObject:
        """Return the job as a JSON object, without toolbox and policy: the worker resolves those itself."""
        return {
            "spec": self.spec.to_json(),
            "prompt": self.prompt,
            "workspace": None if self.workspace is None else str(self.workspace),
            "handoff_context": None if self.handoff_context is None else self.handoff_context.to_json(),
            "messages": [message.to_json() for message in self.messages],
            "task_kind": self.task_kind,
            "models": list(self.models),
            "peers": dict(self.peers),
            "limits": {key: value for key, value in asdict(self.limits).items() if value is not None},
        }

    @classmethod
    def from_json(cls, shown: JsonObject, *, toolbox: Toolbox, policy: Policy) -> "AgentJob":
        """Return the job that `to_json` wrote, with the tools and the policy that hold here."""
        handoff: Any = shown.get("handoff_context")
        workspace = shown.get("workspace")
        return cls(
            spec=AgentSpec.from_json(shown["spec"]),
            prompt=shown["prompt"],
            toolbox=toolbox,
            policy=policy,
            workspace=None if workspace is None else Path(workspace),
            handoff_context=None if handoff is None else HandoffContext.from_json(handoff),
            messages=tuple(Message.from_json(message) for message in shown.get("messages", ())),
            task_kind=shown.get("task_kind"),
            models=tuple(shown.get("models", ())),
            peers=shown.get("peers") or {},
            limits=AgentLimits(**shown.get("limits", {})),
        )

    def with_prompt(self, prompt: JsonValue) -> "AgentJob":
        """Return the same job with another task."""
        return replace(self, prompt=prompt)
