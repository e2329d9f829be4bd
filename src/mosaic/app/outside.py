"""Calls of tools from outside any run: which there are, by which policy, and the calls themselves."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from mosaic.app.catalogue import ToolCatalogue
from mosaic.app.operation_tools import OperationTools
from mosaic.app.operations import Operations
from mosaic.app.run_tools import RunTools
from mosaic.app.sections import ToolViewSection
from mosaic.core.context import Context
from mosaic.engine import Engine
from mosaic.events import Journal
from mosaic.runs.definitions import Definitions
from mosaic.runs.service import RunService
from mosaic.runs.tool_calls import TOOL_CALL_HANDLER, ToolCalls
from mosaic.storage import Database
from mosaic.tools import Approvals, Policy, Toolbox, ToolDoor

__all__ = ["Outside"]


class Outside:
    """What a client without a run may do.

    Attributes:
        calls: calls tools.
        operation_tools: runs, approvals and workflows as tools.
    """

    def __init__(
        self,
        *,
        database: Database,
        journal: Journal,
        engine: Engine,
        approvals: Approvals,
        door: ToolDoor,
        tools: RunTools,
        catalogue: ToolCatalogue,
        operations: Operations,
        runs: RunService,
        definitions: Definitions,
        views: Mapping[str, ToolViewSection],
    ) -> None:
        self._tools = tools
        self._catalogue = catalogue
        self._views = dict(views)
        self.operation_tools = OperationTools(operations, runs, definitions, journal)
        self.calls = ToolCalls(database, journal, engine, approvals, door, reopen=self._reopen)
        engine.register(TOOL_CALL_HANDLER, self.calls)

    async def toolbox(self, ctx: Context, *, view: str | None = None) -> Toolbox:
        """Return the tools that may be called for `ctx` now; they need no closing.

        Raises:
            NotFound: if there is no such view.
            PermissionDenied: if it is not for this actor.
        """
        whole = await self._catalogue.toolbox(ctx, view=view)
        globs = self._globs(ctx, view)
        ours = [
            tool
            for tool in await self.operation_tools.all(ctx)
            if globs is None or any(fnmatchcase(tool.spec.name, glob) for glob in globs)
        ]
        theirs = [whole.get(name) for name in whole.names]
        return Toolbox(
            [*theirs, *ours],
            unreachable=whole.unreachable,
            quarantined=whole.quarantined,
            tenant=whole.tenant,
        )

    async def policy(self, ctx: Context) -> Policy:
        """Return what runs, asks, or is refused for `ctx` now."""
        return self._tools.outside_policy(ctx)

    async def _reopen(self, ctx: Context, view: str | None) -> tuple[Toolbox, Policy]:
        return await self.toolbox(ctx, view=view), await self.policy(ctx)

    def _globs(self, ctx: Context, view: str | None) -> tuple[str, ...] | None:
        """Return the patterns of what a view, or the project's views, show; None means everything."""
        if view is not None:
            return self._views[view].tools
        bound = [entry for entry in self._views.values() if ctx.project in entry.projects]
        # A view for some roles only shows our own operations to those who name it.
        return tuple(glob for entry in bound if not entry.roles for glob in entry.tools) if bound else None
