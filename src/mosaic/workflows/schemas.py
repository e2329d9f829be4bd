"""A workflow definition as frozen values: what the loader makes and the interpreter runs.

Everything here is plain, checked and self-contained: references are resolved, `file:` texts and ``$ref`` schemas
are inlined, defaults are filled in. Expressions are `Template` and `Value` (`mosaic.workflows.expressions`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

from mosaic.agents.schemas import AgentSpec
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.workflows.bundle import Bundle
from mosaic.workflows.expressions import Value
from mosaic.workflows.inputs import bind_inputs
from mosaic.workflows.steps import (
    RUN_FIELDS,
    AgentStep,
    AskStep,
    Case,
    Catch,
    Check,
    DoStep,
    EmitStep,
    ForkStep,
    ForStep,
    HandoffStep,
    HttpStep,
    Join,
    ListenStep,
    OnFail,
    Place,
    Retry,
    RunStep,
    SecretRef,
    SetStep,
    Step,
    StepBase,
    SwitchStep,
    ToolStep,
    TryStep,
    ValidateStep,
    VoteRule,
    VoteStep,
    WaitStep,
    WhileStep,
    WorkflowStep,
)

__all__ = [
    "RUN_FIELDS",
    "AgentEntry",
    "AgentStep",
    "Approval",
    "AskStep",
    "Case",
    "Catch",
    "Check",
    "Definition",
    "DoStep",
    "EmitStep",
    "ForStep",
    "ForkStep",
    "HandoffStep",
    "HttpStep",
    "Join",
    "Limits",
    "ListenStep",
    "McpServer",
    "OnFail",
    "Place",
    "Retry",
    "RunStep",
    "SecretRef",
    "SetStep",
    "Step",
    "StepBase",
    "SwitchStep",
    "ToolEntry",
    "ToolStep",
    "TryStep",
    "ValidateStep",
    "VoteRule",
    "VoteStep",
    "WaitStep",
    "WhileStep",
    "WorkflowStep",
    "WorkspaceEntry",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a whole run; None = no bound of the definition's own.

    Attributes:
        usd: money, hard: the call that would pass it is not made (`BudgetExceeded`).
        tokens: input plus output tokens, hard likewise.
        duration_s: seconds from the start; passing it raises `TimedOut` in the run.
        concurrency: steps that run at the same time in all `for` and `fork` of the run together.
        retries: the run's one retry budget: further tries of anything, all together.
    """

    usd: Money | None = None
    tokens: int | None = None
    duration_s: float | None = None
    concurrency: int = 8
    retries: int = 20


@dataclass(frozen=True, slots=True)
class AgentEntry:
    """One agent of the definition, from its mapping or from a file (``coder: file:agents/coder.md``).

    Attributes:
        name: the key in `agents:`; equal to ``spec.name``.
        place: where it is defined.
        spec: the agent, as the agents room reads it; `file:` texts are inlined, schemas self-contained. Its
            `tools` and `handoffs` are checked against the definition.
    """

    name: str
    place: Place
    spec: AgentSpec


