"""The tools that can be called outside any run: what clients of our own MCP server see, and `mosaic tools`."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from mosaic.app.provider_tools import ProviderTools
from mosaic.app.sections import ToolViewSection
from mosaic.core.context import Context
from mosaic.core.errors import NotFound, PermissionDenied
from mosaic.tools import LocalOwner, Roles, Toolbox, Toolboxes

__all__ = ["ToolCatalogue"]


class ToolCatalogue:
    """Every tool of a tenant that needs no worktree: built-ins, provider operations, registered MCP servers.

    Args:
        boxes: built-ins, registered functions and the tenant's MCP servers.
        providers: makes tools of what providers can do.
        views: named parts of the whole, by project or role; a project that views name sees nothing else.
        roles: says who holds which role.
    """

    def __init__(
        self,
        boxes: Toolboxes,
        providers: ProviderTools,
        *,
        views: Mapping[str, ToolViewSection] | None = None,
        roles: Roles | None = None,
    ) -> None:
        self._boxes = boxes
        self._providers = providers
        self._views = dict(views or {})
        self._roles: Roles = roles or LocalOwner()

    async def toolbox(self, ctx: Context, *, view: str | None = None) -> Toolbox:
        """Return the tools that may be called for `ctx` now.

        It needs no closing: sessions of servers are pooled, and lists are cached until a server says that they changed.

        Args:
            ctx: for whom.
            view: a part of them, as ``tools.views`` names it. None means the views that name the project, or
                everything when none does.

        Raises:
            NotFound: if there is no such view, or not for this project.
            PermissionDenied: if the actor holds none of the view's roles.
        """
        chosen = await self._chosen(ctx, view)
        whole = await self._boxes.standing(ctx, extra=self._providers.all())
        if chosen is None:
            return whole
        return whole.only(lambda name: any(fnmatchcase(name, glob) for glob in chosen))

    def views(self, ctx: Context) -> list[str]:
        """Return the names of the views that the project may use."""
        return [
            name for name, view in self._views.items() if not view.projects or ctx.project in view.projects
        ]

    async def shown(self, ctx: Context) -> tuple[str, ...] | None:
        """Return the patterns of the tools that a project's views show to an actor; None means everything."""
        return await self._chosen(ctx, None)

    async def _chosen(self, ctx: Context, name: str | None) -> tuple[str, ...] | None:
        """Return the globs of what may be seen; None means everything."""
        if name is None:
            bound = [view for view in self._views.values() if ctx.project in view.projects]
            held = [view for view in bound if await self._may_use(ctx, view)]
            return tuple(glob for view in held for glob in view.tools) if bound else None
        view = self._views.get(name)
        if view is None or (view.projects and ctx.project not in view.projects):
            known = ", ".join(self.views(ctx)) or "none"
            raise NotFound(
                f"There is no view {name!r} of the tools.", hint=f"Views of this project: {known}."
            )
        if not await self._may_use(ctx, view):
            raise PermissionDenied(f"The view {name} needs one of the roles {', '.join(view.roles)}.")
        return view.tools

    async def _may_use(self, ctx: Context, view: ToolViewSection) -> bool:
        return not view.roles or await self._roles.holds_any(ctx, view.roles)
