"""What the client of a running server asks about keys, budgets, cost, providers and routes."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mosaic.core.values import JsonObject

__all__ = ["DoorRequests"]


class DoorRequests:
    """The model door's part of `HttpClient`."""

    @abstractmethod
    async def json(self, method: str, path: str, **options: Any) -> JsonObject:
        """Send a request and return the answer, or raise the error it tells of."""

    async def create_key(self, wanted: JsonObject) -> JsonObject:
        """Make a key; the answer has its secret, this once."""
        return await self.json("POST", "/keys", json=wanted)

    async def keys(self, *, project: str | None = None) -> JsonObject:
        """Return the keys."""
        return await self.json("GET", "/keys", params=_given(project=project))

    async def key(self, key_id: str) -> JsonObject:
        """Return one key with its own budgets."""
        return await self.json("GET", f"/keys/{quote(key_id, safe='')}")

    async def revoke_key(self, key_id: str) -> JsonObject:
        """Make a key useless."""
        return await self.json("POST", f"/keys/{quote(key_id, safe='')}/revoke")

    async def rotate_key(self, key_id: str, *, grace_s: float | None = None) -> JsonObject:
        """Give a key another secret."""
        return await self.json("POST", f"/keys/{quote(key_id, safe='')}/rotate", json={"grace_s": grace_s})

    async def set_budget(self, wanted: JsonObject) -> JsonObject:
        """Set a budget."""
        return await self.json("PUT", "/budgets", json=wanted)

    async def budgets(self, *, scope: str | None = None, subject: str | None = None) -> JsonObject:
        """Return the budgets."""
        return await self.json("GET", "/budgets", params=_given(scope=scope, subject=subject))

    async def budget(self, budget_id: str) -> JsonObject:
        """Return one budget."""
        return await self.json("GET", f"/budgets/{quote(budget_id, safe='')}")

    async def remove_budget(self, budget_id: str) -> JsonObject:
        """Remove a budget."""
        return await self.json("DELETE", f"/budgets/{quote(budget_id, safe='')}")

    async def lost_leases(self) -> JsonObject:
        """Return the leases of processes that are gone."""
        return await self.json("GET", "/budget-leases")

    async def reconcile_budgets(self, *, as_spent: bool) -> JsonObject:
        """End the leases of processes that are gone."""
        return await self.json("POST", "/budget-leases/reconcile", json={"as_spent": as_spent})

    async def usage(
        self,
        *,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        where: JsonObject | None = None,
    ) -> JsonObject:
        """Return usage and cost by some dimensions."""
        query = _given(by=list(by), since=since, until=until, where=_filters(where))
        return await self.json("GET", "/cost/usage", params=query)

    async def cost_forecast(self, *, period: str = "month", where: JsonObject | None = None) -> JsonObject:
        """Return what the present day or month will have cost."""
        return await self.json("GET", "/cost/forecast", params=_given(period=period, where=_filters(where)))

    async def bill(
        self,
        *,
        style: str = "jsonl",
        since: str | None = None,
        until: str | None = None,
        where: JsonObject | None = None,
        cursor: str | None = None,
        limit: int = 1_000,
    ) -> JsonObject:
        """Return a page of the ledger."""
        query = _given(
            style=style, since=since, until=until, where=_filters(where), cursor=cursor, limit=limit
        )
        return await self.json("GET", "/cost/bill", params=query)

    async def savings(self, *, figures: JsonObject | None = None) -> JsonObject:
        """Return what could be saved in a month."""
        return await self.json("POST", "/cost/savings", json=figures or {})

    async def prices(self, *, models: Sequence[str] = ()) -> JsonObject:
        """Return own prices, and what models cost."""
        return await self.json("GET", "/cost/prices", params=_given(model=list(models)))

    async def set_price(self, wanted: JsonObject) -> JsonObject:
        """Set an own price."""
        return await self.json("PUT", "/cost/prices", json=wanted)

    async def remove_price(self, model: str) -> JsonObject:
        """Remove an own price."""
        return await self.json("DELETE", f"/cost/prices/{quote(model, safe='')}")

    async def providers(self, *, kind: str | None = None) -> JsonObject:
        """Return the provider instances with their health and figures."""
        return await self.json("GET", "/providers", params=_given(kind=kind))

    async def provider(self, name: str) -> JsonObject:
        """Return one provider instance."""
        return await self.json("GET", f"/providers/{quote(name, safe='')}")

    async def check_provider(self, name: str, *, model: str | None = None) -> JsonObject:
        """Send one small request to a provider and return its health."""
        return await self.json("POST", f"/providers/{quote(name, safe='')}/check", params=_given(model=model))

    async def reload_providers(self) -> JsonObject:
        """Take what settings, plugin folders and routes say now."""
        return await self.json("POST", "/providers/reload")

    async def models(self, *, provider: str | None = None, ask: bool = False) -> JsonObject:
        """Return the models that requests can name."""
        return await self.json("GET", "/models", params=_given(provider=provider, ask=ask or None))

    async def routes(self) -> JsonObject:
        """Return the routes and rules in force."""
        return await self.json("GET", "/routes")

    async def explain_route(self, wanted: JsonObject) -> JsonObject:
        """Return where a request would go now, and why."""
        return await self.json("POST", "/routes/explain", json=wanted)

    async def cache(self) -> JsonObject:
        """Return hit rates by route, and what each tier holds."""
        return await self.json("GET", "/cache")

    async def purge_cache(self, *, route: str | None = None, tag: str | None = None) -> JsonObject:
        """Forget answers of a route, with a tag, or all."""
        return await self.json("POST", "/cache/purge", json=_given(route=route, tag=tag))

    async def warm_cache(self, *, hours_ahead: int = 0) -> JsonObject:
        """Bring what is expected in an hour into memory."""
        return await self.json("POST", "/cache/warm", json={"hours_ahead": hours_ahead})


def _given(**query: Any) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _filters(where: JsonObject | None) -> list[str]:
    return [f"{name}={value}" for name, value in (where or {}).items()]
