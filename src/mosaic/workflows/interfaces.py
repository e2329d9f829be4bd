"""What the interpreter needs from the rooms around it. Whoever composes the application injects it as `Services`."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mosaic.core.context import Context
from mosaic.core.errors import NotFound
from mosaic.core.money import Money
from mosaic.core.redaction import Redactor
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import Effects
from mosaic.storage import Write
from mosaic.tools import Approvals, Policy, Toolbox, ToolDoor
from mosaic.workflows.schemas import Definition

__all__ = [
    "ArtifactSink",
    "Budgets",
    "ChildRuns",
    "DefinitionSource",
    "EnvironmentSecrets",
    "RunTools",
    "Secrets",
    "Services",
    "Worktrees",
]


class DefinitionSource(Protocol):
    """Where definitions are kept, by content hash."""

    async def load(self, ctx: Context, content_hash: str) -> Definition:
        """Return the definition; the same one for ever. A child's hash loads the child.

        Raises:
            NotFound: if the tenant has none with that hash.
            InvalidDefinition: if it was stored by a release that understood it differently.
        """
        ...


class RunTools(Protocol):
    """The tools and the policy of a run."""

    def open(self, ctx: Context, run_id: str, definition: Definition) -> AbstractAsyncContextManager[Toolbox]:
        """Open the tools of a definition: built-ins, functions, MCP servers; closed when no longer needed.

        May be open several times at once, on several nodes. A server that cannot be reached does not keep the
        others from being opened: calling one of its tools raises `Unavailable`.
        """
        ...

    def policy(self, ctx: Context, definition: Definition) -> Policy:
        """Return the installation's policy, narrowed by the definition's."""
        ...


class Worktrees(Protocol):
    """The files a run works on."""

    async def open(self, ctx: Context, workspace: JsonObject) -> Path:
        """Return the worktree on this node, made or repaired if need be. May be repeated.

        Args:
            ctx: for whom.
            workspace: what the run was started with as ``workspace``.
        """
        ...

    async def checkpoint(self, ctx: Context, workspace: JsonObject, *, label: str, key: str) -> str | None:
        """Keep the files as they are and return the commit that holds them; None when it cannot.

        Called before a step begins, so that a fork can start from there. Repeated with the same `key` after a
        crash it returns a commit that holds the files as they then are.
        """
        ...


class Budgets(Protocol):
    """The money and token limits of runs."""

    def extension(
        self, ctx: Context, run_id: str, *, usd: Money | None, tokens: int | None
    ) -> Sequence[Write]:
        """Return the writes that raise a run's limits by so much; None leaves a limit alone.

        They are executed in the transaction that records the extension, so exactly once.
        """
        ...


class ChildRuns(Protocol):
    """Runs that a `workflow` step starts."""

    async def start(
        self,
        ctx: Context,
        definition: Definition,
        inputs: JsonObject,
        *,
        parent_run_id: str,
        parent_path: str,
        key: str,
        options: JsonObject,
    ) -> str:
        """Start a child run and return its id. Repeated with the same `key` it is the same run.

        Args:
            ctx: for whom.
            definition: the child's.
            inputs: checked against its schema, defaults filled in.
            parent_run_id: the run whose budget it shares.
            parent_path: the step that waits for it.
            key: unique to this start.
            options: the parent's, of which the model and the priority hold for the child.
        """
        ...

    async def wait(self, ctx: Context, run_id: str) -> JsonValue:
        """Wait for its end and return its outputs; may be repeated, also after the end.

        Raises:
            MosaicError: the child's error.
            Cancelled: if it was cancelled.
        """
        ...

    async def cancel(self, ctx: Context, run_id: str) -> None:
        """Cancel it; does nothing when it has ended."""
        ...


class ArtifactSink(Protocol):
    """Where reports of a run are kept."""

    async def keep(self, effects: Effects, name: str, *, data: bytes, media_type: str) -> None:
        """Keep `data` as an artifact of the run, as the effect ``artifact:<name>`` of this path. May be repeated."""
        ...


class Secrets(Protocol):
    """Where secrets are kept."""

    def value(self, ctx: Context, name: str) -> str:
        """Return a secret, for the moment of a call. Whoever implements it has it masked wherever it might show up.

        Raises:
            NotFound: if this node has none of that name.
        """
        ...


class EnvironmentSecrets:
    """Secrets from the environment of this process.

    Args:
        redactor: learns every secret that is used, so that it is masked in whatever is written.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        self._redactor = redactor or Redactor()

    def value(self, ctx: Context, name: str) -> str:  # noqa: ARG002  # one environment for all tenants
        """Return a variable of the environment."""
        found = os.environ.get(name)
        if not found:
            raise NotFound(
                f"The secret {name} is not set.", hint=f"Set the variable {name} where MosAIc runs."
            )
        self._redactor.add(found)
        return found


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the interpreter and the agents' handler are given.

    Attributes:
        definitions: by content hash.
        door: the tool door.
        approvals: for `ask` steps, and to wait for decisions.
        tools: the run's tools and policy.
        budgets: raised by a `catch` clause.
        children: for `workflow` steps.
        worktrees: None where runs have no files.
        artifacts: where reports of failed checks go; None drops them.
        queues: agent pool -> engine queue, for pools that have one of their own; the others use ``agents``.
        secrets: for the headers of `http` steps.
    """

    definitions: DefinitionSource
    door: ToolDoor
    approvals: Approvals
    tools: RunTools
    budgets: Budgets
    children: ChildRuns
    worktrees: Worktrees | None = None
    artifacts: ArtifactSink | None = None
    queues: Mapping[str, str] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=EnvironmentSecrets)
