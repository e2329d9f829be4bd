"""Who holds which role: the owner of an installation, and the webhooks that the settings let answer."""

from collections.abc import Mapping, Sequence

from mosaic.core.context import Context
from mosaic.tools.interfaces import Roles

__all__ = ["LocalOwner", "WebhookRoles"]


class LocalOwner:
    """Roles of an installation with one owner: a person holds every role, nobody else holds any."""

    async def holds_any(self, ctx: Context, roles: Sequence[str]) -> bool:  # noqa: ARG002  # the owner has all of them
        """Say whether the actor is a person."""
        return ctx.actor.kind == "user"


class WebhookRoles:
    """Roles of webhooks as the settings give them; everybody else's are asked of `people`.

    Args:
        people: the roles of everybody else.
        roles: webhook name -> its roles; one without roles may not answer anything.
    """

    def __init__(self, people: Roles, roles: Mapping[str, Sequence[str]]) -> None:
        self._people = people
        self._roles = {name: frozenset(held) for name, held in roles.items()}

    async def holds_any(self, ctx: Context, roles: Sequence[str]) -> bool:
        """Say whether the actor holds one of `roles`; with none wanted, whether it may answer at all."""
        if ctx.actor.kind != "webhook":
            return await self._people.holds_any(ctx, roles)
        held = self._roles.get(ctx.actor.id, frozenset())
        return bool(held & set(roles)) if roles else bool(held)
