"""What every door can ask about keys, budgets and cost, as plain JSON: beside `Operations`, for the model door."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from mosaic.app.door import Door
from mosaic.app.operations import require_text
from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.money import Money
from mosaic.core.values import JsonObject
from mosaic.cost import (
    CATEGORIES,
    BudgetLimits,
    CiUsage,
    NewBudget,
    OwnPrices,
    PriceBook,
    Saving,
    SavingsReport,
    TokenPrice,
    UsageReports,
    of_model_calls,
)
from mosaic.providers import ProviderRegistry
from mosaic.security import KeyLimits, Keys, NewKey, VirtualKey
from mosaic.storage import Database, Transaction

__all__ = ["DoorOperations"]

_ALERTS = (50, 80, 100)
_DAY_S = 86_400


class DoorOperations:
    """Keys, budgets, usage and prices of one application. Every argument and result is JSON, every call is scoped."""

    def __init__(
        self,
        *,
        keys: Keys,
        limits: BudgetLimits,
        usage: UsageReports,
        prices: PriceBook,
        own_prices: OwnPrices,
        providers: ProviderRegistry,
        clock: Clock = now,
    ) -> None:
        self._keys = keys
        self._limits = limits
        self._usage = usage
        self._prices = prices
        self._own_prices = own_prices
        self._providers = providers
        self._clock = clock

    @classmethod
    def over(cls, door: Door, database: Database, providers: ProviderRegistry) -> "DoorOperations":
        """Return the operations on a process's model door."""
        return cls(
            keys=door.keys,
            limits=door.limits,
            usage=UsageReports(database),
            prices=door.prices,
            own_prices=door.own_prices,
            providers=providers,
        )

    # Keys

    async def create_key(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Make a key from `name` and perhaps `project`, `models`, `routes`, `scopes`, `expires_at`, `limits`, `budget`.

        The answer has the key's `secret`, which is shown this once.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        require_text(wanted, "key")
        budget = wanted.get("budget")

        async def with_budget(tx: Transaction, key: VirtualKey) -> None:
            if budget is not None:
                await self._limits.set_in(tx, ctx, _budget({**budget, "scope": "key", "subject": key.id}))

        new = NewKey(
            name=str(wanted.get("name") or ""),
            project=wanted.get("project"),
            models=tuple(wanted.get("models") or ()),
            routes=tuple(wanted.get("routes") or ()),
            scopes=tuple(wanted.get("scopes") or ()),
            expires_at=_moment(wanted.get("expires_at"), "expires_at"),
            limits=KeyLimits(**(wanted.get("limits") or {})),
        )
        key, secret = await self._keys.create(ctx, new, within=with_budget)
        return {**key.to_json(self._clock()), "secret": secret}

    async def keys(self, ctx: Context, *, project: str | None = None) -> JsonObject:
        """Return the keys, newest first; never a secret."""
        moment = self._clock()
        return {"items": [key.to_json(moment) for key in await self._keys.list(ctx, project=project)]}

    async def key(self, ctx: Context, key_id: str) -> JsonObject:
        """Return one key with the budgets it has of its own."""
        key = await self._keys.get(ctx, key_id)
        budgets = await self._limits.states(ctx, scope="key", subject=key_id)
        return {**key.to_json(self._clock()), "budgets": [state.to_json() for state in budgets]}

    async def revoke_key(self, ctx: Context, key_id: str) -> JsonObject:
        """Make a key useless, everywhere, at once."""
        return (await self._keys.revoke(ctx, key_id)).to_json(self._clock())

    async def rotate_key(self, ctx: Context, key_id: str, *, grace_s: float | None = None) -> JsonObject:
        """Give a key another secret, shown this once; the old one stays good for `grace_s` seconds.

        Raises:
            Conflict: if it is revoked or has expired.
        """
        key, secret = await self._keys.rotate(ctx, key_id, grace_s=grace_s)
        return {**key.to_json(self._clock()), "secret": secret}

    # Budgets

    async def set_budget(
        self, ctx: Context, wanted: JsonObject, *, only: Collection[str] | None = None
    ) -> JsonObject:
        """Set a budget from `scope`, `subject`, `period`, `usd`, `tokens` and `alert_at`.

        Raises:
            InvalidInput: naming each field that is wrong.
            Stale: if the budget has a version that is not among `only`.
        """
        require_text(wanted, "budget")
        budget = await self._limits.set(ctx, _budget(wanted), only=only)
        return await self.budget(ctx, budget.id)

    async def budgets(
        self, ctx: Context, *, scope: str | None = None, subject: str | None = None
    ) -> JsonObject:
        """Return the budgets with what is spent and leased of them in their present periods."""
        states = await self._limits.states(ctx, scope=scope, subject=subject)
        return {"items": [state.to_json() for state in states]}

    async def budget(self, ctx: Context, budget_id: str) -> JsonObject:
        """Return one budget."""
        return (await self._limits.get(ctx, budget_id)).to_json()

    async def remove_budget(
        self, ctx: Context, budget_id: str, *, only: Collection[str] | None = None
    ) -> JsonObject:
        """Remove a budget; the ledger keeps what was spent."""
        await self._limits.remove(ctx, budget_id, only=only)
        return {"id": budget_id, "removed": True}

    async def lost_leases(self, ctx: Context) -> JsonObject:
        """Return what processes that are gone had leased; it counts as spent."""
        return {"items": [lease.to_json() for lease in await self._limits.lost(ctx)]}

    async def reconcile_budgets(self, ctx: Context, *, as_spent: bool) -> JsonObject:
        """End the leases of processes that are gone: count them as spent for good, or give them back."""
        ended = await self._limits.reconcile(ctx, as_spent=as_spent)
        return {"items": [lease.to_json() for lease in ended], "as_spent": as_spent}

    # Cost

    async def usage(
        self,
        ctx: Context,
        *,
        by: Sequence[str] = (),
        since: str | None = None,
        until: str | None = None,
        where: JsonObject | None = None,
    ) -> JsonObject:
        """Return usage and cost by some dimensions, dearest first, and the sum of all."""
        start, end = _moment(since, "since"), _moment(until, "until")
        rows, total = await self._usage.usage_and_total(ctx, by=by, where=where, since=start, until=end)
        return {"by": list(by), "items": [row.to_json() for row in rows], "total": total.to_json()}

    async def cost_forecast(
        self, ctx: Context, *, period: str = "month", where: JsonObject | None = None
    ) -> JsonObject:
        """Return what the present day or month will have cost at its end, and when budgets will be used up."""
        if period not in ("day", "month"):
            raise InvalidInput(f"There is no forecast for {period!r}.", hint="Periods: day, month.")
        forecast = await self._usage.forecast(ctx, period=period, where=where)  # type: ignore[arg-type]  # checked above
        return forecast.to_json()

    async def bill(
        self,
        ctx: Context,
        *,
        style: str = "jsonl",
        since: str | None = None,
        until: str | None = None,
        where: JsonObject | None = None,
        cursor: str | None = None,
        limit: int = 1_000,
    ) -> JsonObject:
        """Return a page of the ledger as ``csv`` or ``jsonl`` lines: ``text``, and ``next_cursor``, None at the end."""
        page = await self._usage.bill(
            ctx,
            style=style,
            since=_moment(since, "since"),
            until=_moment(until, "until"),
            where=where,
            cursor=cursor,
            limit=limit,
        )
        return {"text": page.text, "next_cursor": page.next_cursor}

    async def savings(self, ctx: Context, *, figures: JsonObject | None = None) -> JsonObject:
        """Return what could be saved in a month: on calls of models, and on what the `figures` say.

        Args:
            ctx: the tenant.
            figures: perhaps ``ci`` (build minutes, large builds, gigabytes and their prices), and ``items``: category,
                advice and monthly_usd of what was worked out elsewhere.
        """
        figures = figures or {}
        await self._own_prices.refresh()
        rows = await self._usage.usage(ctx, by=("provider", "model"))
        moment = self._clock()
        days = max((moment - moment.replace(day=1, hour=0, minute=0, second=0)).total_seconds() / _DAY_S, 1.0)
        found = of_model_calls(rows, lambda provider, model: self._price_of(ctx, provider, model), days=days)
        builds = _figures(CiUsage, figures.get("ci") or {}, "ci").savings()
        given = tuple(_saving(item, index) for index, item in enumerate(figures.get("items") or ()))
        return SavingsReport((*given, *builds, *found)).to_json()

    async def prices(self, ctx: Context, *, models: Sequence[str] = ()) -> JsonObject:
        """Return the tenant's own prices, and what each of `models` (``provider:model``) costs it now and why."""
        await self._own_prices.refresh()
        shown = []
        for reference in models:
            provider, _, model = reference.partition(":")
            price = self._price_of(ctx, provider, model)
            shown.append({"model": reference, "price": price.to_json() if price is not None else None})
        own = [price.to_json() for price in await self._own_prices.all(ctx)]
        return {"items": own, "models": shown, "list": self._prices.list.origin()}

    async def set_price(
        self, ctx: Context, wanted: JsonObject, *, only: Collection[str] | None = None
    ) -> JsonObject:
        """Set the tenant's own price: `model`, dollars for a million tokens, `source` and perhaps `valid_from`.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        require_text(wanted, "price")
        given = {name: wanted.get(name) for name in TokenPrice.__slots__ if wanted.get(name) is not None}
        price = _figures(TokenPrice, given, "price")
        own = await self._own_prices.set(
            ctx,
            str(wanted.get("model") or ""),
            price,
            source=str(wanted.get("source") or ""),
            valid_from=_moment(wanted.get("valid_from"), "valid_from"),
            only=only,
        )
        return own.to_json()

    async def remove_price(
        self, ctx: Context, model: str, *, only: Collection[str] | None = None
    ) -> JsonObject:
        """Remove a tenant's own price."""
        await self._own_prices.remove(ctx, model, only=only)
        return {"id": model, "removed": True}

    def _price_of(self, ctx: Context, provider: str, model: str) -> Any:
        able = (
            self._providers.ai(provider).capabilities(model) if provider in self._providers.names() else None
        )
        return self._prices.price_of(provider, model, able, tenant=ctx.tenant)


def _budget(wanted: JsonObject) -> NewBudget:
    usd = wanted.get("usd")
    return NewBudget(
        scope=wanted.get("scope") or "tenant",
        subject=wanted.get("subject") or "",
        period=wanted.get("period") or "total",
        nanos=Money.usd(usd).nanos if usd is not None else None,
        tokens=wanted.get("tokens"),
        alert_at=tuple(_ALERTS if wanted.get("alert_at") is None else wanted["alert_at"]),
    )


def _saving(item: JsonObject, index: int) -> Saving:
    category, advice, usd = item.get("category"), str(item.get("advice") or ""), item.get("monthly_usd")
    if category not in CATEGORIES or not advice.strip() or not isinstance(usd, int | float):
        needed = f"needs a category ({', '.join(CATEGORIES)}), an advice and monthly_usd"
        raise InvalidInput("A saving is wrong.", problems=[Problem(needed, path=f"items[{index}]")])
    return Saving(category, advice, Money.usd(usd))


def _figures(kind: Any, given: JsonObject, path: str) -> Any:
    try:
        return kind(**given)
    except TypeError as error:
        raise InvalidInput(
            f"The figures of {path} are wrong.", problems=[Problem(str(error), path=path)]
        ) from None


def _moment(text: str | None, path: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        moment = None
    if moment is None or moment.tzinfo is None:
        problem = Problem("must be a time with its zone, such as 2026-11-28T12:00:00Z", path=path)
        raise InvalidInput(f"{path} is no time.", problems=[problem])
    return moment
