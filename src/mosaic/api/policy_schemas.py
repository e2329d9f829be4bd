"""What requests about the policy for tool calls hold, and what answers look like."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from mosaic.api.schemas import Body, Document

__all__ = [
    "CheckPolicy",
    "CheckedPolicy",
    "ExplainCall",
    "ExplainedCall",
    "PolicyDocument",
    "PolicyRulesPage",
    "PolicyVersionDocument",
    "PolicyVersionFiles",
    "PolicyVersionPage",
    "StandingRuleDocument",
    "TestPolicy",
    "TestedPolicy",
]

Decision = Literal["allow", "ask", "deny"]
Risk = Literal["read_only", "generative", "external_api", "destructive", "financial"]
Effect = Literal["read", "write", "exec", "network", "destructive"]
_FILES = "file name (policy.yaml, permissions.cedar) -> content, instead of what is in force"


class PolicyFiles(Body):
    """The files of a policy."""

    files: dict[str, str] = Field(max_length=4, description=_FILES)


class CheckPolicy(PolicyFiles):
    """Files to check."""


class TestPolicy(Body):
    """Tests of a policy."""

    __test__ = False  # not a test of ours, though its name begins like one

    cases: str = Field(min_length=1, max_length=2_000_000, description="YAML, as in policy-tests.yaml")
    files: dict[str, str] | None = Field(None, max_length=4, description=_FILES)


class ExplainCall(Body):
    """A call to explain."""

    tool: str = Field(min_length=1, max_length=300)
    arguments: dict[str, Any] = Field(default_factory=dict)
    agent: str | None = Field(None, max_length=200)
    workflow: str | None = Field(None, max_length=200)
    project: str | None = Field(None, min_length=1, max_length=64)
    actor: str | None = Field(
        None,
        max_length=200,
        pattern="^(user|agent|system|webhook):.+$",
        description="whom the run belongs to",
    )
    run: str | None = Field(None, max_length=64)
    risk: Risk | None = Field(None, description="for a tool that is not known")
    effects: list[Effect] | None = Field(None, max_length=10)
    roles: list[str] = Field([], max_length=50, description="roles of the actor; only with `files`")
    files: dict[str, str] | None = Field(None, max_length=4, description=_FILES)


class RuleDocument(Document):
    """A rule of the policy's file."""

    name: str
    effect: Decision
    match: dict[str, Any]
    when: str | None
    reason: str
    expires_at: datetime | None
    place: str


class LimitDocument(Document):
    """A limit on each tool that fits, for each tenant."""

    tool: str
    requests_per_minute: int | None
    concurrency: int | None
    tenants: list[str]


class PermissionDocument(Document):
    """A permission."""

    name: str
    effect: Literal["permit", "forbid"]


class PolicyDocument(Document):
    """The policy in force."""

    version: str | None = Field(description="the hash of its files; null when there are none")
    files: list[str]
    rules: list[RuleDocument]
    permissions: list[PermissionDocument] | None = Field(description="null when everything is permitted")
    limits: list[LimitDocument]


class RuleLook(Document):
    """What became of a rule for a call."""

    name: str
    effect: Decision
    place: str
    fits: bool
    failed: bool = Field(description="it could not be evaluated, so the call is refused")
    why: str | None = Field(description="what does not fit")


class ExplainedCall(Document):
    """What would become of a call, and why."""

    decision: Decision
    reason: str
    policy: dict[str, str | None] = Field(description="the version, and the rule that decided")
    call: dict[str, Any]
    layers: dict[str, Any] = Field(description="what defaults, settings, workflow and agent say alone")
    rules: list[RuleLook]
    permissions: dict[str, Any] | None
    standing: str | None = Field(description="the standing rule that lets it pass")
    approval: dict[str, Any] | None = Field(description="who would be asked")
    to_change: list[str]
    summary: list[str] = Field(description="the same in sentences")
    notes: list[str]


class PolicyProblem(Document):
    """Something that is wrong in a file."""

    message: str
    path: str
    file: str
    line: int
    column: int
    suggestion: str | None


class CheckedPolicy(Document):
    """What is wrong in the files."""

    valid: bool
    problems: list[PolicyProblem]
    notes: list[str]
    rules: int
    permissions: int


class TestedPolicy(Document):
    """What became of the cases."""

    __test__ = False

    version: str | None
    passed: int
    failed: int
    items: list[dict[str, Any]]


class StandingRuleDocument(Document):
    """A yes that lasts."""

    id: str
    project: str
    tool: str
    arguments: dict[str, Any] | None = Field(description="which arguments it holds for; null for any")
    scope: Literal["run", "always"]
    run_id: str
    approval: str
    roles: list[str]
    quorum: int
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    revoked_by: str | None


class PolicyRulesPage(Document):
    """The rules of the file and the standing rules, these newest first."""

    version: str | None
    items: list[RuleDocument]
    standing: list[StandingRuleDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")


class PolicyVersionDocument(Document):
    """A policy that was in force."""

    version: str
    files: list[str]
    rules: int
    first_used_at: datetime


class PolicyVersionFiles(PolicyVersionDocument):
    """A policy that was in force, with its files."""

    content: dict[str, str]


class PolicyVersionPage(Document):
    """The versions that were in force, newest first."""

    current: str | None
    items: list[PolicyVersionDocument]
    next_cursor: str | None = Field(None, description="continues the page; null at the end")
