"""What a call with other arguments would do, worked out before somebody says yes to them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from mosaic.core.context import Context
from mosaic.core.errors import MosaicError
from mosaic.core.values import JsonObject
from mosaic.tools.interfaces import Invocation
from mosaic.tools.schemas import Approval
from mosaic.tools.toolbox import Toolbox

__all__ = ["Previews"]

_LONGEST_S = 30.0


class Previews:
    """Asks the tools of this process; those that only a run opens (MCP servers, files of a workflow) cannot be asked.

    Args:
        toolbox: returns the tools of this process.
        workspace: returns the worktree of a run, when it is on this machine.
    """

    def __init__(self, toolbox: Callable[[], Toolbox], workspace: Callable[[str], Path | None]) -> None:
        self._toolbox = toolbox
        self._workspace = workspace

    async def of(self, ctx: Context, approval: Approval, arguments: JsonObject) -> JsonObject:
        """Return risk, effects, and what the tool shows: ``diff``, ``command``, or a ``note`` that says why nothing."""
        name = str(approval.detail.get("tool"))
        toolbox = self._toolbox()
        if name not in toolbox.names:
            return {"note": f"{name} belongs to the run: what it would do cannot be worked out here."}
        workspace = await asyncio.to_thread(self._workspace, approval.run_id)
        tool = toolbox.get(name)
        spec = tool.spec_for(arguments)
        invocation = Invocation(
            ctx=ctx,
            run_id=approval.run_id,
            path=approval.path,
            agent=None,
            workspace=workspace,
            idempotency_key=f"preview-{approval.id}",
            timeout_s=min(spec.timeout_s, _LONGEST_S),
        )
        try:
            async with asyncio.timeout(invocation.timeout_s):
                preview = await tool.preview(invocation, arguments)
        except (MosaicError, TimeoutError) as error:
            preview = {"note": f"It cannot be shown what this would do: {error or 'it took too long'}"}
        return {
            "risk": spec.risk.value,
            "effects": sorted(effect.value for effect in spec.effects),
            **preview,
        }
