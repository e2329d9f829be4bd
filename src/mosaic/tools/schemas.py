"""The frozen values of the tool door: what a tool is, what a call gives back, what a person is asked."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Safety

__all__ = [
    "Approval",
    "ApprovalKind",
    "ApprovalRequest",
    "ApprovalRule",
    "ApprovalScope",
    "ApprovalStatus",
    "Counting",
    "Decision",
    "OnTimeout",
    "RiskClass",
    "ToolEffect",
    "ToolResult",
    "ToolSpec",
    "Vote",
]

DEFAULT_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 300.0

_NOT_IN_MODEL_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_MODEL_NAME_LENGTH = 64


class RiskClass(StrEnum):
    """How much harm a call can do; every tool has exactly one. An unknown tool is destructive."""

    READ_ONLY = "read_only"
    GENERATIVE = "generative"
    EXTERNAL_API = "external_api"
    DESTRUCTIVE = "destructive"
    FINANCIAL = "financial"


class ToolEffect(StrEnum):
    """What a call touches; a tool may have several. A workflow's `policies` speak in these words."""

    READ = "read"
    WRITE = "write"
    EXEC = "exec"
    NETWORK = "network"
    DESTRUCTIVE = "destructive"


class Decision(StrEnum):
    """What a policy says about a call, from mild to strict."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


OnTimeout = Literal["deny", "approve"]
ApprovalKind = Literal["tool", "ask"]
Counting = Literal["veto", "majority"]
ApprovalScope = Literal["once", "run", "always"]
"""How long a yes holds: for this call, for matching calls of this run, for matching calls until it is revoked."""


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Who may answer when a call must be asked for, how long they have, and what silence means.

    Attributes:
        roles: any one of them suffices; empty means any person.
        timeout_s: seconds until `on_timeout` applies; None waits for ever.
        on_timeout: what silence means. Deny is the default.
        required: ask even where the policy would allow.
        quorum: how many different people must say yes; with ``majority``, how many must vote.
        counting: with ``veto`` one no is enough to reject; with ``majority`` the larger side decides once the quorum
            has voted, and a tie rejects.
        four_eyes: whoever the run belongs to may not say yes. Always so where more than one person must.
    """

    roles: tuple[str, ...] = ()
    timeout_s: float | None = None
    on_timeout: OnTimeout = "deny"
    required: bool = False
    quorum: int = 1
    counting: Counting = "veto"
    four_eyes: bool = False


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool as models, policies and people see it.

    Attributes:
        name: dotted, such as ``files.read``.
        description: what it does, for the model and for the person who approves it.
        input_schema: JSON Schema of the arguments (an object).
        output_schema: JSON Schema of the content; None leaves it unchecked.
        risk: the risk class.
        effects: what it touches, see `ToolEffect`.
        timeout_s: seconds one call may take.
        stop_s: seconds beyond that which a tool that keeps its own time may need to stop and tell what it has.
        safety: whether a call that was cut short may simply run again (the engine's word).
        source: where it comes from: ``builtin``, ``python:module:function``, ``file:tools.py:name``, ``mcp:server``.
        retries: whether a retryable failure may be tried again.
        approval: who is asked and how long, when a call must be asked for.
        result_bytes: how much of the content is kept; None means the door's own bound.
        original: the name by which the installation knows it, where a workflow calls it otherwise; ``own:<name>`` for
            what a workflow brings along itself.
    """

    name: str
    description: str
    input_schema: JsonObject
    output_schema: JsonObject | None = None
    risk: RiskClass = RiskClass.DESTRUCTIVE
    effects: frozenset[ToolEffect] = frozenset()
    timeout_s: float = DEFAULT_TIMEOUT_S
    stop_s: float = 0.0
    safety: Safety = Safety.UNSAFE
    source: str = "builtin"
    retries: bool = False
    approval: ApprovalRule | None = None
    result_bytes: int | None = None
    original: str | None = None

    @property
    def known_as(self) -> str:
        """The name that an installation's permissions and allow rules go by; no workflow can choose it."""
        return self.original or self.name

    @property
    def model_name(self) -> str:
        """The name in the alphabet that every model API accepts (``files__read``); `Toolbox.get` knows it too."""
        plain = _NOT_IN_MODEL_NAMES.sub("_", self.name.replace(".", "__"))
        if len(plain) <= _MODEL_NAME_LENGTH:
            return plain
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:8]
        return f"{plain[: _MODEL_NAME_LENGTH - 9]}_{digest}"

    def to_json(self) -> JsonObject:
        """Return what a listing shows."""
        return {
            "name": self.name,
            "description": self.description,
            "risk": self.risk.value,
            "effects": sorted(effect.value for effect in self.effects),
            "source": self.source,
            "timeout_s": self.timeout_s,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
        }


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave back.

    Attributes:
        content: a JSON value within the door's size bound, secrets masked.
        is_error: the tool ran (or was refused by a person) and says it failed; the model should read why.
        truncated: `content` is not all of it.
        blob: digest of the full output in the blob store, when it was kept.
    """

    content: JsonValue
    is_error: bool = False
    truncated: bool = False
    blob: str | None = None

    def to_json(self) -> JsonObject:
        """Return the result as the journal keeps it."""
        shown: JsonObject = {"content": self.content}
        if self.is_error:
            shown["is_error"] = True
        if self.truncated:
            shown["truncated"] = True
        if self.blob is not None:
            shown["blob"] = self.blob
        return shown

    @classmethod
    def from_json(cls, shown: Mapping[str, JsonValue]) -> "ToolResult":
        """Return the result that `to_json` wrote."""
        blob = shown.get("blob")
        return cls(
            content=shown.get("content"),
            is_error=bool(shown.get("is_error", False)),
            truncated=bool(shown.get("truncated", False)),
            blob=blob if isinstance(blob, str) else None,
        )


class ApprovalStatus(StrEnum):
    """Where an approval stands; every state but pending is final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What to ask a person.

    Attributes:
        kind: ``tool`` for a tool call, ``ask`` for a workflow's own question.
        title: one line that says who wants what.
        detail: for a tool: tool, risk, effects, arguments, diff or command, why, agent, cost_so_far, on_approve,
            on_reject. For an ask: whatever the workflow shows.
        rule: who may answer, how long they have, what silence means.
        arguments: what an approver may edit before approving; None when nothing can be edited.
        arguments_schema: JSON Schema for edited arguments (tool) or for the answer (ask).
    """

    kind: ApprovalKind
    title: str
    detail: JsonObject = field(default_factory=dict)
    rule: ApprovalRule = ApprovalRule()
    arguments: JsonObject | None = None
    arguments_schema: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer; each has one, and the last one counts while nothing is decided.

    Attributes:
        actor: ``user:...`` or ``webhook:...``.
        approve: yes or no.
        arguments: the arguments the yes is for; None for those that were asked about.
        answer: the answer to a question of kind ``ask``.
        scope: how long the yes shall hold.
        pattern: what calls it shall hold for, see `ArgumentPattern`.
    """

    actor: str
    approve: bool
    voted_at: datetime
    note: str | None = None
    arguments: JsonObject | None = None
    answer: JsonValue = None
    scope: ApprovalScope = "once"
    pattern: JsonObject | None = None

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        return {
            "actor": self.actor,
            "approve": self.approve,
            "voted_at": self.voted_at.isoformat(),
            "note": self.note,
            "edited": self.arguments is not None,
            "scope": self.scope,
        }


