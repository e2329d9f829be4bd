"""The workspaces room as runs and workflows see it."""

from pathlib import Path

from mosaic.core.context import Context
from mosaic.core.values import JsonObject
from mosaic.runs.schemas import Run
from mosaic.workspaces import Workspace, Workspaces

__all__ = ["Workplaces"]


class Workplaces:
    """Prepares, opens, checkpoints, commits and removes the checkout of a run."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces

    async def prepare(self, run: Run, source: str, *, base: str | None) -> JsonObject:
        """Return the run's workspace, made on the first call; `base` is a checkpoint of the run it was forked from."""
        start = (run.workspace or {}).get("base_commit") if base else None
        made = await self._workspaces.prepare(run.id, Path(source), base=start, checkpoint=base)
        return made.to_json()

    async def open(self, ctx: Context, workspace: JsonObject) -> Path:
        """Return the worktree on this node, repaired if need be."""
        found = Workspace.from_json(workspace)
        await self._workspaces.ensure(found)
        return found.path

    async def checkpoint(self, ctx: Context, workspace: JsonObject, *, label: str, key: str) -> str | None:
        """Keep the files as they are and return the commit that holds them."""
        return await self._workspaces.checkpoint(Workspace.from_json(workspace), label=label)

    async def commit(self, workspace: JsonObject, message: str, *, key: str) -> JsonObject | None:
        """Commit everything on the run's branch; None when nothing changed since it began."""
        found = Workspace.from_json(workspace)
        made = await self._workspaces.commit(found, message, key=key)
        return made.to_json() if made else None

    async def remove(self, workspace: JsonObject) -> None:
        """Remove the checkout; the branch stays."""
        await self._workspaces.remove(Workspace.from_json(workspace))
