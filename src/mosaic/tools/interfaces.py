"""What another implementation must honour: a tool, a judge of roles, a teller of costs."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from mosaic.core.context import Context
from mosaic.core.values import JsonObject, JsonValue
from mosaic.storage import Transaction
from mosaic.tools.sandbox import Doors, Sandboxes
from mosaic.tools.schemas import ToolResult, ToolSpec

__all__ = ["BaseTool", "CostSoFar", "DoorKeys", "Invocation", "Roles", "RuleKeeper", "SignalSender", "Tool"]

CostSoFar = Callable[[Context, str], Awaitable[str | None]]
"""Tells what a run has cost up to now, as text for a person; None when it is not known."""


DoorKeys = Callable[[Context, str, float], AbstractAsyncContextManager[Doors]]
"""Opens the model gateway and the tool door for one command of a run, which takes so many seconds at most."""


def _silent(_line: str) -> None:
    """Drop a progress line."""


async def _keep_nothing(_data: bytes) -> str | None:
    """Drop output."""
    return None


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call as the tool sees it.

    Attributes:
        workspace: the worktree the call is confined to; None when the run has none.
        idempotency_key: the same for every attempt and every re-run of this call after a crash.
        attempt: 1-based.
        timeout_s: seconds the door gives it; the door enforces it, a tool may use it for its own children.
        network: whether the policy lets this call reach the network.
        network_granted: whether it says so in so many words; a command has no network where nobody spoke of it.
        doors: opens the model gateway and the tool door for one command, where it may have them.
        progress: call it with a line of text while working; cheap, may be dropped.
        sandboxes: where it runs commands.
        keep: stores output that is too long for a result, secrets masked; returns its blob's digest.
    """

    ctx: Context
    run_id: str
    path: str
    agent: str | None
    workspace: Path | None
    idempotency_key: str
    timeout_s: float
    progress: Callable[[str], None] = _silent
    attempt: int = 1
    network: bool = True
    network_granted: bool = False
    doors: Callable[[], AbstractAsyncContextManager[Doors | None]] = nullcontext
    keep: Callable[[bytes], Awaitable[str | None]] = _keep_nothing
    sandboxes: Sandboxes = field(default_factory=Sandboxes)

    @property
    def commands_have_network(self) -> bool:
        """Whether commands of this call get the host's network."""
        return self.sandboxes.gives_network(self.network, granted=self.network_granted)

    @property
    def scratch(self) -> Path | None:
        """A directory beside the worktree for a call's own files: never committed, removed with the worktree."""
        return None if self.workspace is None else self.workspace.with_name(f"{self.workspace.name}.scratch")


class Tool(Protocol):
    """Something that can be called through the door; `BaseTool` has defaults for all but `call`.

    The door has validated the arguments, asked whoever had to be asked, and bounds the time. A tool raises a
    `MosaicError` when it could not do its work (`ToolFailed`, `Unavailable`, `TimedOut`) and returns a result with
    `is_error` when it did its work and the answer is a failure the model should read. When it is cancelled it
    stops its children before it lets `CancelledError` through. `call` may be repeated with the same idempotency
    key when its `spec.safety` is not UNSAFE, and must then have the effect of one call.
    """

    @property
    def spec(self) -> ToolSpec:
        """What this tool is; the same for its whole life."""
        ...

    def spec_for(self, arguments: JsonObject) -> ToolSpec:
        """Return the spec of a call with these (valid) arguments; another risk or safety than usual, at most."""
        ...

    async def call(self, invocation: Invocation, arguments: JsonObject) -> ToolResult:
        """Do it once.

        Raises:
            MosaicError: when it could not be done.
        """
        ...

    async def preview(self, invocation: Invocation, arguments: JsonObject) -> JsonObject:
        """Return what a person should see before approving: ``diff``, ``command``; empty when arguments say it all.

        It changes nothing and does not raise for a call that would fail: it says so in ``note``.
        """
        ...


class BaseTool:
    """A tool with a fixed spec and nothing to preview."""

    def __init__(self, spec: ToolSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> ToolSpec:
        """What this tool is."""
        return self._spec

    def spec_for(self, arguments: JsonObject) -> ToolSpec:  # noqa: ARG002  # for tools whose risk depends on them
        """Return the spec, whatever the arguments."""
        return self._spec

    async def preview(self, invocation: Invocation, arguments: JsonObject) -> JsonObject:  # noqa: ARG002  # see above
        """Return nothing: the arguments say it all."""
        return {}


class SignalSender(Protocol):
    """Tells a waiting run something; the engine does."""

    async def send_signal(
        self, tx: Transaction, ctx: Context, run_id: str, name: str, payload: JsonValue
    ) -> None:
        """Send a signal in the caller's transaction.

        Raises:
            Conflict: if the run got a signal of that name before.
        """
        ...


class Roles(Protocol):
    """Says whether an actor holds a role. The local owner holds all of them."""

    async def holds_any(self, ctx: Context, roles: Sequence[str]) -> bool:
        """Say whether the actor holds at least one of `roles`; any person does when `roles` is empty."""
        ...


class RuleKeeper(Protocol):
    """Keeps a yes that is to hold for more than one call, as a rule that people can see and revoke."""

    async def remember(
        self,
        tx: Transaction,
        ctx: Context,
        *,
        tool: str,
        arguments: JsonObject,
        scope: Literal["run", "always"],
        run_id: str,
        approval_id: str,
    ) -> str:
        """Keep a rule that lets matching calls pass without asking, in the caller's transaction; return its id.

        The policy decides: a deny still wins over it.

        Args:
            tx: the transaction of the decision.
            ctx: who granted it.
            tool: the tool's name.
            arguments: which arguments it holds for, as `mosaic.tools.approving.patterns.ArgumentPattern.to_json`
                writes it: ``{"path": {"like": "src/**"}, "content": {"any": true}}``. `ArgumentPattern.matches`
                judges a call; one with an argument that is not named does not match.
            scope: for the rest of the run, or until it is revoked.
            run_id: the run that asked.
            approval_id: the approval that granted it.

        Raises:
            InvalidInput: if such a rule cannot be kept; nothing is decided then.
        """
        ...