@dataclass(frozen=True, slots=True)
class Approval:
    """A question to a person, and its answer.

    Attributes:
        id: ``apr_...``; also the name of the signal that its decision sends to the run.
        requested_by: the actor whose run asks.
        expires_at: when `on_timeout` applies; None never.
        quorum: how many different people must say yes, see `ApprovalRule`.
        votes: the answers so far, the oldest first.
        arguments: the arguments as edited by the approver; None when they were left alone.
        answer: the answer to a question of kind ``ask``.
        scope: how long the yes holds.
        pattern: the calls it holds for besides this one; None for a yes that holds once.
        rule: the id of the rule that a lasting yes became.
        decided_by: the actor whose answer decided, or ``system:timeout`` when silence did.
    """

    id: str
    run_id: str
    path: str
    kind: ApprovalKind
    title: str
    detail: JsonObject
    roles: tuple[str, ...]
    status: ApprovalStatus
    requested_by: str
    requested_at: datetime
    expires_at: datetime | None = None
    on_timeout: OnTimeout = "deny"
    quorum: int = 1
    counting: Counting = "veto"
    four_eyes: bool = False
    votes: tuple[Vote, ...] = ()
    decided_by: str | None = None
    decided_at: datetime | None = None
    note: str | None = None
    arguments: JsonObject | None = None
    answer: JsonValue = None
    scope: ApprovalScope = "once"
    pattern: JsonObject | None = None
    rule: str | None = None

    @property
    def approved(self) -> bool:
        """Whether the answer is yes."""
        return self.status is ApprovalStatus.APPROVED

    @property
    def pending(self) -> bool:
        """Whether it is not decided yet."""
        return self.status is ApprovalStatus.PENDING

    @property
    def separate(self) -> bool:
        """Whether somebody else than the run's owner must say yes."""
        return self.four_eyes or self.quorum > 1

    def to_json(self) -> JsonObject:
        """Return what doors show."""
        return {
            "id": self.id,
            "run_id": self.run_id,
            "path": self.path,
            "kind": self.kind,
            "title": self.title,
            "detail": self.detail,
            "roles": list(self.roles),
            "status": self.status.value,
            "requested_by": self.requested_by,
            "requested_at": self.requested_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "on_timeout": self.on_timeout,
            "quorum": self.quorum,
            "counting": self.counting,
            "four_eyes": self.separate,
            "votes": [vote.to_json() for vote in self.votes],
            "decided_by": self.decided_by,
            "decided_at": self.decided_at.isoformat() if self.decided_at else None,
            "note": self.note,
            "arguments": self.arguments,
            "answer": self.answer,
            "scope": self.scope,
            "pattern": self.pattern,
            "rule": self.rule,
        }
