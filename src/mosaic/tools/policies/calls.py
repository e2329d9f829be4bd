"""One call as rules and permissions look at it."""

from dataclasses import dataclass
from pathlib import Path

from mosaic.core.context import Actor, Context
from mosaic.core.values import JsonObject
from mosaic.tools.schemas import ToolSpec

__all__ = ["PolicyCall"]


@dataclass(frozen=True, slots=True)
class PolicyCall:
    """What a policy may look at.

    Attributes:
        spec: the tool, as it is with these arguments.
        arguments: valid for the tool.
        ctx: tenant, project and actor.
        agent: the agent that calls; empty when a step or a client does.
        workflow: the workflow of the run; empty when there is none.
        run_id: the run; empty when there is none.
        workspace: the worktree, against which paths are read; None when the run has none.
        owner: whom the run belongs to; the actor itself when nobody else is known.
    """

    spec: ToolSpec
    arguments: JsonObject
    ctx: Context
    agent: str = ""
    workflow: str = ""
    run_id: str = ""
    workspace: Path | None = None
    owner: Actor | None = None

    def fields(self) -> JsonObject:
        """Return what a condition sees as ``call``; what the run has cost is added where it is asked for."""
        return {
            "tool": self.spec.known_as,
            "risk": self.spec.risk.value,
            "effects": sorted(effect.value for effect in self.spec.effects),
            "arguments": self.arguments,
            "agent": self.agent,
            "project": self.ctx.project,
            "tenant": self.ctx.tenant,
            "workflow": self.workflow,
            "actor": str(self.ctx.actor),
            "run": self.run_id,
        }
