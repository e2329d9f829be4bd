"""The workspaces room as runs and workflows see it."""

import tempfile
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

    async def prepare(self, run: Run, source: str | None) -> JsonObject:
        """Return the run's workspace, made on the first call; without a source it is empty."""
        begins = run.workspace or {}
        checkpoint: str | None = begins.get("checkpoint")
        base: str | None = begins.get("base_commit") if checkpoint else None
        kept = begins.get("store") if checkpoint and begins.get("store") == begins.get("repository") else None
        if kept is not None:
            # The folder may have changed since it was imported; the repository it was imported into has not.
            made = await self._workspaces.prepare(run.id, Path(kept), base=base, checkpoint=checkpoint)
        elif source is not None:
            made = await self._workspaces.prepare(run.id, Path(source), base=base, checkpoint=checkpoint)
        else:
            with tempfile.TemporaryDirectory() as folder:
                empty = Path(folder) / "empty"
                empty.mkdir()
                made = await self._workspaces.prepare(run.id, empty, base=base, checkpoint=checkpoint)
        return made.to_json()

    async def open(self, ctx: Context, workspace: JsonObject) -> Path:  # noqa: ARG002  # the interface's arguments
        """Return the worktree on this node, repaired if need be."""
        found = Workspace.from_json(workspace)
        await self._workspaces.ensure(found)
        return found.path

    async def checkpoint(
        self,
        ctx: Context,  # noqa: ARG002  # the interface's arguments
        workspace: JsonObject,
        *,
        label: str,
        key: str,  # noqa: ARG002  # equal files give an equal commit
    ) -> str | None:
        """Keep the files as they are and return the commit that holds them."""
        return await self._workspaces.checkpoint(Workspace.from_json(workspace), label=label)

    async def commit(self, workspace: JsonObject, message: str, *, key: str) -> JsonObject | None:
        """Commit everything on the run's branch; None when nothing changed since it began."""
        found = Workspace.from_json(workspace)
        made = await self._workspaces.commit(found, message, key=key)
        return made.to_json() if made else None

    def path(self, run_id: str) -> Path | None:
        """Return the run's worktree on this node, when there is one."""
        return self._workspaces.worktree(run_id)

    async def remove(self, workspace: JsonObject) -> None:
        """Remove the checkout; the branch stays."""
        await self._workspaces.remove(Workspace.from_json(workspace))