@dataclass(frozen=True, slots=True)
class Approval:
    """Who must approve each call of a tool, and what happens when nobody does.

    Attributes:
        roles: empty = anyone who may approve in the project.
        wait_s: seconds; None = for ever.
        on_timeout: the decision after `wait_s`.
        quorum: how many different people must say yes; with ``majority``, how many must vote.
        counting: whether one no rejects (``veto``) or the larger side decides (``majority``).
        four_eyes: whoever the run belongs to may not say yes.
    """

    roles: tuple[str, ...] = ()
    wait_s: float | None = None
    on_timeout: Literal["deny", "approve"] = "deny"
    quorum: int = 1
    counting: Literal["veto", "majority"] = "veto"
    four_eyes: bool = False


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server that the file describes itself. Either `command` or `url` is set.

    Attributes:
        command: program and arguments for stdio.
        env: environment variables for it; text or the name of a secret.
        url: address for streamable HTTP.
        headers: for `url`.
        trust_annotations: take the server's word for which of its tools only read.
        confined: keep a stdio server from changing files outside the workspace.
        start_timeout_s: how long it may take to answer at first.
    """

    command: tuple[str, ...] = ()
    env: Mapping[str, "str | SecretRef"] = field(default_factory=dict)
    url: str | None = None
    headers: Mapping[str, "str | SecretRef"] = field(default_factory=dict)
    trust_annotations: bool = False
    confined: bool = False
    start_timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """One tool of the definition: a new one, or tighter rules for one that exists.

    Attributes:
        name: the key in `tools:`; what agents and steps call it. With `all_of_server`: tools are ``<name>.<tool>``.
        source: ``mcp``, ``python`` (a function of the installation, or of a file of the bundle), or ``known`` (a
            built-in or registered tool of the same name, or `tool`, that gets these rules).
        server: for ``mcp``: the name of a server in the installation's settings, or the server itself.
        tool: the tool's name at its source; None = `name`.
        all_of_server: ``tool: "*"``: every tool of the server.
        function: for ``python``: ``module:function``; with `file` the function's name.
        file: for ``python``: path of a Python file in the bundle.
        risk: risk class; None = what the tool says itself, ``destructive`` when it says nothing.
        approval: who approves; None = the policy's default for the risk class. When set, every call asks.
        timeout_s: None = the tool's own (30 s).
        effects: what it touches (``read``, ``write``, ``exec``, ``network``, ``destructive``); None = its own word.
        retries: whether a retryable failure is tried again; None = its own word.
    """

    name: str
    place: Place
    source: Literal["mcp", "python", "known"]
    description: str | None = None
    server: str | McpServer | None = None
    tool: str | None = None
    all_of_server: bool = False
    function: str | None = None
    file: str | None = None
    risk: Literal["read_only", "generative", "external_api", "destructive", "financial"] | None = None
    approval: Approval | None = None
    timeout_s: float | None = None
    effects: tuple[str, ...] | None = None
    retries: bool | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceEntry:
    """What the run works on: `source`, a directory beside the definition, relative to it (not in the bundle)."""

    source: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One checked workflow.

    Attributes:
        name: ``metadata.name``.
        version: ``metadata.version``; ``0`` when absent.
        description: ``metadata.description``.
        labels: ``metadata.labels``.
        content_hash: ``sha256:...`` of the bundle; a run pins it.
        bundle: the file and every file it refers to.
        inputs_schema: JSON Schema of the inputs, self-contained; inputs it does not name are refused unless it says
            ``additionalProperties: true``. Use `mosaic.workflows.inputs.bind_inputs`, or `bind_inputs` here.
        limits: bounds of the run.
        policies: risk word -> ``allow`` | ``ask`` | ``deny``. Words: ``read``, ``write``, ``exec``, ``network``
            and the five risk classes. Narrower wins: tool entry (`ToolEntry.approval`), then step, agent, workflow, installation.
        agents: by name.
        tools: by name.
        steps: `do:`.
        catch: the workflow's own clauses, for a failure no step caught.
        outputs: evaluates to an object in the scope of the top-level steps; ``None`` = the result of the block
            under the name ``result``.
        outputs_schema: JSON Schema the outputs must meet, or None; else the run fails with `ContractViolation`.
        workspace: what the run works on; None = an empty workspace if anything needs one.
        children: the definitions of `WorkflowStep`, by the key that `WorkflowStep.workflow` holds.
    """

    name: str
    version: str
    description: str
    labels: Mapping[str, str]
    content_hash: str
    bundle: Bundle
    inputs_schema: JsonObject
    limits: Limits
    policies: Mapping[str, str]
    agents: Mapping[str, AgentEntry]
    tools: Mapping[str, ToolEntry]
    steps: tuple[Step, ...]
    catch: tuple[Catch, ...]
    outputs: Value | None
    outputs_schema: JsonObject | None
    workspace: WorkspaceEntry | None
    children: "Mapping[str, Definition]"

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> "Definition":
        """Return the definition that `bundle` holds, without touching the disk.

        Raises:
            InvalidDefinition: if the bundle holds none that is right (it was stored by another release).
        """
        # By name: the loader makes definitions, so it imports this module.
        loader = import_module("mosaic.workflows.loader")
        found: Definition = loader.load_bundle(bundle)
        return found

    def bind_inputs(self, inputs: JsonObject) -> JsonObject:
        """Return `inputs` with the schema's defaults filled in.

        Raises:
            InvalidInput: with one problem for everything that is wrong.
        """
        return bind_inputs(self.inputs_schema, inputs)
