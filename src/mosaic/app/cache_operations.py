"""What every door can ask about kept answers, as plain JSON: how often they were known, and to forget them."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from mosaic.app.door import Door
from mosaic.cache import key_prefix, purge_prefix, purge_tag
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["CacheOperations"]


class CacheOperations:
    """The cache of one process's model door. Every result is JSON, every call is scoped."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def cache(self, ctx: Context) -> JsonObject:
        """Return hit rates by route since this process started, and what each tier holds."""
        cache = self._door.cache
        # Keys spell a tenant's name in their own way.
        routes = cache.counts.by_route(key_prefix(ctx.tenant).rstrip("/"))
        return {
            "routes": [{"route": route, **tally.to_json()} for route, tally in sorted(routes.items())],
            "tiers": [asdict(figures) for figures in cache.figures()],
        }

    async def purge_cache(
        self, ctx: Context, *, route: str | None = None, tag: str | None = None
    ) -> JsonObject:
        """Forget the tenant's answers: of a route, with a tag such as ``model:gpt-5``, or all of them.

        Raises:
            InvalidInput: if both a route and a tag are named.
            Unavailable: if a tier or the other nodes could not be reached; everything else is forgotten.
        """
        if route is not None and tag is not None:
            raise InvalidInput("Forget answers by a route or by a tag, not both.")
        purge = purge_tag(ctx.tenant, tag) if tag is not None else purge_prefix(ctx.tenant, route)
        return {"forgotten": await self._door.cache.purge(purge)}

    async def warm_cache(self, _ctx: Context, *, hours_ahead: int = 0) -> JsonObject:
        """Bring what is expected in an hour, by the weeks before, from the tiers below into memory."""
        at = datetime.now(UTC) + timedelta(hours=hours_ahead)
        report = await self._door.warming.warm_for(at)
        return {"warm": report.warm, "missing": report.missing}
